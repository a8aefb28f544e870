"""Makes the stream's progress visible to ordinary Kafka lag tools. The checkpoint stays the truth."""

import json
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from kafka import KafkaAdminClient
from kafka.errors import KafkaError
from kafka.structs import OffsetAndMetadata, TopicPartition

_log = logging.getLogger(__name__)
_RETRY_SECONDS = 5.0

Offsets = dict[TopicPartition, OffsetAndMetadata]
Position = Mapping[str, Mapping[str, int]] | None  # topic -> partition -> next offset; None before the first batch


class LagReporter:
    """Commits each finished batch's end offsets and logs its size, rate and times, one line a batch.

    Told of the stream's last progress again and again, and not a StreamingQueryListener: what PySpark does to hand one
    event to Python takes as long as a small batch.
    commit: takes the offsets, may raise KafkaError or OSError: logged, tried again after some seconds, and never the
    stream's trouble.
    """

    def __init__(self, commit: Callable[[Offsets], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._commit = commit
        self._clock = clock
        self._reported: int | None = None
        self._pending: Offsets = {}
        self._not_before = 0.0

    def __call__(self, progress: Mapping[str, Any] | None) -> None:
        """progress: StreamingQuery.lastProgress as a dict."""
        if progress and progress["batchId"] != self._reported and "addBatch" in progress["durationMs"]:
            self._reported = progress["batchId"]
            self._log_batch(progress)
            for source in progress["sources"]:
                self._pending |= end_offsets(source["endOffset"])
        if self._pending and self._clock() >= self._not_before:
            self._flush()

    def _log_batch(self, progress: Mapping[str, Any]) -> None:
        # not numInputRows: that counts a frame again each time a batch is read again
        frames = sum(newly_read(source["startOffset"], source["endOffset"]) for source in progress["sources"])
        _log.info(
            "batch %d: %s frames, %.0f/s, times in ms %s",
            progress["batchId"],
            frames,
            frames * 1000 / max(progress["durationMs"].get("triggerExecution", 0), 1),
            json.dumps(progress["durationMs"]),
        )

    def _flush(self) -> None:
        try:
            self._commit(self._pending)
            self._pending = {}
        except (KafkaError, OSError) as error:
            self._not_before = self._clock() + _RETRY_SECONDS
            _log.warning("offsets for lag tools not committed: %s: %s", type(error).__name__, error)


def end_offsets(position: Position) -> Offsets:
    """Offsets to commit from a Kafka source's position."""
    return {
        TopicPartition(topic, int(partition)): OffsetAndMetadata(offset, "", -1)
        for topic, partitions in (position or {}).items()
        for partition, offset in partitions.items()
    }


def newly_read(start: Position, end: Position) -> int:
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
