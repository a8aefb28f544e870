"""What lint has to say."""

from dataclasses import dataclass
from enum import StrEnum

from nifi_flows.wording import printable


class Severity(StrEnum):
    """error: the flow will not run, or may lose data or secrets. warning: somebody may stumble over it."""

    error = "error"
    warning = "warning"


@dataclass(frozen=True)
class Finding:
    """One thing that a rule found. where: names from the root group down, separated by ' / '.

    code, rule: as in `--rules`. message: what is wrong. remedy: what to do about it.
    """

    code: str
    rule: str
    where: str
    message: str
    remedy: str
    severity: Severity = Severity.error

    def __str__(self) -> str:
        return f"{self.code} {printable(self.where)}: {printable(self.message)}"
