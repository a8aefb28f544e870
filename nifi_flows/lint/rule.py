"""What a rule is: a code, a reason, and a function from what is linted to what it found."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from nifi_flows.lint.finding import Severity
from nifi_flows.lint.subject import Subject


class Violation(NamedTuple):
    """What a rule says of one place; see Finding."""

    where: str
    message: str
    remedy: str


@dataclass(frozen=True)
class Rule:
    """reason: one line, why it matters. needs: what of a Subject has to be given, or the rule does not run."""

    code: str
    name: str
    reason: str
    check: Callable[[Subject], Iterator[Violation]]
    severity: Severity = Severity.error
    needs: str | None = None

    def runs(self, subject: Subject) -> bool:
        return self.needs is None or getattr(subject, self.needs) is not None
