"""What the doctor has to say: findings, and what they mean together."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from nifi_flows.errors import PipelineError, TransientError
from nifi_flows.wording import one_line


class Grade(StrEnum):
    """problem: something does not work, or will not start. warning: it works, but somebody should know."""

    ok = "ok"
    warning = "warning"
    problem = "problem"


@dataclass(frozen=True)
class Diagnosis:
    """One line: what was found, and what to do about it.

    area: what it belongs to, such as "ports". remedy: empty where nothing is wrong. passing: waiting may mend it.
    """

    area: str
    severity: Grade
    what: str
    remedy: str = ""
    passing: bool = False


def ok(area: str, what: str) -> Diagnosis:
    return Diagnosis(area, Grade.ok, what)


def warning(area: str, what: str, remedy: str) -> Diagnosis:
    return Diagnosis(area, Grade.warning, what, remedy)


def problem(area: str, what: str, remedy: str, *, passing: bool = False) -> Diagnosis:
    return Diagnosis(area, Grade.problem, what, remedy, passing)


def failed(area: str, error: BaseException) -> Diagnosis:
    """A reading that could not be taken is a finding itself."""
    if isinstance(error, PipelineError):
        remedy = one_line(error.remedy) or "./scripts/pipeline status"
        return problem(area, one_line(str(error)), remedy, passing=isinstance(error, TransientError))
    what = f"cannot be examined: {type(error).__name__}: {one_line(str(error))}"
    return problem(area, what, "mend that, then ask again")


def exit_code(findings: Sequence[Diagnosis], later: int) -> int:
    """0 without a problem (warnings are none), `later` when waiting may mend every problem, else 1."""
    problems = [finding for finding in findings if finding.severity is Grade.problem]
    if not problems:
        return 0
    return later if all(finding.passing for finding in problems) else 1
