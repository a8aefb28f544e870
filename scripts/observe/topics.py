"""The one reader of Kafka's topics: what they hold and who is how far. It joins no group and commits nothing.

Whatever asks Kafka here raises TransientError when it does not answer within `patience` seconds.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import confluent_kafka
from confluent_kafka import Consumer, KafkaException, TopicPartition

from nifi_flows.errors import TransientError
from scripts.stack.engines import kafka
from scripts.stack.settings import Settings
from spark_consumer.broker import Broker
from spark_consumer.errors import ConsumerError
from spark_consumer.position import Position as Kept

PATIENCE = 10.0  # seconds for an answer, and for a message that should be there
_NOBODY = "observe"  # a group without members
_BATCH = 5_000  # messages
_AGAIN = 1.0  # seconds until a Kafka that has just been started is asked again

Offsets = dict[int, int]  # partition -> offset of the next message


@dataclass(frozen=True)
class Span:
    """The offsets that a partition holds: the first one, and the one that the next message will get."""

    first: int
    end: int


@dataclass(frozen=True)
class Position(Span):
    """committed: where a consumer group is in it, None while it has committed nothing.

    swept: up to where what the group refused is dead letters; as `committed`, for a group that says nothing of it.
    lane: in which the group's stream goes; empty for a group that says nothing of it.
    """

    committed: int | None
    swept: int | None = None
    lane: str = ""

    @property
    def lag(self) -> int:
        return self.end - max(self.first, self.committed or 0)

    @property
    def lost(self) -> int:
        """Messages that were removed before the group came to them; one that has committed nothing may be new."""
        return 0 if self.committed is None else max(0, self.first - self.committed)

    @property
    def unfinished(self) -> int:
        """Messages that are neither read nor, where they were refused, dead letters."""
        return self.end - max(self.first, min(self.committed or 0, self.end if self.swept is None else self.swept))


@dataclass(frozen=True)
class Message:
    """value: empty for a tombstone. at: when it was made, in milliseconds since 1970."""

    partition: int
    offset: int
    key: bytes
    value: bytes
    headers: Mapping[str, bytes]
    at: int


@dataclass(frozen=True)
class Window:
    """The part of a topic to read. starts: where to begin, only where there is something.

    new: messages in it, with those that were too many and are not read.
    """

    starts: Offsets
    ends: Offsets
    new: int


def window_of_all(held: Mapping[int, Span]) -> Window:
    return window_since(held, {}, sum(span.end - span.first for span in held.values()))


def window_of_newest(held: Mapping[int, Span], count: int) -> Window:
    """The last `count` messages of each partition."""
    starts = {p: max(span.first, span.end - count) for p, span in held.items() if span.end > span.first}
    ends = {partition: span.end for partition, span in held.items()}
    return Window(starts, ends, sum(ends[partition] - start for partition, start in starts.items()))


def window_since(held: Mapping[int, Span], begin: Mapping[int, int] | None, most: int) -> Window:
    """begin: where the look before ended; None reads nothing.

    Of more than `most` new messages the newest are read. A partition that ends before its `begin` is another topic of
    the same name: all of it is new.
    """
    ends = {partition: span.end for partition, span in held.items()}
    if begin is None:
        return Window({}, ends, 0)
    starts = {}
    for partition, span in held.items():
        start = begin.get(partition, span.first)
        starts[partition] = span.first if start > span.end else max(span.first, start)
    grown = {partition: start for partition, start in starts.items() if start < ends[partition]}
    new = sum(ends[partition] - start for partition, start in grown.items())
    each = new if new <= most else max(1, most // len(grown))
    return Window({partition: max(start, ends[partition] - each) for partition, start in grown.items()}, ends, new)


def spans(settings: Settings, topic: str, patience: float = PATIENCE) -> dict[int, Span]:
    """Partition -> what it holds; {} of a topic that is not there."""
    with _consumer(settings, _NOBODY) as consumer:
        return _spans(consumer, topic, patience)


def length(settings: Settings, topic: str, patience: float = PATIENCE) -> int:
    """Messages that a topic holds, by its offsets."""
    return sum(span.end - span.first for span in spans(settings, topic, patience).values())


def positions(settings: Settings, topic: str, group: str, patience: float = PATIENCE) -> dict[int, Position]:
    """Partition -> how far a consumer group is in it; a Kafka that has no coordinator for groups yet is asked again.

    The group through its own client: what librdkafka gives of a group's notes runs on into memory behind them.
    """
    deadline = time.monotonic() + patience
    while True:
        left = max(_AGAIN, deadline - time.monotonic())
        try:
            held = spans(settings, topic, left)
            kept = _kept(settings, topic, group, held, left)
        except TransientError:
            if time.monotonic() + _AGAIN > deadline:
                raise
        else:
            committed, swept, lane = (kept.done, kept.swept, kept.lane) if kept else ({}, {}, "")
            return {p: Position(span.first, span.end, committed.get(p), swept.get(p), lane) for p, span in held.items()}
        time.sleep(_AGAIN)


def _kept(settings: Settings, topic: str, group: str, held: Mapping[int, Span], patience: float) -> Kept | None:
    asked = Broker(kafka.address(settings), group, patience)
    try:
        return asked.position(topic, held)
    except ConsumerError as error:
        raise TransientError(str(error), "./scripts/pipeline status") from error
    finally:
        asked.close()


def read(settings: Settings, topic: str, patience: float = PATIENCE) -> Iterator[Message]:
    """Every message that a topic holds now, partition by partition as Kafka serves them."""
    return _messages(settings, topic, window_of_all(spans(settings, topic, patience)), patience)


def newest(settings: Settings, topic: str, count: int, patience: float = PATIENCE) -> Iterator[Message]:
    """The last `count` messages of each partition."""
    return _messages(settings, topic, window_of_newest(spans(settings, topic, patience), count), patience)


def since(
    settings: Settings,
    topic: str,
    begin: Mapping[int, int] | None,
    most: int,
    most_bytes: int,
    patience: float = PATIENCE,
) -> tuple[Window, Iterator[Message]]:
    """What a topic got since somebody looked last, see `window_since`; the messages are read as they are taken.

    most_bytes: after so many bytes of values no more are given.
    """
    window = window_since(spans(settings, topic, patience), begin, most)
    return window, _messages(settings, topic, window, patience, most_bytes)


def _messages(
    settings: Settings, topic: str, window: Window, patience: float, most_bytes: float = float("inf")
) -> Iterator[Message]:
    left = set(window.starts)
    if not left:
        return
    size = 0
    with _consumer(settings, _NOBODY) as consumer:
        consumer.assign([TopicPartition(topic, partition, start) for partition, start in window.starts.items()])
        heard = time.monotonic()
        while left:
            batch = consumer.consume(_BATCH, timeout=0.2)
            if batch:
                heard = time.monotonic()
            elif time.monotonic() - heard > patience:
                raise TransientError(f"{topic} sent nothing for {patience:g} s", "./scripts/pipeline logs kafka")
            for message in map(_opened, batch):
                if message.offset < window.ends[message.partition]:
                    yield message
                    size += len(message.value)
                    if size >= most_bytes:
                        return
            for position in consumer.position([TopicPartition(topic, partition) for partition in left]):
                if position.offset >= window.ends[position.partition]:
                    left.remove(position.partition)


def _opened(message: confluent_kafka.Message) -> Message:
    error, partition, offset = message.error(), message.partition(), message.offset()
    if error:
        raise KafkaException(error)
    assert partition is not None and offset is not None
    headers = {name: value for name, value in dict(message.headers() or []).items() if isinstance(value, bytes)}
    return Message(
        partition, offset, _bytes(message.key()), _bytes(message.value()), headers, int(message.timestamp()[1])
    )


def _bytes(value: str | bytes | None) -> bytes:
    return value.encode() if isinstance(value, str) else value or b""


def _spans(consumer: Consumer, topic: str, patience: float) -> dict[int, Span]:
    partitions = consumer.list_topics(topic, timeout=patience).topics[topic].partitions
    return {p: Span(*consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=patience)) for p in partitions}


@contextmanager
def _consumer(settings: Settings, group: str) -> Iterator[Consumer]:
    """Turns what the client raises into a TransientError."""
    address = kafka.address(settings)
    consumer = Consumer(
        {
            "bootstrap.servers": address,
            "group.id": group,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "queued.max.messages.kbytes": 16 * 1024,  # a dead letter can be a whole page
            "fetch.message.max.bytes": 8 * 1024 * 1024,
            "receive.message.max.bytes": 256 * 1024 * 1024,
            "log_level": 0,
        }
    )
    try:
        yield consumer
    except KafkaException as error:
        raise TransientError(
            f"Kafka at {address} does not answer: {error.args[0]}", "./scripts/pipeline status"
        ) from error
    finally:
        consumer.close()
