"""What the tests of the doctor share."""

from collections.abc import Iterable

from scripts.doctor.diagnosis import Diagnosis, Grade

GIB = 1024**3
MIB = 1024**2
PROBLEM, WARNING, OK = Grade.problem, Grade.warning, Grade.ok


def severities(findings: Iterable[Diagnosis]) -> list[Grade]:
    listed = list(findings)
    assert all(finding.remedy or finding.severity is OK for finding in listed), "what is wrong comes with a remedy"
    return [finding.severity for finding in listed]
