"""What findings mean together, and what becomes of readings that hang or break."""

import threading
import time

import pytest

from nifi_flows.errors import TerminalError, TransientError
from nifi_flows.wording import one_line
from scripts.doctor.check import Chain, Check
from scripts.doctor.check import findings as told
from scripts.doctor.diagnosis import Diagnosis, exit_code, failed, ok, problem, warning
from scripts.observe.gather import ReadStep
from tests.unit.doctor.severities import OK, PROBLEM


@pytest.mark.parametrize(
    ("findings", "code"),
    [
        ([], 0),
        ([ok("a", "b"), warning("a", "b", "c")], 0),
        ([problem("a", "b", "c")], 1),
        ([problem("a", "b", "c", passing=True), warning("a", "b", "c")], 75),
        ([problem("a", "b", "c", passing=True), problem("a", "b", "c")], 1),
    ],
)
def test_the_exit_code(findings: list[Diagnosis], code: int) -> None:
    assert exit_code(findings, later=75) == code


def test_the_text_of_others_commands_no_terminal_and_stays_on_a_line() -> None:
    assert one_line("a\x1b[31mb\r\nc\td\x07\u202e  e") == "a [31mb c d e"
    assert len(one_line("x" * 10_000)) == 240


def test_a_reading_that_fails_is_a_finding() -> None:
    later, never = failed("lag", TransientError("Kafka is away\nfar", "wait")), failed("lag", TerminalError("no"))
    assert (later.what, later.remedy, later.passing) == ("Kafka is away far", "wait", True)
    assert not never.passing
    assert never.remedy
    assert failed("lag", KeyError("x")).what == "cannot be examined: KeyError: 'x'"


def test_what_hangs_or_breaks_hides_nothing_else() -> None:
    never = threading.Event()

    def hangs() -> int:
        never.wait(30)
        return 0

    def breaks() -> int:
        raise ZeroDivisionError

    def judged(number: int) -> list[Diagnosis]:
        return [ok("lag", f"{number}")]

    begun = time.monotonic()
    chains: list[Chain] = [
        [
            Check("engines", ReadStep("nifi", hangs, needed=True), judged),
            Check("flow", ReadStep("flow", lambda: 1), judged),
        ],
        [
            Check("engines", ReadStep("kafka", lambda: "fine", needed=True), lambda said: [ok("engines", said)]),
            Check("lag", ReadStep("lag", breaks), judged),
            Check("lag", ReadStep("lag again", lambda: 2), judged),
            Check("dead letters", ReadStep("dead letters", hangs), judged),
            Check("dead letters", ReadStep("more of them", lambda: 3), judged),
        ],
        [Check("engines", ReadStep("registry", breaks), judged, lambda error: problem("engines", "down", "start it"))],
        [Check("disk", ReadStep("disk", lambda: "room"), lambda said: [ok("disk", said)])],
    ]
    found = told(chains, 0.3)
    never.set()
    assert time.monotonic() - begun < 2
    assert [(finding.severity, finding.what) for finding in found] == [
        (PROBLEM, "nifi: no answer in time"),
        (OK, "fine"),
        (PROBLEM, "cannot be examined: ZeroDivisionError: "),
        (OK, "2"),
        (PROBLEM, "kafka: what it holds was not read in time"),
        (PROBLEM, "down"),
        (OK, "room"),
    ]
    assert found[0].remedy == "./scripts/pipeline logs nifi"
