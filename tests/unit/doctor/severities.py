"""What the tests of the doctor share."""

from collections.abc import Iterable

from scripts.doctor.finding import Finding, Severity

GIB = 1024**3
MIB = 1024**2
PROBLEM, WARNING, OK = Severity.problem, Severity.warning, Severity.ok


def severities(findings: Iterable[Finding]) -> list[Severity]:
    listed = list(findings)
    assert all(finding.remedy or finding.severity is OK for finding in listed), "what is wrong comes with a remedy"
    return [finding.severity for finding in listed]
