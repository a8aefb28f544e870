"""Where the stream starts, for what was kept of it and what Kafka holds."""

import json
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_consumer.errors import TerminalError
from spark_consumer.position import Position, Sending, Span, Topic, check_topic, frames, noted, reset, resumed


def topic(spans: Mapping[int, tuple[int, int]], id_: str = "one") -> Topic:
    return Topic("users", id_, {partition: Span(*span) for partition, span in spans.items()})


def kept(position: Position) -> Position | None:
    """As the group of the topic gives it back."""
    notes = position.notes()
    return noted({partition: (offset, notes[partition]) for partition, offset in position.done.items()})


def test_at_first_it_starts_with_the_first_frame() -> None:
    assert resumed(None, topic({0: (0, 9), 1: (0, 4)})) == Position("one", {0: 0, 1: 0}, {0: 0, 1: 0}, {0: 0, 1: 0})


def test_a_position_that_is_gone_passes_over_nothing() -> None:
    with pytest.raises(TerminalError, match="begins at offset 3 of partition 0, and was read up to 0: 3 frames"):
        resumed(None, topic({0: (3, 9)}))


def test_it_starts_where_rows_are_safe_and_no_frame_is_left_out() -> None:
    before = Position("one", {0: 50, 1: 60}, {0: 40, 1: 55}, {0: 50, 1: 52})
    start = {0: 40, 1: 52}
    assert resumed(before, topic({0: (0, 90), 1: (0, 90)})) == Position("one", start, start, {0: 50, 1: 52})


def test_a_partition_that_is_new_starts_with_its_first_frame() -> None:
    before = Position("one", {0: 5}, {0: 5}, {0: 5})
    assert resumed(before, topic({0: (0, 9), 1: (0, 9)})).done == {0: 5, 1: 0}
    with pytest.raises(TerminalError, match="2 of partition 1"):
        resumed(before, topic({0: (0, 9), 1: (2, 9)}))


def test_a_partition_that_is_only_done_is_neither_safe_nor_swept() -> None:
    before = kept(Position("one", {0: 5, 1: 4}, {0: 5}, {0: 5}))
    assert before == Position("one", {0: 5, 1: 4}, {0: 5, 1: 0}, {0: 5, 1: 0})
    assert resumed(before, topic({0: (0, 9), 1: (0, 9)})).done == {0: 5, 1: 0}


def test_what_retention_removed_after_it_was_read_is_not_missed() -> None:
    before = Position("one", {0: 50}, {0: 40}, {0: 50})
    assert resumed(before, topic({0: (45, 90)})).done == {0: 45}


@pytest.mark.parametrize("swept", [50, 44])
def test_frames_that_were_removed_unread_are_not_passed_over(swept: int) -> None:
    before = Position("one", {0: 50}, {0: 44}, {0: swept})
    with pytest.raises(TerminalError, match=f"read up to {swept}: {60 - swept} frames were removed unread") as caught:
        resumed(before, topic({0: (60, 90)}))
    assert "consumer reset --earliest" in caught.value.remedy


def test_a_topic_that_lost_its_end_is_read_from_there() -> None:
    before = Position("one", {0: 50}, {0: 50}, {0: 50}, Sending({0: 3}, {0: 50}))
    found = resumed(before, topic({0: (0, 20)}))
    assert (found.done, found.swept, found.sending) == ({0: 20}, {0: 20}, None)
    assert resumed(before, topic({0: (0, 50)})).sending == before.sending


def test_another_topic_of_the_name_is_not_taken_for_the_one_before() -> None:
    before = Position("one", {0: 50}, {0: 50}, {0: 50})
    with pytest.raises(TerminalError, match="users was made anew"):
        resumed(before, topic({0: (0, 900)}, "two"))
    with pytest.raises(TerminalError, match="users was made anew"):
        check_topic(before, topic({}, "two"))
    check_topic(before, topic({}))


@pytest.mark.parametrize("note", ["", "junk", "[]", "{}", '{"safe": "x", "swept": -1, "topic": 3}'])
def test_offsets_without_a_note_of_ours_are_where_to_go_on(note: str) -> None:
    assert noted({0: (7, note)}) == Position("", {0: 7}, {0: 7}, {0: 7})
    assert resumed(noted({0: (7, note)}), topic({0: (0, 9)})).topic_id == "one"
    assert noted({}) is None


def test_safe_is_never_further_than_done() -> None:
    assert noted({0: (7, json.dumps({"safe": 9, "swept": 9}))}) == Position("", {0: 7}, {0: 7}, {0: 9})


OFFSETS = st.dictionaries(st.integers(0, 5), st.integers(0, 10**12), min_size=1)


@given(OFFSETS, st.integers(0, 99), st.integers(-99, 99), st.none() | st.builds(Sending, OFFSETS, OFFSETS))
def test_what_is_kept_comes_back(done: dict[int, int], age: int, swept: int, sending: Sending | None) -> None:
    safe = {partition: max(0, offset - age) for partition, offset in done.items()}
    position = Position("x", done, safe, {p: max(0, offset + swept) for p, offset in done.items()}, sending)
    assert kept(position) == position
    assert all(len(note) < 4096 for note in position.notes().values())  # Kafka's offset.metadata.max.bytes


def test_a_reset_makes_no_second_letters_of_the_same_topic() -> None:
    sending = Sending({0: 3}, {0: 50})
    before = Position("one", {0: 50}, {0: 40}, {0: 45}, sending)
    assert reset(before, topic({0: (0, 90)}), {0: 0}) == Position("one", {0: 0}, {0: 0}, {0: 45}, sending)
    assert reset(before, topic({0: (0, 90)}), {0: 70}).swept == {0: 70}
    assert reset(before, topic({0: (0, 90)}, "two"), {0: 0}) == Position("two", {0: 0}, {0: 0}, {0: 0})
    assert reset(None, topic({0: (0, 90)}), {0: 5}) == Position("one", {0: 5}, {0: 5}, {0: 5})


def test_letters_are_being_sent_until_the_last_of_their_frames_is_swept() -> None:
    sending = Sending({0: 3}, {0: 50}).extended({0: 40, 1: 7})
    assert sending == Sending({0: 3}, {0: 50, 1: 7})
    assert [sending.ended(swept) for swept in ({0: 50}, {0: 40, 1: 7}, {0: 50, 1: 9})] == [False, False, True]


def test_frames_are_counted_by_offsets() -> None:
    assert frames({0: 10, 1: 4}, {0: 12, 1: 4, 2: 3}) == 5
