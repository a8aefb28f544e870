"""What a topic got since somebody looked last: by offsets that are remembered, never more than is asked for."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from nifi_flows.errors import TransientError
from scripts.monitor.facts import Offsets
from scripts.stack.engines import kafka
from scripts.stack.settings import Settings

_ANSWER = 10  # seconds for Kafka's answer to one question
_STALLED = 10  # seconds without a message that should be there
_BATCH = 500  # messages
_MOST_BYTES = 64 * 1024 * 1024  # a dead letter can be a whole page


@dataclass(frozen=True)
class Window:
    """The part of a topic to read. starts: where to begin, only where there is something. new: messages since then."""

    starts: Offsets
    ends: Offsets
    new: int


def window(held: Mapping[int, tuple[int, int]], begin: Mapping[int, int] | None, most: int) -> Window:
    """held: partition -> first and end offset. begin: where the look before ended; None reads nothing.

    Of more than `most` new messages the newest are read. A partition that ends before its `begin` is another topic of
    the same name: all of it is new.
    """
    ends = {partition: end for partition, (_, end) in held.items()}
    if begin is None:
        return Window({}, ends, 0)
    starts = {}
    for partition, (first, end) in held.items():
        start = begin.get(partition, first)
        starts[partition] = first if start > end else max(first, start)
    grown = {partition: start for partition, start in starts.items() if start < ends[partition]}
    new = sum(ends[partition] - start for partition, start in grown.items())
    each = max(1, most // max(1, len(grown)))
    return Window({partition: max(start, ends[partition] - each) for partition, start in grown.items()}, ends, new)


def since(settings: Settings, topic: str, begin: Mapping[int, int] | None, most: int) -> tuple[Window, Iterator[bytes]]:
    """The window and the values of its messages, which are read as they are taken; at most 64 MiB of them.

    Raises TransientError when Kafka does not answer, also while they are taken.
    """
    consumer = _consumer(settings)
    try:
        partitions = consumer.list_topics(topic, timeout=_ANSWER).topics[topic].partitions
        held = {p: consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=_ANSWER) for p in partitions}
    except KafkaException as error:
        consumer.close()
        raise _no_kafka(settings, error) from error
    found = window(held, begin, most)
    return found, _values(settings, consumer, topic, found)


def _values(settings: Settings, consumer: Consumer, topic: str, found: Window) -> Iterator[bytes]:
    left = dict(found.starts)
    size = 0
    try:
        consumer.assign([TopicPartition(topic, partition, start) for partition, start in left.items()])
        heard = time.monotonic()
        while left and size < _MOST_BYTES:
            messages = consumer.consume(_BATCH, timeout=0.2)
            if messages:
                heard = time.monotonic()
            elif time.monotonic() - heard > _STALLED:
                raise TransientError(f"{topic} sent nothing for {_STALLED} s", "./scripts/pipeline logs kafka")
            for message in messages:
                partition, offset, value = _opened(message)
                if offset < found.ends[partition]:
                    size += len(value)
                    yield value
            for position in consumer.position([TopicPartition(topic, partition) for partition in left]):
                if position.offset >= found.ends[position.partition]:
                    del left[position.partition]
    except KafkaException as error:
        raise _no_kafka(settings, error) from error
    finally:
        consumer.close()


def _opened(message: Message) -> tuple[int, int, bytes]:
    error, partition, offset, value = message.error(), message.partition(), message.offset(), message.value()
    if error:
        raise KafkaException(error)
    assert partition is not None and offset is not None
    return partition, offset, value or b""


def _consumer(settings: Settings) -> Consumer:
    return Consumer(
        {
            "bootstrap.servers": kafka.address(settings),
            "group.id": "monitor",  # which never joins or commits
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "queued.max.messages.kbytes": 16384,
            "receive.message.max.bytes": 128 * 1024 * 1024,
            "log_level": 0,
        }
    )


def _no_kafka(settings: Settings, error: KafkaException) -> TransientError:
    return TransientError(
        f"Kafka at {kafka.address(settings)} does not answer: {error.args[0]}", "./scripts/pipeline status"
    )
