"""What a stream tells of its batches or epochs, and a line in the log for what is new."""

import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from pyspark.sql.streaming.query import StreamingQuery

from spark_consumer.errors import TransientError
from spark_consumer.liveness import Clock
from spark_consumer.position import Offsets, frames
from spark_consumer.stream import SEEN
from spark_consumer.unsettled import Batch

_log = logging.getLogger(__name__)

_FIRST = 40.0  # seconds until the first epoch is committed, at most: tasks have to be started
_STALLED = 30.0  # seconds from an epoch to the next, at most
_NEXT = 1.0  # seconds within which the next one is soon

Progress = Mapping[str, Any]  # a StreamingQueryProgress as PySpark gives it


class Stream(Protocol):
    """What a StreamingQuery shows of its progress; recentProgress keeps the last hundred, oldest first."""

    @property
    def lastProgress(self) -> Progress | None: ...
    @property
    def recentProgress(self) -> Sequence[Progress]: ...


class Batches:
    """The batches of one start of the stream, each once.

    Looks at the stream again and again, and is no StreamingQueryListener: what PySpark does to hand one event to Python
    takes as long as a small batch.
    """

    def __init__(self, topic: str, start: Offsets) -> None:
        self._topic = topic
        self._reported = -1
        self._start = start

    def ended(self, stream: Stream) -> list[Batch]:
        """Those that ended since the last call."""
        found = [self._batch(progress) for progress in self._news(stream)]
        if found:
            self._start = found[-1].end
        return found

    def _news(self, stream: Stream) -> list[Progress]:
        last = stream.lastProgress
        if last is None or last["batchId"] <= self._reported:
            return []
        # All that is recent costs a hundred times the last: only when the last shows that some were passed over.
        looked_at = stream.recentProgress if last["batchId"] > self._reported + 1 else [last]
        news = [progress for progress in looked_at if progress["batchId"] > self._reported and _has_batch(progress)]
        if news:
            self._reported = news[-1]["batchId"]
        return news

    def _batch(self, progress: Progress) -> Batch:
        [source] = progress["sources"]
        end = _offsets(source["endOffset"], self._topic)
        start = _offsets(source["startOffset"], self._topic) or self._start
        seen = progress.get("observedMetrics", {}).get(SEEN)
        batch = Batch(start, end, seen["refused"] if seen else 1)
        took = progress["durationMs"]
        _log.info(
            "batch %d: %s frames, %.0f/s, times in ms %s",
            progress["batchId"],
            batch.frames,
            batch.frames * 1000 / max(took.get("triggerExecution", 0), 1),
            json.dumps(took),
        )
        return batch


@dataclass(frozen=True)
class Epoch:
    """The last epoch that a stream of the continuous lane has committed. It ends at `end`."""

    number: int
    end: Offsets


class Stalled(TransientError):
    """Raised when a stream commits no epoch any more, although it would also commit an empty one."""


class Epochs:
    """The epochs of one start of the stream, those between two looks as one batch. None of them refused a frame."""

    def __init__(self, start: Offsets, read: Callable[[StreamingQuery], Epoch | None]) -> None:
        self._read = read
        self._last = Epoch(-1, start)
        self._clock = Clock(time.monotonic())
        self._at = self._flowing_since = self._clock.now

    def ended(self, stream: StreamingQuery) -> list[Batch]:
        """What was committed since the last call; an idle epoch is a batch without frames."""
        epoch, now = self._read(stream), self._clock.tick(time.monotonic())
        if epoch is None or epoch.number == self._last.number:
            return []
        read = frames(self._last.end, epoch.end)
        batch = Batch(self._last.end, epoch.end)
        if read:
            took = now - self._at
            _log.info("epoch %d: %d frames, %.0f/s, in %.2f s", epoch.number, read, read / max(took, 0.001), took)
        if now > self._at + _NEXT or self._last.number < 0:
            self._flowing_since = now
        self._last, self._at = epoch, now
        return [batch]

    @property
    def now(self) -> float:
        """The time, of a clock that stands still with the process."""
        return self._clock.now

    @property
    def flowing(self) -> float:
        """Seconds for which epochs have come one soon after the other; 0 when the last one is too long ago."""
        return self.now - self._flowing_since if self._last.number >= 0 and self.now <= self._at + _NEXT else 0.0

    def excuse(self) -> None:
        """An engine does not answer: how long there was no epoch counts from now on."""
        self._at = self._clock.now

    def check(self) -> None:
        """Raises Stalled when the last epoch is too long ago."""
        patience = _FIRST if self._last.number < 0 else _STALLED
        if self._clock.now > self._at + patience:
            raise Stalled(f"the stream has committed no epoch for {patience:g} s")


def epoch(topic: str, query: StreamingQuery) -> Epoch | None:
    """The last committed epoch of a stream that reads this topic; None before the first."""
    found = committed(query)
    return Epoch(found[0], _offsets(json.loads(found[1]), topic)) if found else None


def committed(query: StreamingQuery) -> tuple[int, str] | None:
    """Number and end of the last committed epoch, by the stream's own logs, which keep some; None before the first."""
    execution: Any = query._jsq.streamingQuery()
    number = execution.commitLog().getLatestBatchId()
    if not number.isDefined():
        return None
    logged = execution.offsetLog().get(number.get())
    return (number.get(), logged.get().offsets().head().get().json()) if logged.isDefined() else None


def _offsets(position: Any, topic: str) -> dict[int, int]:
    """Of a Kafka source's position: topic -> partition -> next offset; None before the first batch."""
    return {int(partition): offset for partition, offset in ((position or {}).get(topic) or {}).items()}


def _has_batch(progress: Progress) -> bool:
    """Whether it is of a batch, rather than of a trigger that found nothing to read."""
    return "addBatch" in progress["durationMs"]
