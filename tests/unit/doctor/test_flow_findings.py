"""The doctor on the flow: its processors and queues, NiFi's complaints, the consumer's lag and the dead letters."""

from dataclasses import replace
from typing import Any

import pytest

from nifi_flows.canvas import Part
from nifi_flows.pipeline import USERS
from scripts.doctor import flow, topics
from scripts.doctor.diagnosis import Diagnosis, Grade
from scripts.observe.canvas import Bulletin, Canvas, Queue
from scripts.observe.consumer import ConsumerProgress
from scripts.observe.records import LettersSummary
from scripts.observe.topics import Position
from tests.unit.doctor.severities import OK, PROBLEM, WARNING, severities


def canvas(**changed: Any) -> Canvas:
    queued = changed.pop("queue", {})
    queue, processor = Queue("page", 0, 0, 0, False), Part("1", "processor", "Pull run", "RUNNING", "VALID", [])
    return Canvas([replace(processor, **changed)], [replace(queue, **queued)], [])


@pytest.mark.parametrize(
    ("seen", "severity", "words"),
    [
        (None, PROBLEM, "not on the canvas"),
        (canvas(), OK, "1 processors are valid and running"),
        (canvas(state="STOPPED"), PROBLEM, "'Pull run' is stopped"),
        (canvas(state="DISABLED"), PROBLEM, "'Pull run' is disabled"),
        (canvas(validation="INVALID", errors=["no URL"]), PROBLEM, "'Pull run' is invalid: no URL"),
        (canvas(validation="VALIDATING"), PROBLEM, "being validated"),
        (canvas(queue={"queued": 3, "percent": 75}), OK, "3 FlowFiles in its queues"),
        (canvas(queue={"queued": 4, "percent": 100}), WARNING, "'page' is 100 % full with 4 FlowFiles"),
        (canvas(queue={"queued": 1, "percent": 1, "retries": True}), WARNING, "1 FlowFiles wait in 'page'"),
    ],
)
def test_the_flow(seen: Canvas | None, severity: Grade, words: str) -> None:
    found = list(flow.check_flow(seen, USERS))
    assert severity in severities(found)
    assert [finding.what for finding in found if words in finding.what]
    assert [finding for finding in found if finding.severity is not OK] == [
        finding for finding in found if words in finding.what and severity is not OK
    ]


def test_bulletins_are_few_and_harmless() -> None:
    seen = replace(
        canvas(),
        bulletins=[
            *[Bulletin("22:01:00 UTC", 300, "ERROR", "old", "x")] * 5,
            Bulletin("22:02:00 UTC", 240, "INFO", "Fetch page", "fine"),
            Bulletin("22:03:00 UTC", 180, "WARNING", "Fetch page", "said \x1b]0;evil\x07" + "y" * 5000),
        ],
    )
    told = [finding for finding in flow.check_flow(seen, USERS) if finding.severity is WARNING]
    assert len(told) == 4
    assert told[-1].what.startswith("22:03:00 UTC WARNING from Fetch page: said ]0;evil yyy")
    assert all(len(finding.what) <= 240 and finding.what.isprintable() for finding in told)


@pytest.mark.parametrize(
    ("before", "after", "silent", "severity", "words"),
    [
        (Position(0, 9, 9), Position(0, 9, 9), 900, OK, "every frame"),
        (Position(0, 9, 3), Position(0, 9, 5), 900, OK, "4 frames behind, and moving"),
        (Position(0, 9, None), Position(0, 9, None), 2, WARNING, "9 frames behind, and none consumed in 3 s"),
        (Position(0, 9, 3), Position(0, 9, 3), 61, PROBLEM, "stood still for 61 s"),
        (Position(5, 9, 3), Position(5, 9, 9), 2, OK, "every frame"),
        (Position(5, 9, 3), Position(5, 9, 3), 2, PROBLEM, "removed 2 frames"),
        (Position(5, 9, None), Position(5, 9, 9), 2, OK, "every frame"),
    ],
)
def test_lag(before: Position, after: Position, silent: float, severity: Grade, words: str) -> None:
    found = list(topics.check_progress(ConsumerProgress({0: before}, {0: after}, 3.0, silent), USERS))
    assert severity in severities(found)
    assert any(words in finding.what for finding in found)


@pytest.mark.parametrize(
    ("lane", "severity", "words"),
    [
        ("", OK, "none yet"),
        (USERS.lane, OK, USERS.lane),
        ("micro-batch", WARNING, f"lane is micro-batch, while {USERS.lane} is"),
    ],
)
def test_lane(lane: str, severity: Grade, words: str) -> None:
    now = {0: Position(0, 9, 9, lane=lane)}
    *_, found = topics.check_progress(ConsumerProgress(now, now, 3.0, 1.0), USERS)
    assert (found.area, found.severity) == ("lane", severity)
    assert words in found.what


def told(letters: LettersSummary) -> Diagnosis:
    (finding,) = topics.check_dead_letters(letters, USERS)
    return finding


def test_dead_letters() -> None:
    assert told(LettersSummary(0, 0, {})).severity is OK
    many = {"not_email:email": 150, "x\x1b": 50, "c": 9, "a": 3, "b": 2}
    found = told(LettersSummary(1234, 200, many))
    assert severities([found]) == [WARNING]
    assert found.what == "1,234 in user_data_topic.dlq; of the last 200: 150 not_email:email, 50 x, 9 c, 3 a"
    assert found.what.isprintable()
    assert told(LettersSummary(7, 0, {})).what == "7 in user_data_topic.dlq"
