"""Streams for as long as it is told: starts the stream, and starts it again from where it is safe."""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from pyspark.sql import SparkSession

from spark_consumer.beside import Hung
from spark_consumer.broker import Broker
from spark_consumer.contract import DEAD_LETTER_SCHEMA
from spark_consumer.errors import TransientError
from spark_consumer.names import subject
from spark_consumer.registry import WriterSchemas, registered_id
from spark_consumer.session import create_spark_connection, spark_errors
from spark_consumer.settings import ConsumerSettings
from spark_consumer.streaming import Again, Context, Sign, Streaming

_log = logging.getLogger(__name__)
_PAUSES = (1, 2, 4, 8)  # seconds until what failed is tried again
_IN_VAIN = 180  # seconds of trying without a batch, after which Spark itself is to be started again


def run(settings: ConsumerSettings, stop: threading.Event, sign: Sign) -> None:
    """Stream until `stop` is set. sign: see Context.

    Raises TerminalError when somebody must act, TransientError when this process can't go on and another one may.
    """
    writers = WriterSchemas(settings.registry_url, subject(settings.topic))
    writers.refresh()
    if not writers():
        raise TransientError(f"the registry has no Avro schema under {subject(settings.topic)}", "deploy the schemas")
    letter_id = registered_id(settings.registry_url, subject(settings.dead_letter_topic), DEAD_LETTER_SCHEMA)
    broker = Broker(settings.kafka_brokers, settings.group)
    with _session(settings) as spark:
        _stream(Context(spark, settings, broker, writers, letter_id, sign), stop)
    _log.info("stopped")


def _stream(context: Context, stop: threading.Event) -> None:
    position = context.broker.position(context.settings.topic)
    failed, since = 0, time.monotonic()
    while not stop.is_set():
        streaming = None
        try:
            streaming = Streaming(context, position)
            streaming.watch(stop)
        except Again as reason:
            _log.warning("%s: the stream goes back some seconds", reason)
        except TransientError as error:
            ran = streaming is not None and streaming.batches > 0
            failed = 1 if ran else failed + 1
            since = time.monotonic() if ran else since
            if isinstance(error, Hung) or time.monotonic() > since + _IN_VAIN or _ended(context.spark):
                raise
            pause = _PAUSES[min(failed, len(_PAUSES)) - 1]
            _log.warning("%s; tried again in %d s", error, pause)
            context.sign(b"i")
            stop.wait(pause)
        if streaming is not None:
            position = streaming.position


def _ended(spark: SparkSession) -> bool:
    context = spark.sparkContext._jsc
    return context is None or bool(context.sc().isStopped())


@contextmanager
def _session(settings: ConsumerSettings) -> Iterator[SparkSession]:
    with spark_errors():
        spark = create_spark_connection(settings)
        try:
            yield spark
        finally:
            spark.stop()
