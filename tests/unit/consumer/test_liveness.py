"""When the stream's process is ended by force, and how long its next start is waited for."""

import pytest

from spark_consumer.liveness import Clock, Stream, pause


def lived(*signs: tuple[float, bytes], begun: float = 100.0) -> Stream:
    stream = Stream(begun)
    for at, sign in signs:
        stream = stream.heard(sign, at)
    return stream


@pytest.mark.parametrize(
    ("stream", "allowed", "why"),
    [
        (lived(), 280.0, "has not begun to read within 181 s"),
        (lived((250.0, b"bbb")), 280.0, "has not begun to read within 181 s"),
        (lived((150.0, b"a")), 330.0, "has not begun to read within 181 s"),
        (lived((110.0, b"c"), (150.0, b"a")), 210.0, "has committed nothing for 61 s"),
        (lived((110.0, b"c")), 170.0, "has committed nothing for 61 s, and there is something to read"),
        (lived((110.0, b"i"), (150.0, b"bc?")), 210.0, "has committed nothing for 61 s"),
        (lived((110.0, b"c"), (160.0, b"b")), 170.0, "has committed nothing for 61 s"),
        (lived((110.0, b"c"), (120.0, b"f"), (140.0, b"ccc")), 150.0, "has failed and not ended within 30 s"),
        (lived((110.0, b"cf")), 140.0, "has failed and not ended within 30 s"),
        (lived((110.0, b"c")).broken(115.0).broken(130.0), 145.0, "has failed and not ended within 30 s"),
        (lived().broken(101.0), 131.0, "has failed and not ended within 30 s"),
        (lived((110.0, b"c")).stopping(165.0).stopping(180.0), 190.0, "has not ended within 25 s"),
        (lived().broken(101.0).stopping(120.0), 145.0, "has not ended within 25 s"),
    ],
)
def test_a_stream_that_gives_no_sign_is_overdue(stream: Stream, allowed: float, why: str) -> None:
    assert stream.overdue(allowed) is None
    assert (stream.overdue(allowed + 1) or "").startswith(why)


def test_earlier_failures_are_forgotten_after_a_while_of_commits() -> None:
    assert not lived().steady
    assert not lived((110.0, b"c"), (139.0, b"c")).steady
    assert lived((110.0, b"c"), (140.0, b"c")).steady
    assert lived((110.0, b"i"), (140.0, b"i")).steady, "with nothing to read, it does well, too"
    assert not lived((110.0, b"c"), (140.0, b"b")).steady
    assert not lived((110.0, b"a"), (140.0, b"a")).steady, "to start again and again is not to do well"


def test_the_lane_is_that_of_the_last_start() -> None:
    assert not lived().continuous
    assert lived((101.0, b"l"), (102.0, b"ca")).continuous
    assert not lived((101.0, b"lcm")).continuous
    assert lived((101.0, b"m"), (102.0, b"aml")).continuous


def test_the_pause_grows_to_a_limit() -> None:
    assert [pause(failures) for failures in (1, 2, 3, 4, 5, 6, 5000)] == [1, 2, 4, 8, 15, 15, 15]


def test_the_time_in_which_the_machine_stood_still_is_not_counted() -> None:
    clock = Clock(1000.0)
    assert clock.tick(1001.5) == 1.5
    assert clock.tick(9001.5) == 6.5
    assert clock.tick(9000.0) == 6.5, "it never goes back"
    assert clock.tick(9001.0) == 7.5
