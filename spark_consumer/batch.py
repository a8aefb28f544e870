"""One micro-batch: decode, upsert the good, publish the refused; whatever fails, the whole batch comes again."""

import logging
import threading
from collections.abc import Callable, Mapping
from typing import Protocol

from pyspark.sql import DataFrame, Observation
from pyspark.sql import functions as F

from spark_consumer.contract import USER_SCHEMA
from spark_consumer.decode import decode
from spark_consumer.enrich import enrich

_log = logging.getLogger(__name__)


class Writers(Protocol):
    """Writer schemas by id; refresh reads what is new and says whether anything was."""

    def __call__(self) -> Mapping[int, str]: ...
    def refresh(self) -> bool: ...


class Stopping(Exception):
    """Raised when a batch begins after the stop was asked for: it stays undone and comes first after the restart."""


class BatchWriter:
    """The function that the stream calls for each micro-batch.

    write_rows: takes the table's rows. write_letters: takes the refused frames. Both return when all is acknowledged.
    One pass over the batch does all when every frame is good: it counts the refused while it writes the rows. Only
    when there are any are they read again and published; the batch ends, and its offsets count as done, after both.
    """

    def __init__(
        self,
        writers: Writers,
        write_rows: Callable[[DataFrame], None],
        write_letters: Callable[[DataFrame], None],
    ) -> None:
        self._writers = writers
        self._write_rows = write_rows
        self._write_letters = write_letters
        self._running = threading.Lock()
        self._stopping = False
        self.done: int | None = None
        """id of the last batch that ended well"""
        self.failure: Exception | None = None
        """why the last batch failed, if it did"""

    def __call__(self, frames: DataFrame, batch_id: int) -> None:
        with self._running:
            if self._stopping:
                raise Stopping(f"batch {batch_id} waits for the restart")
            try:
                self._write(frames, batch_id)
            except Exception as error:
                self.failure = error
                raise
            self.done = batch_id

    def drain(self) -> None:
        """Waits for the batch under way, if any, and lets no other begin."""
        self._stopping = True
        with self._running:
            pass

    def _write(self, frames: DataFrame, batch_id: int) -> None:
        refused, unknown = self._write_good(frames)
        if unknown and self._writers.refresh():
            # a version registered since: what is written already is written again, to the same effect
            refused, unknown = self._write_good(frames)
        if refused:
            _log.warning("batch %d: %d frames refused, %d for an unknown schema", batch_id, refused, unknown)
            decoded, _ = self._decode(frames)
            self._write_letters(decoded.where("reasons IS NOT NULL"))

    def _write_good(self, frames: DataFrame) -> tuple[int, int]:
        """Writes the good; returns how many were refused, and how many of those for want of their schema."""
        decoded, seen = self._decode(frames)
        users = decoded.where("reasons IS NULL").select("user.*", "schema_id", "partition", "offset")
        self._write_rows(enrich(users))
        return seen.metric("refused"), seen.metric("unknown")

    def _decode(self, frames: DataFrame) -> tuple[DataFrame, "Seen"]:
        """The decoded frames, and what will have been seen of them once they are written."""
        seen = Seen()
        counts = F.expr("count(reasons) AS refused"), F.expr("count_if(reasons[0] LIKE 'unknown_schema:%') AS unknown")
        return decode(frames, self._writers(), USER_SCHEMA).observe(seen, *counts), seen


class Seen(Observation):
    """An observation whose numbers are asked for by name.

    Observation.get goes through all of them, and PySpark turns the end of that into an exception which it looks up
    among the classes of the JVM: a tenth of a small batch.
    """

    def metric(self, name: str) -> int:
        """Waits until the observed data has been written."""
        return int(self._jo.getAsJava().get(name))  # type: ignore[union-attr]
