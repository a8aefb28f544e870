"""What the consumer tells of an error, and when."""

import itertools
import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

import pytest

from spark_consumer import consumer, progress
from spark_consumer import streaming as streaming_module
from spark_consumer.beside import Beside
from spark_consumer.decode import MET_REFUSED
from spark_consumer.errors import NeedsNewProcess, TerminalError, TransientError
from spark_consumer.lanes import Course
from spark_consumer.liveness import SILENT
from spark_consumer.names import CONTINUOUS, MICRO_BATCH, Lane
from spark_consumer.position import Position, Span, Topic
from spark_consumer.progress import Epoch, Epochs, Stalled
from spark_consumer.safety import Safety
from spark_consumer.settings import ConsumerSettings
from spark_consumer.streaming import Again, ChangeLane, StreamFailed, Streaming
from spark_consumer.unread import Unread
from spark_consumer.unsettled import Batch, Unsettled
from tests.unit.consumer.local_spark import SETTINGS


def test_why_it_ends_is_told_before_spark_is_stopped_which_may_hang(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[str] = []
    monkeypatch.setattr(
        consumer, "create_spark_connection", lambda _: SimpleNamespace(stop=lambda: told.append(caplog.text))
    )
    signs: list[bytes] = []
    with pytest.raises(TransientError), consumer._session(cast(ConsumerSettings, None), signs.append):
        raise TransientError("the stream does not stop: 10s are over")
    assert signs == [b"f"]
    assert "the stream does not stop: 10s are over" in told[0]


def test_a_sweep_that_fails_says_what_to_do(caplog: pytest.LogCaptureFixture) -> None:
    streaming: Any = SimpleNamespace(_context=SimpleNamespace(sweeping=Beside[bool]("sweep")))
    with caplog.at_level(logging.WARNING):
        Streaming._not_swept(streaming, TerminalError("the registry has no such schema", "deploy the schemas first"))
        Streaming._not_swept(streaming, ValueError("one\ntwo"))
    assert "not dead letters yet: the registry has no such schema (deploy the schemas first)" in caplog.text
    assert "not dead letters yet: ValueError: one" in caplog.text


def test_a_stream_that_failed_says_why_although_kafka_does_not_keep_its_position(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def keep(*_: object) -> None:
        raise TransientError("Kafka is away", "see that Kafka runs")

    streaming: Any = Streaming.__new__(Streaming)
    streaming._context = SimpleNamespace(
        broker=SimpleNamespace(keep=keep), settings=SimpleNamespace(topic="t"), sweeping=Beside[bool]("sweep")
    )
    streaming._query = SimpleNamespace(isActive=False, exception=lambda: "Cassandra refuses it", stop=lambda: None)
    streaming._ended = SimpleNamespace(ended=lambda _: [])
    streaming._safety = Safety(25, {}, {0: 3}, seen=0)
    streaming._unsettled = Unsettled({0: 5}, 10)
    streaming.position = Position("id", {0: 5}, {0: 0}, {0: 0})
    with pytest.raises(StreamFailed, match="Cassandra refuses it"):
        streaming.watch(threading.Event())
    assert "the position is not kept yet: Kafka is away (see that Kafka runs)" in caplog.text
    assert streaming.position == Position("id", {0: 5}, {0: 3}, {0: 5})


def test_a_start_gets_further_only_beyond_what_it_reads_again() -> None:
    streaming: Any = Streaming.__new__(Streaming)
    streaming._context = SimpleNamespace(sign=lambda sign: None)
    streaming._before, streaming._first, streaming._query = {0: 9}, None, None
    streaming._calm_since, streaming._unclear = 0.0, {}
    streaming._safety, streaming._unsettled = Safety(25, {}, {0: 3}, seen=0), Unsettled({0: 3}, 10)
    streaming.position = Position("id", {0: 3}, {0: 3}, {0: 3})
    batches = iter([Batch({0: 3}, {0: 9}), Batch({0: 9}, {0: 10})])
    streaming._ended = SimpleNamespace(ended=lambda _: [next(batches)])
    streaming._take_batches()
    assert not streaming.advanced
    streaming._take_batches()
    assert streaming.advanced


class Clock:
    """Instead of the time and of pauses, which only move it on. After `most` starts it stops whoever waits."""

    def __init__(self, most: int = 50) -> None:
        self.now, self.starts, self._most = 1000.0, 0, most
        self.lanes: list[Lane] = []
        self.calms: list[float] = []

    def is_set(self) -> bool:
        return self.starts >= self._most

    def wait(self, seconds: float) -> None:
        self.now += seconds


@dataclass
class Start:
    """A start of the stream that lasts so long, and then fails with this; at once when it can't even begin."""

    error: Exception
    advanced: bool = False
    steady: bool = False
    seconds: float = 0.0


def run(
    monkeypatch: pytest.MonkeyPatch, starts: Iterator[Start], clock: Clock, learn: Callable[[], bool] = lambda: False
) -> None:
    def start(context: Any, position: Any, lane: Lane, calm: float) -> Any:
        clock.starts += 1
        clock.lanes.append(lane)
        clock.calms.append(calm)
        made = next(starts)
        clock.now += made.seconds
        if not made.seconds:
            raise made.error

        def watch(stop: Any) -> None:
            raise made.error

        return SimpleNamespace(watch=watch, steady=made.steady, advanced=made.advanced, position=position, learn=learn)

    monkeypatch.setattr(consumer, "Streaming", start)
    monkeypatch.setattr(consumer, "_ended", lambda spark: False)
    monkeypatch.setattr(consumer, "time", SimpleNamespace(monotonic=lambda: clock.now))
    context = SimpleNamespace(
        broker=SimpleNamespace(topic=lambda name: SimpleNamespace(name=name, spans={}), position=lambda *_: None),
        settings=SimpleNamespace(topic="t", lane=CONTINUOUS, calm_seconds=60.0),
        spark=None,
        sign=lambda sign: None,
    )
    consumer._stream(cast(Any, context), cast(Any, clock), Course(CONTINUOUS, 60.0, 60.0))


AWAY = TransientError("no answer")


def test_spark_is_started_again_when_no_start_gets_further(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    with pytest.raises(TransientError, match="no answer; Spark itself is started again"):
        run(monkeypatch, itertools.repeat(Start(AWAY)), clock)
    assert 1180 < clock.now < 1200


def test_spark_is_started_again_whatever_mixture_of_failures_gets_no_further(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, failed = Clock(), Start(StreamFailed("the stream failed"), seconds=1)
    with pytest.raises(TransientError, match="no answer; Spark itself is started again"):
        run(monkeypatch, itertools.chain([failed], itertools.repeat(Start(AWAY))), clock)
    assert 1180 < clock.now < 1200


def test_spark_is_kept_while_starts_of_the_stream_still_get_further(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    run(monkeypatch, itertools.cycle([Start(AWAY), Start(AWAY, advanced=True, seconds=5)]), clock)
    assert clock.starts == 50


def test_spark_is_kept_after_a_failure_that_the_stream_had_long_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(most=2)
    run(monkeypatch, iter([Start(AWAY, advanced=True, seconds=500), Start(AWAY)]), clock)
    assert clock.starts == 2


def test_pauses_begin_anew_once_the_stream_was_steady(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(most=7)
    steady = Start(AWAY, advanced=True, steady=True, seconds=40)
    run(monkeypatch, itertools.chain([Start(AWAY)] * 5, [steady], [Start(AWAY)]), clock)
    assert clock.now - 1000 == (1 + 2 + 4 + 8 + 15) + 40 + 1 + 2


def test_a_change_of_lane_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(most=3)
    changes = [ChangeLane(MICRO_BATCH, "met one"), ChangeLane(CONTINUOUS, "none for a while"), AWAY]
    run(monkeypatch, (Start(change, seconds=1) for change in changes), clock)
    assert clock.lanes == [CONTINUOUS, MICRO_BATCH, CONTINUOUS]
    assert clock.now == 1000 + 3 + 1, "there is a pause after the failure alone"


def test_a_new_start_does_not_make_a_lane_that_lasted_a_short_one(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(most=4)
    changes = [ChangeLane(CONTINUOUS, "calm"), Again("a node was restarted"), ChangeLane(MICRO_BATCH, "met one"), AWAY]
    seconds = iter([1, 600, 5, 1])
    run(monkeypatch, (Start(change, advanced=True, seconds=next(seconds)) for change in changes), clock)
    assert clock.calms[-1] == 60


def test_a_stream_that_stalls_gets_to_micro_batches_before_spark_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    stall = progress._FIRST + 10  # and to stop it
    assert stall < SILENT, "or it is ended by force"
    longest = stall + SILENT  # with its start
    stalls = [Start(Stalled("no epoch"), seconds=longest)] * 3
    with pytest.raises(TransientError, match="no batch; Spark itself is started again"):
        run(monkeypatch, iter([*stalls, Start(StreamFailed("no batch"), seconds=longest)]), clock)
    assert clock.lanes == [CONTINUOUS] * 3 + [MICRO_BATCH]


def test_spark_is_kept_when_a_start_fails_right_after_a_change_of_lane(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(most=3)
    starts = [Start(ChangeLane(MICRO_BATCH, "met one"), advanced=True, seconds=500), Start(AWAY), Start(AWAY)]
    run(monkeypatch, iter(starts), clock)
    assert clock.starts == 3


def test_micro_batches_are_tried_when_the_stream_itself_only_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, failed = Clock(most=5), Start(StreamFailed("the stream failed"), seconds=1)
    batches = Start(StreamFailed("the stream failed"), advanced=True, seconds=1)
    run(monkeypatch, iter([failed, failed, failed, batches, failed]), clock)
    assert clock.lanes == [CONTINUOUS] * 3 + [MICRO_BATCH] * 2
    clock = Clock(most=5)
    run(monkeypatch, itertools.repeat(Start(AWAY, seconds=1)), clock)
    assert clock.lanes == [CONTINUOUS] * 5


def test_a_stream_that_fails_in_both_lanes_goes_on_in_the_one_that_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(most=9)
    run(monkeypatch, itertools.repeat(Start(StreamFailed("Cassandra is away"), seconds=1)), clock)
    assert clock.lanes == ([CONTINUOUS] * 3 + [MICRO_BATCH]) * 2 + [CONTINUOUS]


def test_spark_is_started_again_when_micro_batches_worked_once_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, failed = Clock(), Start(StreamFailed("the stream failed"), seconds=1)
    batches = Start(StreamFailed("the stream failed"), advanced=True, seconds=1)
    with pytest.raises(TransientError, match="the stream failed; Spark itself is started again"):
        run(monkeypatch, itertools.chain([failed] * 3, [batches], itertools.repeat(failed)), clock)
    assert clock.lanes[3:] == [MICRO_BATCH] * (clock.starts - 3)


def test_a_schema_that_was_registered_since_keeps_the_stream_in_its_lane(monkeypatch: pytest.MonkeyPatch) -> None:
    met = ChangeLane(MICRO_BATCH, "met one", unknown_schema=True)
    for learn, lane in ((lambda: True, CONTINUOUS), (lambda: False, MICRO_BATCH), (_away, MICRO_BATCH)):
        clock = Clock(most=2)
        run(monkeypatch, iter([Start(met, advanced=True, seconds=5), Start(AWAY)]), clock, learn)
        assert clock.lanes == [CONTINUOUS, lane]


def _away() -> bool:
    raise AWAY


@pytest.mark.parametrize(
    ("lane", "doubts", "begun"),
    [
        (CONTINUOUS, 0, Course(CONTINUOUS, 60.0, 60.0)),
        (CONTINUOUS, 1, Course(MICRO_BATCH, 60.0, 120.0, 3)),
        (CONTINUOUS, 9, Course(MICRO_BATCH, 60.0, 960.0, 3)),
        (MICRO_BATCH, 1, Course(MICRO_BATCH, 60.0, 60.0)),
    ],
)
def test_a_process_after_one_that_took_too_long_in_the_continuous_lane_begins_with_micro_batches(
    monkeypatch: pytest.MonkeyPatch, lane: Lane, doubts: int, begun: Course
) -> None:
    courses: list[Course] = []
    monkeypatch.setattr(consumer, "WriterSchemas", lambda *_: Schemas())
    monkeypatch.setattr(consumer, "Broker", lambda *_: None)
    monkeypatch.setattr(consumer, "create_spark_connection", lambda _: SimpleNamespace(stop=lambda: None))
    monkeypatch.setattr(consumer, "_stream", lambda context, stop, course: courses.append(course))
    settings = SETTINGS.model_copy(update={"lane": lane})
    consumer.run(settings, threading.Event(), lambda sign: None, doubts)
    assert courses == [begun]


class Schemas:
    """Of a registry that has one."""

    def refresh(self) -> bool:
        return True

    def __call__(self) -> dict[int, str]:
        return {1: "{}"}


def test_rows_do_not_wait_for_a_registry_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumer, "_ANSWER", 0.05)
    ended, hung = threading.Event(), threading.Event()
    met = ChangeLane(MICRO_BATCH, "met one", unknown_schema=True)

    def hangs() -> bool:
        ended.wait(60)
        hung.set()
        return True

    clock = Clock(most=2)
    try:
        run(monkeypatch, iter([Start(met, advanced=True, seconds=5), Start(AWAY)]), clock, hangs)
        assert clock.lanes == [CONTINUOUS, MICRO_BATCH]
        assert not hung.is_set()
    finally:
        ended.set()


class Looks:
    """At a continuous stream that stands before a record at 5, each after so many seconds."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.epoch = 100.0, -1
        monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: self.now))
        streaming: Any = Streaming.__new__(Streaming)
        streaming._context = SimpleNamespace(sign=lambda sign: None)
        streaming._safety = SimpleNamespace(asked=lambda *_: streaming._safety)
        streaming._partitions, streaming._unread, streaming._committing = {0: 0}.keys(), Unread(), True
        streaming._first = None
        streaming.position = Position("id", {0: 5}, {0: 5}, {0: 5})
        streaming._ended = Epochs({0: 5}, lambda query: Epoch(self.epoch, {0: 5}) if self.epoch >= 0 else None)
        self.streaming = streaming

    def look(self, seconds: float, *, committed: bool, end: int = 6) -> None:
        self.now += seconds
        self.epoch += committed
        self.streaming._ended.ended(None)
        look = streaming_module._Look(0.0, {}, Topic("t", "id", {0: Span(0, end)}))
        self.streaming._looking = SimpleNamespace(result=lambda: look)
        self.streaming._take_look()


def test_what_a_transaction_left_is_passed_in_micro_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = Looks(monkeypatch)
    for _ in range(30):
        looks.look(0.5, committed=True, end=5)
    for _ in range(21):
        looks.look(0.5, committed=True)
    with pytest.raises(ChangeLane, match="transaction") as raised:
        looks.look(0.5, committed=True)
    assert raised.value.lane == MICRO_BATCH


@pytest.mark.parametrize("before", [False, True])
def test_epochs_that_come_late_do_not_make_a_frame_something_else(
    monkeypatch: pytest.MonkeyPatch, before: bool
) -> None:
    """The first one, or one that waited for Cassandra: those without a frame that were due meanwhile come at once."""
    looks = Looks(monkeypatch)
    for _ in range(20 * before):
        looks.look(0.5, committed=True, end=5)
    for _ in range(44):
        looks.look(0.5, committed=False)
    for _ in range(20):
        looks.look(0.5, committed=True)


def test_a_batch_with_a_refused_frame_leaves_it_open_what_is_further_on() -> None:
    streaming: Any = Streaming.__new__(Streaming)
    streaming._context = SimpleNamespace(sign=lambda sign: None)
    streaming._before, streaming._first, streaming._query = {0: 0}, None, None
    streaming._safety, streaming._unsettled = Safety(25, {}, {0: 0}, seen=0), Unsettled({0: 0}, 10)
    streaming.position, streaming._unclear = Position("id", {0: 0}, {0: 0}, {0: 0}), {0: 1000}
    streaming._ended = SimpleNamespace(ended=lambda _: [Batch({0: 0}, {0: 5}, refused=1)])
    streaming._take_batches()
    assert streaming._unclear == {0: 1000}
    streaming._ended = SimpleNamespace(ended=lambda _: [Batch({0: 5}, {0: 2000}, refused=1)])
    streaming._take_batches()
    assert streaming._unclear == {0: 2000}


def test_a_refused_frame_is_read_off_what_the_stream_failed_with() -> None:
    plan = f"Filter if (isnull(reasons)) (pinned >= 0) else raise_error(concat({MET_REFUSED}, topic#4, /, partition#5))"
    change = streaming_module._failed(f"Job aborted\n{plan}\n RuntimeException: {MET_REFUSED}t/1#7 bad_magic\n at")
    assert isinstance(change, ChangeLane) and change.lane == MICRO_BATCH and not change.unknown_schema
    assert str(change) == "the continuous lane met a refused frame, t/1#7 bad_magic"
    change = streaming_module._failed(f"{plan}\n RuntimeException: {MET_REFUSED}t/1#7 unknown_schema:9\n at")
    assert isinstance(change, ChangeLane) and change.unknown_schema
    assert isinstance(streaming_module._failed(f"Job aborted\n{plan}"), StreamFailed)


def test_the_lane_that_is_set_comes_back_once_no_refused_frame_will_be_read_again() -> None:
    streaming: Any = Streaming.__new__(Streaming)
    streaming._context = SimpleNamespace(settings=SimpleNamespace(lane=CONTINUOUS))
    streaming._lane, streaming._calm_since, streaming._calm_seconds, streaming._fits = MICRO_BATCH, 1000.0, 60, True
    streaming._unclear = {0: 8}
    swept, due = Unsettled({0: 9}, 10), Unsettled({0: 5}, 10, (Batch({0: 5}, {0: 8}, 1),))
    safe, unsafe = Position("id", {0: 9}, {0: 8}, {0: 9}), Position("id", {0: 9}, {0: 7}, {0: 9})
    for now, unsettled, position in ((1059.0, swept, safe), (1061.0, due, safe), (1061.0, swept, unsafe)):
        streaming._unsettled, streaming.position = unsettled, position
        streaming._check_lane(now)
    streaming._unsettled, streaming.position, streaming._fits = swept, safe, False
    streaming._check_lane(1061.0)
    streaming._fits = True
    with pytest.raises(ChangeLane) as raised:
        streaming._check_lane(1061.0)
    assert raised.value.lane == CONTINUOUS


def test_an_epoch_without_frames_is_no_sign_of_progress() -> None:
    signs: list[bytes] = []
    streaming: Any = Streaming.__new__(Streaming)
    streaming._context = SimpleNamespace(sign=signs.append)
    streaming._before, streaming._first, streaming._query, streaming._committing = {0: 0}, None, None, False
    streaming._safety, streaming._unsettled = Safety(25, {}, {0: 3}, seen=0), Unsettled({0: 3}, 10)
    streaming.position = Position("id", {0: 3}, {0: 3}, {0: 3})
    batches = iter([Batch({0: 3}, {0: 3}), Batch({0: 3}, {0: 4})])
    streaming._ended = SimpleNamespace(ended=lambda _: [next(batches)])
    streaming._take_batches()
    assert not signs and streaming._committing
    streaming._take_batches()
    assert signs == [b"c"]


def test_a_process_that_can_not_go_on_is_left_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    with pytest.raises(NeedsNewProcess):
        run(monkeypatch, itertools.repeat(Start(NeedsNewProcess("no schema"))), clock)
    assert clock.starts == 1
