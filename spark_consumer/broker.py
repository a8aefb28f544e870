"""Kafka beside the stream: what its topics hold, and the position, which is kept in the consumer group.

The group has no members. Its committed offsets are what lag tools show; the rest of the position is in their metadata.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin import OffsetSpec as _Untyped  # type: ignore[attr-defined]

from spark_consumer.errors import TerminalError, TransientError
from spark_consumer.position import Position, Span, Topic, noted

OffsetSpec: Any = _Untyped
_SECONDS = 5.0  # for an answer
_REMEDY = "see that Kafka runs"


class Broker:
    """Asks and tells Kafka. Everything raises TransientError when it doesn't answer within some seconds."""

    def __init__(self, brokers: str, group: str) -> None:
        """brokers: host:port, several with commas."""
        self._group = group
        self._admin = AdminClient({"bootstrap.servers": brokers, "client.id": group, "log_level": 0})

    def topic(self, name: str) -> Topic:
        """The topic as it is. Raises TerminalError when there is none."""
        with _asking(f"topic {name}"):
            try:
                described = self._admin.describe_topics(TopicCollection([name]), request_timeout=_SECONDS)[name].result(
                    _SECONDS
                )
            except KafkaException as error:
                if error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                    raise TerminalError(f"Kafka has no topic {name}", "./scripts/run makes it") from error
                raise
            partitions = [partition.id for partition in described.partitions]
            first, end = self._offsets(name, partitions, OffsetSpec.earliest()), self._ends(name, partitions)
            return Topic(name, str(described.topic_id), {p: Span(first[p], end[p]) for p in partitions})

    def at(self, topic: Topic, milliseconds: int) -> dict[int, int]:
        """The first offsets of frames that are of this time or later, in milliseconds since 1970; the end without."""
        with _asking(f"topic {topic.name}"):
            found = self._offsets(topic.name, topic.spans, OffsetSpec.for_timestamp(milliseconds))
            return {p: found[p] if found[p] >= 0 else span.end for p, span in topic.spans.items()}

    def position(self, topic: str) -> Position | None:
        """What is kept of the group's position in the topic; None when there is nothing."""
        with _asking(f"the offsets of group {self._group}"):
            asked = [ConsumerGroupTopicPartitions(self._group)]
            answers = self._admin.list_consumer_group_offsets(asked, request_timeout=_SECONDS)
            answer = answers[self._group].result(_SECONDS)
            kept = {
                found.partition: (found.offset, found.metadata or "")
                for found in answer.topic_partitions or []
                if found.topic == topic and found.offset >= 0
            }
        return noted(kept)

    def keep(self, topic: str, position: Position) -> None:
        """Keep the position."""
        notes = position.notes()
        offsets = [TopicPartition(topic, p, offset, metadata=notes[p]) for p, offset in position.done.items()]
        with _asking(f"to keep the offsets of group {self._group}"):
            request = [ConsumerGroupTopicPartitions(self._group, offsets)]
            answers = self._admin.alter_consumer_group_offsets(request, request_timeout=_SECONDS)
            for told in answers[self._group].result(_SECONDS).topic_partitions or []:
                if told.error:
                    raise KafkaException(told.error)

    def _ends(self, topic: str, partitions: Iterable[int]) -> dict[int, int]:
        return self._offsets(topic, partitions, OffsetSpec.latest())

    def _offsets(self, topic: str, partitions: Iterable[int], which: Any) -> dict[int, int]:
        asked = {TopicPartition(topic, partition): which for partition in partitions}
        answers = self._admin.list_offsets(asked, request_timeout=_SECONDS)
        return {at.partition: int(answer.result(_SECONDS).offset) for at, answer in answers.items()}


@contextmanager
def _asking(what: str) -> Iterator[None]:
    try:
        yield
    except KafkaException as error:
        raise TransientError(f"Kafka, asked for {what}: {error.args[0].str()}", _REMEDY) from error
    except TimeoutError as error:
        raise TransientError(f"Kafka, asked for {what}, does not answer within {_SECONDS:g} s", _REMEDY) from error
