"""The pull run: when it is at rest, and in a few words."""

import pytest

from scripts.observe.pull_run import RunCursor, RunState, at_rest, describe, seconds_of

RUN = "embedded/users/10"
EARLIER = "embedded/before/10"


@pytest.mark.parametrize(
    ("cursor", "pages", "queued", "active", "rests"),
    [
        (RunCursor(RUN, 4), 3, {}, 0, True),
        (RunCursor(RUN, 3), 3, {}, 0, False),
        (RunCursor(EARLIER, 4), 3, {}, 0, False),
        (RunCursor(RUN, 4), 3, {"stamped": 1}, 0, False),
        (RunCursor(RUN, 4), 3, {}, 1, False),
        (RunCursor(RUN, 4), 0, {}, 0, False),
        (None, 3, {}, 0, False),
    ],
)
def test_only_a_finished_run_with_nothing_under_way_is_at_rest(
    cursor: RunCursor | None, pages: int, queued: dict[str, int], active: int, rests: bool
) -> None:
    assert at_rest(RunState(cursor, RUN, pages, 0.0, queued, active, [])) is rests


def test_a_flow_is_described_in_a_few_words() -> None:
    assert describe(RunState(None, RUN, 3, 0.0, {}, 0, [])) == "0 of 3 pages handed out"
    assert describe(RunState(RunCursor(EARLIER, 9), RUN, 3, 0.0, {}, 0, [])) == "0 of 3 pages handed out"
    busy = RunState(RunCursor(RUN, 3), RUN, 0, 0.0, {"due": 2}, 1, ["Fetch page: invalid, stopped"])
    assert describe(busy) == "2 of endless pages handed out, 2 FlowFiles in 'due', Fetch page: invalid, stopped"


@pytest.mark.parametrize(
    ("words", "seconds"),
    [("0 ms", 0), ("500 ms", 0.5), ("2 sec", 2), ("5 mins", 300), ("1 hour", 3600), ("1.5 days", 129_600), ("#{x}", 0)],
)
def test_durations_are_read_as_nifi_words_them(words: str, seconds: float) -> None:
    assert seconds_of(words) == seconds
