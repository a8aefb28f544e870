"""The stream from one start to its end, and what goes on beside it.

Its position is kept in Kafka, its refused frames are swept, and Cassandra is asked whether it was started again. All of
that is decided in one thread; sweeps and questions that may take long are the work of two others.
"""

import logging
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial

from pyspark.sql import SparkSession
from pyspark.sql.streaming.query import StreamingQuery

from spark_consumer import cluster, stream
from spark_consumer.beside import Beside, Hung
from spark_consumer.broker import Broker
from spark_consumer.contract import USER_SCHEMA
from spark_consumer.decode import MET_REFUSED, why_unreadable
from spark_consumer.errors import ConsumerError, TransientError, first_line, told
from spark_consumer.liveness import STEADY
from spark_consumer.names import CONTINUOUS, MICRO_BATCH, Lane, TableName
from spark_consumer.position import Offsets, Position, Sending, Topic, check_topic, resumed
from spark_consumer.progress import Batches, Epochs, epoch
from spark_consumer.registry import WriterSchemas
from spark_consumer.safety import Restarted, Safety, Starts
from spark_consumer.session import spark_errors
from spark_consumer.settings import ConsumerSettings
from spark_consumer.sweep import sweep
from spark_consumer.table import check_table
from spark_consumer.unread import Unread
from spark_consumer.unsettled import Batch, Unobserved, Unsettled

_log = logging.getLogger(__name__)
_LOOK = 0.25  # seconds from one look at the stream to the next
_ASK = 1.0  # seconds from one question to Cassandra and Kafka to the next
_KEEP = 0.5  # seconds from one keeping of a position that moves to the next
_KEEP_ANYWAY = 3600.0  # seconds until one that doesn't move is kept again, since Kafka forgets a group after a week
_AGAIN = 5.0  # seconds until a sweep or a keeping that failed is tried again
_LAST = 3.0  # seconds for a sweep that is under way when the stream ends
_PASSED = 10.0  # seconds of epochs before something that none of them reads, until it can't be a frame

_MET_REFUSED = re.compile(MET_REFUSED + r"\S+/\d+#\d+ (\S+)")  # failures quote the plan as well, where a comma follows

NEW_SCHEMA = "a schema was registered since"

Sign = Callable[[bytes], None]


@dataclass(frozen=True)
class Context:
    """What every start of the stream works with.

    sign: takes those that `liveness` describes. sweeping: outlives a start, since two sweeps at once would not see each
    other's letters.
    """

    spark: SparkSession
    settings: ConsumerSettings
    broker: Broker
    writers: WriterSchemas
    sign: Sign
    sweeping: Beside[bool]


class Again(Exception):
    """Raised when the stream is to be started again from where it is safe. Its text says why."""


class ChangeLane(Exception):
    """Raised when the stream is to go on in the other lane. Its text says why.

    unknown_schema: it is for the want of a frame's schema, which may be registered by now.
    """

    def __init__(self, lane: Lane, why: str, *, unknown_schema: bool = False) -> None:
        super().__init__(why)
        self.lane, self.unknown_schema = lane, unknown_schema


class StreamFailed(TransientError):
    """Raised when the stream itself ended."""


@dataclass(frozen=True)
class _Look:
    """What Cassandra and Kafka say. at: monotonic seconds, before they were asked. None: no answer."""

    at: float
    starts: Starts | None
    topic: Topic | None


