"""Whether records pass a flow that was just started: verified, spoken against, or not to be told."""

from collections.abc import Callable
from pathlib import Path

import pytest

from nifi_flows.errors import TransientError
from nifi_flows.host import Report
from nifi_flows.pipeline import USERS, Pipeline
from scripts.deployment import watch
from scripts.deployment.watch import Look, trouble, verified
from scripts.observe import pull_run, topics
from scripts.observe.pull_run import RunCursor, RunState
from scripts.stack.settings import Settings
from tests.unit.flows.fake_nifi import Clock


def look(pages: int | None, page: int = 1, *, queued: int = 0, run: str = "a/b/1", last: int = 0) -> Look:
    """pages: published. page: the next one of the run. queued: FlowFiles. last: page of the run, 0 for ever."""
    state = RunState(RunCursor(run, page), run, last, 0.0, {"pages": queued} if queued else {}, 0, [])
    return Look(state, pages)


@pytest.mark.parametrize(
    ("before", "now", "said"),
    [
        (look(5), look(6), "records flow"),
        (look(5), look(5), None),
        (look(5, queued=2), look(7), None),
        (look(5, queued=2), look(8), "records flow"),
        (look(None), look(8), None),
        (look(5), look(None), None),
        (look(5), look(5, 4, last=3), "the pull run is finished, so nothing has to flow"),
        (look(None), look(None, 4, last=3), "the pull run is finished, so nothing has to flow"),
        (look(5), look(5, 4, last=3, queued=1), None),
    ],
    ids=[
        "more",
        "none",
        "queued before",
        "more than queued",
        "unknown",
        "unknown now",
        "at rest",
        "Kafka away",
        "busy",
    ],
)
def test_what_verifies_a_flow(before: Look, now: Look, said: str | None) -> None:
    assert verified(before, now) == said


@pytest.mark.parametrize(
    ("before", "now", "complaint", "said"),
    [
        (look(5), look(5), None, None),
        (look(5), look(5), "Fetch says:\n no  host", "no record passed in 20 s: Fetch says: no host"),
        (look(None), look(None), None, "whether records pass cannot be told: Kafka does not answer"),
        (look(5), look(None), None, "whether records pass cannot be told: Kafka does not answer"),
        (look(5, 1), look(5, 3), None, "no record passed in 20 s: 2 pages were asked for, and nothing is left of them"),
        (look(5, 1), look(5, 2), None, None),
        (look(5, 1), look(5, 3, queued=1), None, None),
        (look(5, 1), look(6, 3), None, None),
        (look(5, 1), look(5, 3, run="c/d/1"), None, None),
        (Look(look(5).run, 5), Look(RunState(None, "", 0, 0.0, {}, 0, []), 5), None, None),
    ],
)
def test_what_speaks_against_a_flow(before: Look, now: Look, complaint: str | None, said: str | None) -> None:
    assert trouble(before, now, complaint) == said


def test_a_long_complaint_is_cut() -> None:
    assert len(trouble(look(5), look(5), "x" * 999) or "") == len("no record passed in 20 s: ") + 300


class Seen:
    """What is seen, one look after the other; the last one stays. bulletins: of the flow's parts, by their number."""

    def __init__(self, *looks: Look) -> None:
        self.looks = list(looks)
        self.bulletins = {7: "of before"}

    def next(self) -> Look:
        return self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]

    def complaints(self, group: str) -> dict[int, str]:
        return self.bulletins


Watching = Callable[[Seen], tuple[Callable[[Report], str | None], list[str]]]


@pytest.fixture
def watching(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Watching:
    monkeypatch.setattr(watch, "time", Clock())

    def begin(seen: Seen) -> tuple[Callable[[Report], str | None], list[str]]:
        monkeypatch.setattr(watch, "_look", lambda settings, pipeline: seen.next())
        monkeypatch.setattr(watch, "canvas", seen)
        return watch.begin(Settings(home=tmp_path), USERS, "group"), []

    return begin


def test_it_waits_until_a_page_passes(watching: Watching) -> None:
    wait, said = watching(Seen(look(5), look(5), look(5), look(6)))
    assert wait(said.append) is None
    assert said == ["verified: records flow"]


def test_a_source_that_gives_none_is_only_told(watching: Watching) -> None:
    wait, said = watching(Seen(look(5)))
    assert wait(said.append) is None
    assert said == ["no record passed in 20 s, and nothing complains: the source may give none"]


def test_only_what_complains_since_counts(watching: Watching) -> None:
    seen = Seen(look(5))
    wait, said = watching(seen)
    seen.bulletins = {7: "of before", 8: "Fetch says: no"}
    assert wait(said.append) == "no record passed in 20 s: Fetch says: no"
    assert said == []


def test_a_look_does_without_kafka(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def length(settings: Settings, topic: str) -> int:
        asked.append(topic)
        if len(asked) > 2:
            raise TransientError("Kafka does not answer")
        return 3

    def on_canvas(pipeline: Pipeline) -> RunState:
        asked.append("canvas")
        return look(0).run

    monkeypatch.setattr(topics, "length", length)
    monkeypatch.setattr(pull_run, "on_canvas", on_canvas)
    looks = [watch._look(Settings(home=tmp_path), USERS) for _ in range(2)]
    assert [one.pages for one in looks] == [3, None]
    assert asked == 2 * ["canvas", USERS.pages], "a page in between must not be in neither"
