"""Streams for as long as it is told: starts the stream, and starts it again from where it is safe."""

import logging
import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from pyspark.sql import SparkSession

from spark_consumer.beside import Beside
from spark_consumer.broker import Broker
from spark_consumer.errors import ConsumerError, NeedsNewProcess, TransientError, told
from spark_consumer.lanes import Course
from spark_consumer.liveness import pause
from spark_consumer.names import CONTINUOUS, subject
from spark_consumer.position import Position
from spark_consumer.progress import Stalled
from spark_consumer.registry import WriterSchemas
from spark_consumer.session import create_spark_connection, spark_errors
from spark_consumer.settings import ConsumerSettings
from spark_consumer.streaming import NEW_SCHEMA, Again, ChangeLane, Context, Sign, StreamFailed, Streaming

_log = logging.getLogger(__name__)
_ANSWER = 2.0  # seconds for the registry to say which schemas there are, while rows wait for it
_PATIENCE = 180  # seconds of starts of which none got any further, after which Spark itself is to be started again


def run(settings: ConsumerSettings, stop: threading.Event, sign: Sign, in_doubt: int = 0) -> None:
    """Stream until `stop` is set. sign: see Context; told b"f" before what has failed is cleared away.

    in_doubt: how many processes before, in a row, took too long for something in the continuous lane.
    Raises TerminalError when somebody must act, TransientError when this process can't go on and another one may.
    """
    writers = WriterSchemas(settings.registry_url, subject(settings.topic))
    writers.refresh()
    if not writers():
        raise TransientError(f"the registry has no Avro schema under {subject(settings.topic)}", "deploy the schemas")
    broker = Broker(settings.kafka_brokers, settings.group)
    with _session(settings, sign) as spark:
        course = Course(settings.lane, settings.calm_seconds, settings.calm_seconds)
        for _ in range(in_doubt if settings.lane == CONTINUOUS else 0):
            course = course.in_doubt()
        _stream(Context(spark, settings, broker, writers, sign, Beside("sweep")), stop, course)
    _log.info("stopped")


def _stream(context: Context, stop: threading.Event, course: Course) -> None:
    position: Position | None = None
    settings = context.settings
    failures, well = 0, time.monotonic()
    in_lane = well  # since when
    while not stop.is_set():
        streaming = None
        try:
            if position is None:
                topic = context.broker.topic(settings.topic)
                position = context.broker.position(topic.name, topic.spans)
            streaming = Streaming(context, position, course.lane, course.calm)
            context.sign(b"a")  # what a start takes does not count for the first commit after it
            streaming.watch(stop)
        except (Again, ChangeLane, TransientError) as error:
            now = time.monotonic()
            advanced = streaming is not None and streaming.advanced
            if streaming and advanced:
                well = now
                failures = 0 if streaming.steady else failures
            before, wait = course.lane, 0.0
            if isinstance(error, ChangeLane) and error.unknown_schema and streaming and _learned(streaming):
                error = Again(NEW_SCHEMA)
            if isinstance(error, ChangeLane):
                course = course.changed(error.lane, now - in_lane)
                _log.info("%s: the stream goes on in the lane %s", error, course.lane)
            else:
                failures += 1
                own = isinstance(error, StreamFailed | Stalled)
                course = course.failed(advanced=advanced) if own else course
                if _ended(context.spark):
                    raise TransientError(f"{error}; its driver has ended") from error
                if isinstance(error, NeedsNewProcess):
                    raise
                if now > well + _PATIENCE and not (own and course.undecided):
                    raise TransientError(f"{error}; Spark itself is started again") from error
                how = "from where it is safe" if course.lane == before else f"in the lane {course.lane}"
                wait = pause(failures)
                _log.warning("%s; the stream starts again in %g s, %s", error, wait, how)
            in_lane = in_lane if course.lane == before else now
            context.sign(b"a")
            stop.wait(wait)
        if streaming is not None:
            position = streaming.position


def _learned(streaming: Streaming) -> bool:
    """Whether the stream can read more when it is started again; without an answer soon it can't."""
    asked: Beside[bool] = Beside("schemas")
    asked.begin(streaming.learn, not_before=math.inf)
    asked.wait(_ANSWER)
    try:
        return bool(asked.result())
    except ConsumerError as error:
        _log.warning("new schemas are not known yet: %s", told(error))
        return False


def _ended(spark: SparkSession) -> bool:
    try:
        with spark_errors():
            context = spark.sparkContext._jsc
            return context is None or bool(context.sc().isStopped())
    except TransientError:
        return True


@contextmanager
def _session(settings: ConsumerSettings, sign: Sign) -> Iterator[SparkSession]:
    with spark_errors():
        spark = create_spark_connection(settings)
        try:
            yield spark
        except BaseException as error:
            _log.warning("stopping Spark: %s", told(error))  # said now, since stopping it may hang
            sign(b"f")
            raise
        finally:
            with suppress(Exception):  # its driver may be gone, which is what has failed, then
                spark.stop()