class Streaming:
    """One start of the stream."""

    def __init__(self, context: Context, position: Position | None, lane: Lane, calm_seconds: float) -> None:
        """Start it in this lane, where that position says.

        calm_seconds: how long it goes in micro-batches after the last frame that was refused, where another lane is
        set. Raises ConsumerError when something is missing, ChangeLane when it can't be this one.
        """
        self._context = context
        self._kept: Position | None = None
        self._kept_at = self._keep_at = 0.0
        settings = context.settings
        topic = context.broker.topic(settings.topic)
        self.position = replace(resumed(position, topic), lane=lane)
        """how far it is now"""
        self._unread = Unread()
        self._lane, self._calm_seconds = lane, calm_seconds
        self._partitions = self.position.done.keys()
        with spark_errors():
            self._fits = len(self._partitions) <= stream.slots(context.spark)
        if lane == CONTINUOUS and not self._fits:
            why = "the topic has more partitions than Spark has slots (spark.cores.max)"
            _log.warning("the lane %s can't be taken: %s", lane, why)
            raise ChangeLane(MICRO_BATCH, why)
        self._committing = lane == MICRO_BATCH  # which commits nothing where there is nothing to read
        self._calm_since, self._unclear = time.monotonic(), dict(topic.ends)
        self._first: float | None = None
        self._last = 0.0
        self._before = dict(position.done) if position else {}
        with spark_errors():
            table = TableName(settings.keyspace, settings.table)
            check_table(table, cluster.live_columns(context.spark, table))
            cluster.refresh_schema(context.spark)
            at, starts = time.monotonic(), cluster.starts(context.spark)
            answered = {node: start for node, start in starts.items() if start is not None}
            self._safety = Safety(settings.safe_seconds, answered, self.position.safe, at)
            self._unsettled = Unsettled(self.position.swept, settings.max_offsets_per_trigger)
            self._keep(self.position)
            self._writers = dict(context.writers())
            for schema_id, writer in self._writers.items():
                warn_if_unreadable(context.spark, schema_id, writer)
            self._ended = (
                Epochs(self.position.done, partial(epoch, settings.topic))
                if lane == CONTINUOUS
                else Batches(settings.topic, self.position.done)
            )
        try:
            with spark_errors():
                self._query: StreamingQuery = stream.start(
                    context.spark, settings, lane, self.position.done, self._writers
                )
        except TransientError as error:
            raise StreamFailed(f"the stream does not start: {error}") from error
        self._looking: Beside[_Look] = Beside("look")
        context.sign(b"l" if lane == CONTINUOUS else b"m")
        _log.info("started in the lane %s at %s", lane, dict(self.position.done))

    def watch(self, stop: threading.Event) -> None:
        """Go on until `stop` is set; then the stream has ended, and its position is kept, unless Kafka is away.

        Raises Again when it is to be started again at once, ChangeLane, and ConsumerError when it failed.
        """
        try:
            with spark_errors():
                while self._query.isActive and not stop.wait(_LOOK):
                    self._step()
                if not stop.is_set():
                    raise _failed(str(self._query.exception()))
        finally:
            self._end()

    def learn(self) -> bool:
        """Whether schemas were registered that this start doesn't know. Raises ConsumerError for a registry's fault."""
        self._context.writers.refresh()
        return dict(self._context.writers()) != self._writers

    @property
    def advanced(self) -> bool:
        """Whether it got further than those before it, or found that all is read."""
        return self._first is not None

    @property
    def steady(self) -> bool:
        """Whether it has done so for so long that earlier failures no longer count."""
        return self._first is not None and self._last - self._first >= STEADY

    def _advance(self) -> None:
        self._last = time.monotonic()
        self._first = self._first or self._last

    def _step(self) -> None:
        self._take_batches()
        if isinstance(self._ended, Epochs):
            self._ended.check()
        self._take_look()
        self._take_sweep()
        self._update_position()
        now = time.monotonic()
        self._check_lane(now)
        self._keep_in_time(now)
        self._begin_sweep(now)
        if self._looking.free(now):
            self._looking.begin(self._look, not_before=now + _ASK)

    def _check_lane(self, now: float) -> None:
        """Go back to the lane that is set, once no frame was refused for a while and none will be read again.

        Of what was in the topic at the start that isn't known before it is read.
        """
        lane = self._context.settings.lane
        if self._lane == lane or not self._fits or now < self._calm_since + self._calm_seconds or self._unsettled.due:
            return
        if all(self.position.safe.get(partition, 0) >= end for partition, end in self._unclear.items()):
            raise ChangeLane(lane, f"no frame was refused for {self._calm_seconds:g} s")

    def _take_batches(self) -> None:
        batches, now = self._ended.ended(self._query), time.monotonic()
        for batch in batches:
            self._committing = True
            self._safety = self._safety.written(now, batch.end)
            if batch.refused:
                self._calm_since = now
                self._unclear = {p: max(end, self._unclear.get(p, 0)) for p, end in batch.end.items()}
            try:
                self._unsettled = self._unsettled.with_batch(batch)
            except Unobserved as error:
                raise Again(str(error)) from error
            self.position = replace(self.position, done=batch.end)
            if not batch.frames:
                continue
            if any(offset > self._before.get(partition, 0) for partition, offset in batch.end.items()):
                self._advance()  # beyond what is only read again
            self._context.sign(b"c")

    def _look(self) -> _Look:
        at, starts, topic = time.monotonic(), None, None
        try:
            with spark_errors():
                starts = cluster.starts(self._context.spark)
        except TransientError as error:
            _log.debug("%s", error)
        try:
            topic = self._context.broker.topic(self._context.settings.topic)
        except TransientError as error:
            _log.debug("%s", error)
        return _Look(at, starts, topic)

    def _take_look(self) -> None:
        look = self._looking.result()
        if look is None:
            return
        if look.starts is not None:
            try:
                self._safety = self._safety.asked(look.at, look.starts)
            except Restarted as error:
                raise Again(str(error)) from error
        if look.topic is not None:
            check_topic(self.position, look.topic)
            if look.topic.spans.keys() != self._partitions:
                raise Again(f"topic {look.topic.name} has {len(look.topic.spans)} partitions now")
        if look.starts is None or look.topic is None:
            self._unread = Unread()
            if isinstance(self._ended, Epochs):
                self._ended.excuse()
            self._context.sign(b"a")
            return
        if isinstance(self._ended, Epochs):
            self._unread = self._unread.seen(self.position.done, look.topic.ends, self._ended.now)
            if min(self._unread.seconds(self._ended.now), self._ended.flowing) > _PASSED:
                why = "the continuous lane stands before something that is no frame, such as a transaction's end"
                raise ChangeLane(MICRO_BATCH, why)
        if look.topic.ends == dict(self.position.done) and self._committing:
            self._advance()
            self._context.sign(b"i")

    def _begin_sweep(self, now: float) -> None:
        """Have the frames that the stream left out made dead letters, a span at a time."""
        batch, sweeping = self._unsettled.due, self._context.sweeping
        if batch is None or not sweeping.free(now):
            return
        try:
            ends = self._context.broker.topic(self._context.settings.dead_letter_topic).ends
            # written down first, so that whoever comes after a crash finds the letters that are out already
            before = self.position.sending
            sending = before.extended(batch.end) if before else Sending(ends, batch.end)
            if sending != before:
                self._keep(replace(self.position, sending=sending))
        except ConsumerError as error:
            self._not_swept(error)
            return
        self.position = replace(self.position, sending=sending)
        self._unsettled = self._unsettled.sweeping()
        sent = (before.since, ends) if before else None
        sweeping.begin(lambda: self._sweep(batch, sent), not_before=now + _LOOK)

    def _sweep(self, batch: Batch, sent: tuple[Offsets, Offsets] | None) -> bool:
        """In a thread of its own."""
        context = self._context

        def learn() -> None:
            if self.learn():
                raise Again(NEW_SCHEMA)

        with spark_errors():
            sweep(context.spark, context.settings, batch, self._writers, sent, learn)
        return True

    def _take_sweep(self) -> None:
        try:
            swept = self._context.sweeping.result()
        except (Again, Hung):
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, rows go on
            self._not_swept(error)
            return
        if swept and self._unsettled.swept_now:  # one of an earlier start is looked at again by this one
            self._unsettled = self._unsettled.settled()

    def _not_swept(self, error: Exception) -> None:
        """Good rows go on meanwhile, whatever it is."""
        _log.warning("frames refused are not dead letters yet: %s", told(error))
        self._context.sweeping.not_before = time.monotonic() + _AGAIN

    def _update_position(self) -> None:
        position = replace(self.position, safe=self._safety.safe, swept=self._unsettled.swept)
        if position.sending and position.sending.ended(position.swept):
            position = replace(position, sending=None)
        self.position = position

    def _keep_in_time(self, now: float) -> None:
        moved = self.position != self._kept
        if now < self._keep_at or not (moved or now >= self._kept_at + _KEEP_ANYWAY):
            return
        self._try_to_keep()

    def _try_to_keep(self) -> None:
        """Without it frames are read again, which changes nothing."""
        try:
            self._keep(self.position)
        except TransientError as error:
            self._keep_at = time.monotonic() + _AGAIN
            _log.warning("the position is not kept yet: %s", told(error))

    def _keep(self, position: Position) -> None:
        self._context.broker.keep(self._context.settings.topic, position)
        now = time.monotonic()
        self._kept, self._kept_at, self._keep_at = position, now, now + _KEEP

    def _end(self) -> None:
        try:
            with spark_errors():
                self._query.stop()
                self._take_batches()  # what it committed on its way out
        except TransientError as error:
            raise Hung(f"the stream does not stop: {error}") from error
        try:
            self._context.sweeping.wait(_LAST)
            self._take_sweep()
        finally:
            self._update_position()
            self._try_to_keep()


def _failed(why: str) -> Exception:
    """What to raise when the stream has ended by itself."""
    if met := _MET_REFUSED.search(why):
        why = f"the continuous lane {met.group()}"
        return ChangeLane(MICRO_BATCH, why, unknown_schema=met.group(1).startswith("unknown_schema:"))
    return StreamFailed(f"the stream failed: {first_line(why)}")


@cache  # each is told once: what was ever registered stays so
def warn_if_unreadable(spark: SparkSession, schema_id: int, writer: str) -> None:
    """Say so if frames of this schema are not all going to decode."""
    if why := why_unreadable(spark, writer, USER_SCHEMA):
        _log.warning(
            "schema %d does not fit the contract: %s (frames of it may become dead letters, not_avro; "
            "publish under a schema that passes a deploy's check)",
            schema_id,
            first_line(why),
        )
