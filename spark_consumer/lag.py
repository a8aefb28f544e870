"""Makes the stream's progress visible to ordinary Kafka lag tools. The checkpoint stays the truth."""

import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Protocol

from kafka import KafkaAdminClient
from kafka.structs import OffsetAndMetadata, TopicPartition

_log = logging.getLogger(__name__)
_RETRY_SECONDS = 5.0
_ANSWER_MS = 2000  # for each step of a commit; the main thread waits for it, so a stop waits with it

Offsets = dict[TopicPartition, OffsetAndMetadata]
Position = Mapping[str, Mapping[str, int]] | None  # topic -> partition -> next offset; None before the first batch
Progress = Mapping[str, Any]  # a StreamingQueryProgress as PySpark gives it


class Stream(Protocol):
    """What a StreamingQuery shows of its progress; recentProgress keeps the last hundred, oldest first."""

    @property
    def lastProgress(self) -> Progress | None: ...
    @property
    def recentProgress(self) -> Sequence[Progress]: ...


class LagReporter:
    """Commits each finished batch's end offsets and logs its size, rate and times, one line a batch.

    Looks at the stream again and again, and is no StreamingQueryListener: what PySpark does to hand one event to Python
    takes as long as a small batch.
    commit: takes the offsets. Whatever it raises is logged and tried again after some seconds.
    """

    def __init__(self, commit: Callable[[Offsets], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._commit = commit
        self._clock = clock
        self._reported: int | None = None
        self._pending: Offsets = {}
        self._not_before = 0.0

    def __call__(self, stream: Stream) -> None:
        """Report the batches that ended since the last call, and commit what is not committed yet."""
        for progress in self._finished(stream):
            self._log_batch(progress)
            for source in progress["sources"]:
                self._pending |= end_offsets(source["endOffset"])
        if self._pending and self._clock() >= self._not_before:
            self._flush()

    def _finished(self, stream: Stream) -> list[Progress]:
        last = stream.lastProgress
        if last is None:
            return []
        # All that is recent costs a hundred times the last: only when the last shows that some were passed over.
        passed_over = self._reported is None or last["batchId"] > self._reported + 1
        known = -1 if self._reported is None else self._reported
        looked_at = stream.recentProgress if passed_over else [last]
        ended = [progress for progress in looked_at if progress["batchId"] > known and _has_batch(progress)]
        newest = ended[-1]["batchId"] if ended else last["batchId"] - 1  # a progress without a batch is of the next
        self._reported = max(known, newest)
        return ended

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
        except Exception as error:  # noqa: BLE001 - the checkpoint is the truth: no failure here may end the stream
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


def _has_batch(progress: Progress) -> bool:
    """Whether it is of a batch, rather than of a trigger that found nothing to read."""
    return "addBatch" in progress["durationMs"]


class _Admin(KafkaAdminClient):  # type: ignore[misc]  # it has no types
    """Gives up soon, and leaves no thread behind when it cannot connect, as KafkaAdminClient does at each attempt."""

    DEFAULT_CONFIG: ClassVar[dict[str, Any]] = {
        **KafkaAdminClient.DEFAULT_CONFIG,
        "bootstrap_timeout_ms": _ANSWER_MS,
        "request_timeout_ms": _ANSWER_MS,
        # of the connections beneath; the client hands them on and doesn't list them
        "socket_connection_setup_timeout_ms": _ANSWER_MS,
        "socket_connection_setup_timeout_max_ms": _ANSWER_MS,
    }

    def __init__(self, **options: Any) -> None:
        try:
            super().__init__(**options)
        except Exception:
            if hasattr(self, "_net"):  # and with it a running thread
                self._closed = False  # close() takes a client that never connected for closed
                self.close()
            raise


class GroupOffsets:
    """Commits offsets to a consumer group without members. Connects at the first call, again after a failure."""

    def __init__(self, brokers: str, group: str) -> None:
        self._brokers = brokers.split(",")
        self._group = group
        self._admin: KafkaAdminClient | None = None

    def __call__(self, offsets: Offsets) -> None:
        """Raises KafkaError when the group did not take them all, and whatever else the client raises."""
        try:
            self._admin = self._admin or _Admin(bootstrap_servers=self._brokers, client_id=self._group)
            answers = self._admin.alter_group_offsets(self._group, offsets)
            for partition, answer in answers.items():
                if answer.errno:
                    raise answer(f"{partition.topic}/{partition.partition} of group {self._group}")
        except Exception:
            self.close()
            raise

    def close(self) -> None:
        if self._admin is not None:
            self._admin.close()
            self._admin = None
