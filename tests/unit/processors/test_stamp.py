"""No two publications of records share a microsecond, whatever versions a page meets."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nifi_processors.page import MAX_RECORDS
from nifi_processors.stamp import SLOTS, SPACING, outdated

AT = 1_700_000_000_000_000


def test_a_page_of_this_version_stays_as_it_is() -> None:
    assert outdated({"page:flow_version": "v1", "page:moves": "2"}, AT, "v1") == {}


@pytest.mark.parametrize("noted", ["v0", "", None])
def test_a_page_of_another_version_or_of_none_moves(noted: str | None) -> None:
    moved = outdated({"page:flow_version": noted, "page:moves": None}, AT, "v1")
    assert moved == {"page:fetched_at": str(AT + 5_000), "page:moves": "1"}


@pytest.mark.parametrize("moves", ["3", "9", "x", "-1"])
def test_a_page_without_a_slot_left_is_stamped_anew(moves: str) -> None:
    assert outdated({"page:flow_version": "v0", "page:moves": moves}, AT, "v1") == {
        "page:fetched_at": "",
        "page:moves": "0",
    }


class Stamping:
    """What "Stamp time of receipt" does. floor: its state."""

    def __init__(self) -> None:
        self.floor = 0

    def __call__(self, attributes: dict[str, str], received: int, flow_version: str) -> dict[str, str]:
        self.floor = max(received, self.floor + SPACING)
        kept = attributes.get("page:fetched_at") or str(self.floor)
        return {**attributes, "page:fetched_at": kept, "page:flow_version": flow_version}


PAGES = st.lists(st.tuples(st.integers(-SPACING, SPACING), st.integers(0, 2 * SLOTS)), min_size=2, max_size=8)


@given(PAGES)
def test_publications_of_pages_never_overlap_and_pages_keep_their_order(pages: list[tuple[int, int]]) -> None:
    """pages: of each, by how much the clock moves before it, and how many versions it meets while it waits."""
    stamp, clock = Stamping(), AT
    spans: list[tuple[int, int]] = []
    waiting = []
    for number, (moved, _) in enumerate(pages):
        clock += moved
        waiting.append((number, clock, stamp({}, clock, "v0")))
    for number, received, attributes in waiting:
        for version in range(pages[number][1] + 1):
            while change := outdated(attributes, int(attributes["page:fetched_at"]), f"v{version}"):
                attributes = stamp({**attributes, **change}, received, f"v{version}")
            begin = int(attributes["page:fetched_at"])
            spans.append((begin, number))
    times = sorted(begin for begin, _ in spans)
    assert all(later - earlier >= MAX_RECORDS for earlier, later in pairwise(times))
    if all(versions < SLOTS for _, versions in pages):
        assert [number for _, number in sorted(spans)] == sorted(number for _, number in spans)
