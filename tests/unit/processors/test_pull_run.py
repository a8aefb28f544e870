"""Which page comes next, whatever happens between two pages."""

import math
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nifi_processors.pull_run import Cursor, Progress, Run, attributes, handed_over, page_url, step

RUN = Run(source="randomuser", url="http://s.test/api/", seed="x", page_size=100, pages=3, interval=0)
KEY = "randomuser@325265a0/x/100"
FORMER = "randomuser/x/100"


def fresh(next_page: str = "1") -> Progress:
    return Progress(Cursor.of({"run": KEY, "next_page": next_page}, RUN))


def pages_of(run: Run, calls: int, progress: Progress) -> list[int | None]:
    """The pages of so many calls, one a second, each handed over."""
    found = []
    for now in range(calls):
        todo = step(progress, run, now)
        found.append(todo.page)
        progress = todo.progress if todo.page is None else handed_over(todo.progress, run, todo.page, now)
    return found


def test_a_run_names_its_pages_in_order_and_then_rests() -> None:
    assert pages_of(RUN, 6, fresh()) == [1, 2, 3, None, None, None]


def test_a_run_of_zero_pages_goes_on_for_ever() -> None:
    assert replace(RUN, pages=0).last == math.inf
    assert pages_of(replace(RUN, pages=0), 5, fresh()) == [1, 2, 3, 4, 5]


def test_a_stored_cursor_continues() -> None:
    assert pages_of(RUN, 3, fresh("3")) == [3, None, None]


def test_more_pages_continue_a_finished_run() -> None:
    assert pages_of(replace(RUN, pages=5), 3, fresh("4")) == [4, 5, None]


@pytest.mark.parametrize(
    "other", [{"seed": "y"}, {"page_size": 200}, {"source": "mirror"}, {"url": "http://s.test/api/?nat=us"}]
)
def test_another_run_starts_from_its_first_page(other: dict[str, object]) -> None:
    state = {"run": KEY, "next_page": "3"}
    assert Cursor.of(state, replace(RUN, **other)).next_page == 1  # type: ignore[arg-type]


@pytest.mark.parametrize("damaged", ["", "0", "-1", "x", "1.5"])
def test_a_damaged_cursor_starts_over_and_does_not_skip(damaged: str) -> None:
    assert Cursor.of({"run": KEY, "next_page": damaged}, RUN).next_page == 1


def test_the_cursor_is_text_that_reads_back() -> None:
    cursor = Cursor(KEY, 17)
    assert cursor.state() == {"run": KEY, "next_page": "17", "first_page": "1"}
    assert Cursor.of(cursor.state(), RUN) == cursor


def test_a_key_tells_urls_apart_and_does_not_show_them() -> None:
    secret = replace(RUN, url="http://s.test/api/?token=hunter2")
    assert secret.key != RUN.key == KEY
    assert re.fullmatch(r"randomuser@[0-9a-f]{8}/x/100", secret.key)


def test_a_run_goes_on_under_its_new_key_from_where_it_was_under_the_former_one() -> None:
    cursor = Cursor.of({"run": FORMER, "next_page": "3"}, RUN)
    assert cursor == Cursor(KEY, 3, first_page=3)
    third = step(handed_over(Progress(cursor), RUN, 3, 0), RUN, 0)
    assert third.save == Cursor(KEY, 4, first_page=3)
    assert third.save is not None and Cursor.of(third.save.state(), RUN) == third.save
    assert Cursor.of({"run": FORMER, "next_page": "x"}, RUN) == Cursor(KEY, 1)


def test_the_cursor_moves_only_with_the_call_after() -> None:
    first = step(fresh(), RUN, 0)
    assert (first.page, first.save) == (1, None)
    second = step(handed_over(first.progress, RUN, 1, 0), RUN, 0)
    assert (second.page, second.save) == (2, Cursor(KEY, 2))


