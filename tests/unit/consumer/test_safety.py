"""Which rows are on Cassandra's disk."""

import pytest

from spark_consumer.safety import Restarted, Safety

NODE = {"a": 100}


def written(*at: tuple[float, int]) -> Safety:
    safety = Safety(5, NODE, {0: 0})
    for moment, end in at:
        safety = safety.written(moment, {0: end})
    return safety


def test_rows_are_safe_when_their_node_has_lived_on_for_long_enough() -> None:
    safety = written((10, 3), (12, 7), (14, 9))
    assert safety.asked(14.9, NODE).safe == {0: 0}
    assert safety.asked(15, NODE).safe == {0: 3}
    assert safety.asked(18, NODE).asked(18, NODE).safe == {0: 7}
    assert safety.asked(19, NODE).acknowledged == ()


def test_a_node_that_was_started_again_may_have_lost_them() -> None:
    with pytest.raises(Restarted, match="a"):
        written((10, 3)).asked(99, {"a": 101})


def test_a_node_that_joins_counts_from_then_on() -> None:
    safety = written((10, 3)).asked(15, {"a": 100, "b": 7})
    assert safety.safe == {0: 3}
    with pytest.raises(Restarted, match="b"):
        safety.asked(16, {"a": 100, "b": 8})


def test_while_nobody_answers_little_is_remembered() -> None:
    safety = written(*((float(moment), moment) for moment in range(10_000)))
    assert len(safety.acknowledged) <= 256
    assert safety.acknowledged[-1] == (9999.0, {0: 9999})
    assert safety.asked(20_000, NODE).safe == {0: 9999}
    for at in range(0, 9999, 500):
        assert safety.asked(at + 5, NODE).safe[0] <= at
