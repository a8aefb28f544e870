"""What the consumer tells of an error, and when."""

import itertools
import logging
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

import pytest

from spark_consumer import consumer
from spark_consumer.beside import Beside
from spark_consumer.errors import NeedsNewProcess, TerminalError, TransientError
from spark_consumer.position import Position
from spark_consumer.safety import Safety
from spark_consumer.settings import ConsumerSettings
from spark_consumer.streaming import StreamFailed, Streaming
from spark_consumer.unsettled import Batch, Unsettled


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


def run(monkeypatch: pytest.MonkeyPatch, starts: Iterator[Start], clock: Clock) -> None:
    def start(context: Any, position: Any) -> Any:
        clock.starts += 1
        made = next(starts)
        clock.now += made.seconds
        if not made.seconds:
            raise made.error

        def watch(stop: Any) -> None:
            raise made.error

        return SimpleNamespace(watch=watch, steady=made.steady, advanced=made.advanced, position=position)

    monkeypatch.setattr(consumer, "Streaming", start)
    monkeypatch.setattr(consumer, "_ended", lambda spark: False)
    monkeypatch.setattr(consumer, "time", SimpleNamespace(monotonic=lambda: clock.now))
    broker = SimpleNamespace(topic=lambda name: SimpleNamespace(name=name, spans={}), position=lambda *_: None)
    context = SimpleNamespace(broker=broker, settings=SimpleNamespace(topic="t"), spark=None, sign=lambda sign: None)
    consumer._stream(cast(Any, context), cast(Any, clock))


AWAY = TransientError("no answer")


def test_spark_is_started_again_when_no_start_gets_further(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    with pytest.raises(TransientError, match="no answer; Spark itself is started again"):
        run(monkeypatch, itertools.repeat(Start(AWAY)), clock)
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


def test_a_process_that_can_not_go_on_is_left_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    with pytest.raises(NeedsNewProcess):
        run(monkeypatch, itertools.repeat(Start(NeedsNewProcess("no schema"))), clock)
    assert clock.starts == 1