def test_a_page_that_nifi_did_not_take_is_named_again() -> None:
    first = step(fresh(), RUN, 0)
    again = step(first.progress, RUN, 0)
    assert (again.page, again.save) == (1, None)


def test_the_end_of_a_run_is_saved_once() -> None:
    last = handed_over(fresh("3"), RUN, 3, 0)
    resting = step(last, RUN, 1)
    assert (resting.page, resting.save) == (None, Cursor(KEY, 4))
    assert step(resting.progress, RUN, 2).save is None


def test_the_pace_is_that_of_the_interval() -> None:
    assert pages_of(replace(RUN, interval=2.5), 8, fresh()) == [1, None, None, 2, None, 3, None, None]


def test_a_pause_is_not_made_up_for() -> None:
    slow = replace(RUN, interval=60)
    late = handed_over(handed_over(fresh(), slow, 1, 0), slow, 2, 200)
    assert late.due == 260


def test_the_cursor_is_saved_while_the_interval_runs() -> None:
    slow = replace(RUN, interval=60)
    waiting = step(handed_over(fresh(), slow, 1, 0), slow, 1)
    assert (waiting.page, waiting.save) == (None, Cursor(KEY, 2))


# What can happen to one call of create(): all goes well; the state can't be written; NiFi dies before the state is
# written, after it, or after the page was returned and before its FlowFile is committed; or NiFi doesn't take the page.
EVENTS = [
    "well",
    "state fails",
    "dies first",
    "dies after state",
    "dies before commit",
    "not taken",
    "dies after commit",
]


@given(st.lists(st.sampled_from(EVENTS), max_size=40), st.integers(1, 6))
def test_no_page_is_skipped_wherever_it_crashes(events: list[str], pages: int) -> None:
    run = replace(RUN, pages=pages)
    state: dict[str, str] = {}
    committed: list[int] = []
    progress: Progress | None = None
    for event in [*events, *["well"] * (pages + 1)]:
        if event == "dies first":
            progress = None
            continue
        if progress is None:
            progress = Progress(Cursor.of(state, run))
        todo = step(progress, run, 0)
        if todo.save is not None:
            if event == "state fails":
                continue  # create() raised: nothing was kept, nothing was emitted
            state = todo.save.state()
        progress = todo.progress
        if event in {"dies after state", "dies before commit"}:
            progress = None
        elif todo.page is not None and event != "not taken":
            progress = handed_over(progress, run, todo.page, 0)
            committed.append(todo.page)
            progress = None if event == "dies after commit" else progress
        assert int(state.get("next_page", "1")) <= max(committed, default=0) + 1
    assert list(dict.fromkeys(committed)) == list(range(1, pages + 1))


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://s.test/api/", "http://s.test/api/?results=100&page=2&seed=x"),
        ("http://s.test/api/?nat=us,gb", "http://s.test/api/?nat=us%2Cgb&results=100&page=2&seed=x"),
        ("http://s.test/api/?results=5&nat=&page=9&seed=q", "http://s.test/api/?nat=&results=100&page=2&seed=x"),
        (
            "https://s.test:8443/a%20b?inc=a&inc=b#top",
            "https://s.test:8443/a%20b?inc=a&inc=b&results=100&page=2&seed=x",
        ),
    ],
)
def test_the_address_of_a_page(url: str, expected: str) -> None:
    assert page_url(url, "x", 100, 2) == expected


def test_a_seed_is_encoded() -> None:
    assert (
        page_url("http://s.test/api/", "a b&c=é", 1, 1) == "http://s.test/api/?results=1&page=1&seed=a+b%26c%3D%C3%A9"
    )


def test_the_attributes_of_a_page() -> None:
    assert attributes(RUN, 2) == {
        "page:source": "randomuser",
        "page:url_digest": "325265a0",
        "page:seed": "x",
        "page:size": "100",
        "page:number": "2",
        "page:url": "http://s.test/api/?results=100&page=2&seed=x",
    }
