"""Which rows are on Cassandra's disk."""

import pytest

from spark_consumer.safety import Restarted, Safety

NODE = {"a": 100}


def written(*at: tuple[float, int]) -> Safety:
    safety = Safety(5, NODE, {0: 0}, seen=at[0][0])
    for moment, end in at:
        safety = safety.written(moment, {0: end})
    return safety


def looked(safety: Safety, until: float) -> Safety:
    """Asked each second up to then."""
    while safety.seen < until:
        safety = safety.asked(min(safety.seen + 1, until), NODE)
    return safety


def test_rows_are_safe_when_their_node_has_lived_on_for_long_enough() -> None:
    safety = looked(written((10, 3)), 12).written(12, {0: 7})
    assert looked(safety, 14.9).safe == {0: 0}
    assert looked(safety, 15).safe == {0: 3}
    assert looked(safety, 17).safe == {0: 7}
    assert looked(safety, 17).acknowledged == ()


def test_a_node_that_was_stopped_meanwhile_has_not_lived() -> None:
    safety = looked(written((10, 3)), 11).asked(60, NODE)
    assert safety.safe == {0: 3} and safety.lived == 6
    safety = looked(written((10, 3)), 10.5).written(50, {0: 8}).asked(60, NODE)
    assert safety.safe == {0: 3}
    assert looked(safety, 64).safe == {0: 3}
    assert looked(safety, 65).safe == {0: 8}


def test_nothing_is_safe_while_a_node_does_not_answer() -> None:
    safety = Safety(5, {"a": 1, "b": 2}, {0: 0}, seen=0).written(0, {0: 3})
    for at in range(1, 30):
        safety = safety.asked(at, {"a": 1, "b": None})
    assert safety.safe == {0: 0}
    with pytest.raises(Restarted, match="b"):
        safety.asked(31, {"a": 1, "b": 3})


def test_a_node_that_was_started_again_may_have_lost_them() -> None:
    with pytest.raises(Restarted, match="a"):
        written((10, 3)).asked(99, {"a": 101})


def test_a_node_that_joins_counts_from_then_on() -> None:
    safety = written((10, 3)).asked(15, {"a": 100, "b": 7})
    assert safety.safe == {0: 3}
    with pytest.raises(Restarted, match="b"):
        safety.asked(16, {"a": 100, "b": 8})
    with pytest.raises(Restarted, match="b"):
        safety.asked(16, NODE).asked(17, {"a": 100, "b": 8})


def test_while_nobody_answers_little_is_remembered() -> None:
    safety = written(*((float(moment), moment) for moment in range(10_000)))
    assert len(safety.acknowledged) <= 256
    assert safety.acknowledged[-1][1] == {0: 9999}
    assert looked(safety, 30).safe == {0: 9999}
