"""Which frames are to be swept, whatever the stream reads and reads again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_consumer.unsettled import Batch, Unobserved, Unsettled


def batch(start: int, end: int, refused: int = 0) -> Batch:
    return Batch({0: start}, {0: end}, refused)


MOST = 100


def after(*batches: Batch, swept: int = 0, most: int = MOST) -> Unsettled:
    state = Unsettled({0: swept}, most)
    for one in batches:
        state = state.with_batch(one)
    return state


def test_good_frames_need_no_sweep() -> None:
    assert after(batch(0, 5), batch(5, 9)) == Unsettled({0: 9}, MOST)


def test_a_batch_with_refused_frames_is_due_and_what_follows_waits() -> None:
    state = after(batch(0, 5), batch(5, 9, 2), batch(9, 12))
    assert (state.swept, state.due) == ({0: 5}, batch(5, 12, 2))
    assert state.sweeping().settled() == Unsettled({0: 12}, MOST)


def test_what_is_being_swept_does_not_change() -> None:
    state = after(batch(0, 5, 1)).sweeping().with_batch(batch(5, 9, 1)).with_batch(batch(9, 11))
    assert state.due == batch(0, 5, 1)
    state = state.settled()
    assert (state.swept, state.due) == ({0: 5}, batch(5, 11, 1))


def test_after_a_sweep_good_frames_that_waited_are_settled() -> None:
    state = after(batch(0, 5, 1)).sweeping().with_batch(batch(5, 9))
    assert state.settled() == Unsettled({0: 9}, MOST)


def test_frames_that_are_read_again_stay_settled() -> None:
    assert after(batch(2, 5, 1), batch(5, 9), swept=9) == Unsettled({0: 9}, MOST)
    assert after(batch(2, 11, 1), swept=9).due == batch(9, 11, 1)


def test_frames_that_were_not_seen_are_not_passed_over() -> None:
    with pytest.raises(Unobserved):
        after(batch(0, 5), batch(6, 9))


def test_a_partition_that_is_new_begins_with_its_first_frame() -> None:
    assert after(Batch({0: 0}, {0: 5, 1: 8})).swept == {0: 5, 1: 8}
    with pytest.raises(Unobserved):
        after(Batch({0: 0, 1: 4}, {0: 0, 1: 8}))


def test_a_sweep_is_not_too_large() -> None:
    state = after(batch(0, 6, 1), batch(6, 10), batch(10, 16, 2), batch(16, 17), most=10)
    assert [one.end for one in state.pending] == [{0: 10}, {0: 17}]


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 1), st.booleans()), max_size=30), st.integers(1, 20))
def test_every_refused_frame_is_swept_once(made: list[tuple[int, int, bool]], largest: int) -> None:
    """Batches of one to nine frames, of which the last may be refused; after some, a sweep ends."""
    state, at, refused, swept = Unsettled({0: 0}, largest), 0, set(), list[int]()

    def sweep(state: Unsettled) -> Unsettled:
        if state.due:
            swept.extend(offset for offset in range(state.due.start[0], state.due.end[0]) if offset in refused)
            return state.sweeping().settled()
        return state

    for frames, bad, sweeps in made:
        if bad:
            refused.add(at + frames - 1)
        state = state.with_batch(batch(at, at + frames, bad))
        at += frames
        state = sweep(state) if sweeps else state
    while state.due:
        state = sweep(state)
    assert sorted(swept) == sorted(refused)
    assert state.swept == {0: at}
