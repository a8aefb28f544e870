"""Makes the stream's progress visible to ordinary Kafka lag tools. The checkpoint stays the truth."""

import json
import logging
from collections.abc import Callable

from kafka import KafkaAdminClient
from kafka.errors import KafkaError
from kafka.structs import OffsetAndMetadata, TopicPartition
from pyspark.sql.streaming.listener import (
    QueryIdleEvent,
    QueryProgressEvent,
    QueryStartedEvent,
    QueryTerminatedEvent,
    StreamingQueryListener,
)

_log = logging.getLogger(__name__)

Offsets = dict[TopicPartition, OffsetAndMetadata]


class LagListener(StreamingQueryListener):
    """Commits each finished batch's end offsets and logs its size, rate and times, one line a batch.

    commit: takes the offsets, may raise KafkaError or OSError: logged, tried again when the stream next reports
    (after a batch, or every 10 s of idling), and never the stream's trouble.
    """

    def __init__(self, commit: Callable[[Offsets], None]) -> None:
        self._commit = commit
        self._pending: Offsets = {}

    def onQueryStarted(self, event: QueryStartedEvent) -> None:
        _log.info("stream started: run %s", event.runId)

    def onQueryProgress(self, event: QueryProgressEvent) -> None:
        progress = event.progress
        # not numInputRows: that counts a frame again each time a batch is read again
        frames = sum(newly_read(source.startOffset, source.endOffset) for source in progress.sources)
        milliseconds = progress.durationMs.get("triggerExecution", 0)
        _log.info(
            "batch %d: %s frames, %.0f/s, times in ms %s",
            progress.batchId,
            frames,
            frames * 1000 / max(milliseconds, 1),
            json.dumps(progress.durationMs),
        )
        for source in progress.sources:
            self._pending |= end_offsets(source.endOffset)
        self._flush()

    def onQueryIdle(self, event: QueryIdleEvent) -> None:
        self._flush()

    def onQueryTerminated(self, event: QueryTerminatedEvent) -> None:
        _log.info("stream ended: run %s", event.runId)

    def _flush(self) -> None:
        if not self._pending:
            return
        try:
            self._commit(self._pending)
            self._pending = {}
        except (KafkaError, OSError) as error:
            _log.warning("offsets for lag tools not committed: %s: %s", type(error).__name__, error)


def end_offsets(progress: str | None) -> Offsets:
    """Offsets to commit from a Kafka source's progress: {"topic": {"partition": next offset}} as JSON.

    Before the first batch there is no position; PySpark then says None, as a text.
    """
    topics: dict[str, dict[str, int]] = {} if progress in (None, "", "None", "null") else json.loads(str(progress))
    return {
        TopicPartition(topic, int(partition)): OffsetAndMetadata(offset, "", -1)
        for topic, partitions in topics.items()
        for partition, offset in partitions.items()
    }


def newly_read(start: str | None, end: str | None) -> int:
    """Offsets between two positions of a Kafka source; partitions that start doesn't know count from 0."""
    before = end_offsets(start)
    return sum(
        after.offset - (before[partition].offset if partition in before else 0)
        for partition, after in end_offsets(end).items()
    )


class GroupOffsets:
    """Commits offsets to a consumer group without members. Connects at the first call, again after a failure."""

    def __init__(self, brokers: str, group: str) -> None:
        self._brokers = brokers.split(",")
        self._group = group
        self._admin: KafkaAdminClient | None = None

    def __call__(self, offsets: Offsets) -> None:
        """Raises KafkaError when the group did not take them all."""
        try:
            self._admin = self._admin or KafkaAdminClient(bootstrap_servers=self._brokers, client_id=self._group)
            answers = self._admin.alter_group_offsets(self._group, offsets)
            for partition, answer in answers.items():
                if answer.errno:
                    raise answer(f"{partition.topic}/{partition.partition} of group {self._group}")
        except (KafkaError, OSError):
            self.close()
            raise

    def close(self) -> None:
        if self._admin is not None:
            self._admin.close()
            self._admin = None
