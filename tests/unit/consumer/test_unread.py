"""Where the stream stands before something that it does not read."""

from spark_consumer.unread import Unread


def test_a_partition_stands_still_from_when_it_was_first_seen_there() -> None:
    unread = Unread().seen({0: 5, 1: 9}, {0: 6, 1: 9}, 100.0)
    assert unread.seconds(100.0) == 0
    unread = unread.seen({0: 5, 1: 9}, {0: 6, 1: 9}, 107.0)
    assert unread.seconds(108.0) == 8


def test_a_partition_that_moves_or_is_read_to_its_end_does_not() -> None:
    before = Unread().seen({0: 5}, {0: 6, 1: 3}, 100.0)
    moved = before.seen({0: 6, 1: 1}, {0: 7, 1: 3}, 110.0)
    assert moved.seconds(115.0) == 5
    assert before.seen({0: 6, 1: 3}, {0: 6, 1: 3}, 110.0).seconds(200.0) == 0
