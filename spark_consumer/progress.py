"""What a stream tells of its batches, and one line in the log for each."""

import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from spark_consumer.position import Offsets
from spark_consumer.stream import SEEN
from spark_consumer.unsettled import Batch

_log = logging.getLogger(__name__)

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
        batch = Batch(start, end, seen["refused"], seen["unknown"]) if seen else Batch(start, end, refused=1, unknown=1)
        took = progress["durationMs"]
        _log.info(
            "batch %d: %s frames, %.0f/s, times in ms %s",
            progress["batchId"],
            batch.frames,
            batch.frames * 1000 / max(took.get("triggerExecution", 0), 1),
            json.dumps(took),
        )
        return batch


def _offsets(position: Any, topic: str) -> dict[int, int]:
    """Of a Kafka source's position: topic -> partition -> next offset; None before the first batch."""
    return {int(partition): offset for partition, offset in ((position or {}).get(topic) or {}).items()}


def _has_batch(progress: Progress) -> bool:
    """Whether it is of a batch, rather than of a trigger that found nothing to read."""
    return "addBatch" in progress["durationMs"]
