"""Kafka beside the stream: what its topics hold, and the position, which is kept in the consumer group.

The group has no members. Its committed offsets are what lag tools show; the rest of the position is in their metadata.

Not with librdkafka's admin client, which the rest of this folder's Kafka is asked through: once its broker was away, it
waits for the group's coordinator for ever, or ends the process by a failed assertion
(https://github.com/confluentinc/librdkafka/issues/5511).
"""

import logging
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, ClassVar

from kafka import KafkaAdminClient
from kafka.admin import OffsetSpec
from kafka.errors import UnknownTopicOrPartitionError, for_code
from kafka.structs import OffsetAndMetadata, TopicPartition

from spark_consumer.errors import ConsumerError, TerminalError, TransientError, first_line
from spark_consumer.position import Position, Span, Topic, noted

_SECONDS = 5.0
_REMEDY = "see that Kafka runs"

logging.getLogger("kafka").setLevel(logging.CRITICAL)  # what the client raises is told in one line of ours
_UNKNOWN = UnknownTopicOrPartitionError.errno


class Broker:
    """Asks and tells Kafka. Everything raises TransientError when a step of an answer takes longer than `seconds`.

    Connects at the first call, and again after one that failed. Threads may share it.
    """

    def __init__(self, brokers: str, group: str, seconds: float = _SECONDS) -> None:
        """brokers: host:port, several with commas. seconds: for each step of an answer."""
        self._options = {"bootstrap_servers": brokers.split(","), "client_id": group} | _within(seconds)
        self._group = group
        self._seconds = seconds
        self._admin: KafkaAdminClient | None = None
        self._lock = threading.Lock()

    def topic(self, name: str) -> Topic:
        """The topic as it is. Raises TerminalError when there is none."""
        with self._asked(f"topic {name}") as admin:
            [described] = admin.describe_topics([name])
            if described["error_code"] == _UNKNOWN:
                raise TerminalError(f"Kafka has no topic {name}", "./scripts/run makes it")
            if described["error_code"]:
                raise for_code(described["error_code"])()
            partitions = [partition["partition_index"] for partition in described["partitions"]]
            first = _offsets(admin, name, partitions, OffsetSpec.EARLIEST)
            end = _offsets(admin, name, partitions, OffsetSpec.LATEST)
            return Topic(name, str(described["topic_id"]), {p: Span(first[p], end[p]) for p in partitions})

    def at(self, topic: Topic, milliseconds: int) -> dict[int, int]:
        """The first offsets of frames that are of this time or later, in milliseconds since 1970; the end without."""
        with self._asked(f"topic {topic.name}") as admin:
            found = _offsets(admin, topic.name, topic.spans, milliseconds)
            return {p: found[p] if found[p] >= 0 else span.end for p, span in topic.spans.items()}

    def position(self, topic: str, partitions: Collection[int]) -> Position | None:
        """What is kept of the group's position in the topic; None when there is nothing.

        partitions: those that the topic has. Of others, which an earlier one of its name had, nothing counts.
        """
        with self._asked(f"the offsets of group {self._group}") as admin:
            found: Mapping[Any, Any] = admin.list_group_offsets([self._group])[self._group]
        return noted(
            {
                partition.partition: (kept.offset, kept.metadata or "")
                for partition, kept in found.items()
                if partition.topic == topic and partition.partition in partitions and kept.offset >= 0
            }
        )

    def keep(self, topic: str, position: Position) -> None:
        """Keep the position."""
        notes = position.notes()
        offsets = {
            TopicPartition(topic, partition): OffsetAndMetadata(offset, notes[partition], -1)
            for partition, offset in position.done.items()
        }
        with self._asked(f"to keep the offsets of group {self._group}") as admin:
            for error in admin.alter_group_offsets(self._group, offsets).values():
                if error.errno:
                    raise error()

    @contextmanager
    def _asked(self, what: str) -> Iterator[KafkaAdminClient]:
        if not self._lock.acquire(timeout=4 * self._seconds):
            raise TransientError(f"Kafka, asked for {what}: still asked for something else", _REMEDY)
        try:
            self._admin = self._admin or _Admin(**self._options)
            yield self._admin
        except ConsumerError:
            raise
        except Exception as error:  # also what its thread for the network raises, of any kind
            self.close()
            raise TransientError(f"Kafka, asked for {what}: {first_line(str(error))}", _REMEDY) from error
        finally:
            self._lock.release()

    def close(self) -> None:
        admin, self._admin = self._admin, None
        if admin is not None:
            with suppress(Exception):  # it may be broken, and its thread too
                admin.close()


class _Admin(KafkaAdminClient):  # type: ignore[misc]  # it has no types
    """Gives up soon, and leaves no thread behind when it cannot connect, as KafkaAdminClient does at each attempt."""

    # of the connections beneath; the client hands them on and doesn't list them
    DEFAULT_CONFIG: ClassVar[dict[str, Any]] = {
        **KafkaAdminClient.DEFAULT_CONFIG,
        "socket_connection_setup_timeout_ms": 0,
        "socket_connection_setup_timeout_max_ms": 0,
    }

    def __init__(self, **options: Any) -> None:
        try:
            super().__init__(**options)
        except Exception:
            if hasattr(self, "_net"):  # and with it a running thread
                self._closed = False  # close() takes a client that never connected for closed
                self.close()
            raise


def _within(seconds: float) -> dict[str, int]:
    names = ("bootstrap", "request", "socket_connection_setup")
    milliseconds = round(seconds * 1000)
    return {f"{name}_timeout_ms": milliseconds for name in names} | {
        "socket_connection_setup_timeout_max_ms": milliseconds
    }


def _offsets(admin: KafkaAdminClient, topic: str, partitions: Iterable[int], which: Any) -> dict[int, int]:
    asked = {TopicPartition(topic, partition): which for partition in partitions}
    return {found.partition: at.offset for found, at in admin.list_partition_offsets(asked).items()}
