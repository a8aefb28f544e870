"""The stream's process: `python -m spark_consumer.worker`, started and watched by `spark_consumer.main`.

Ends with 0 after SIGTERM or SIGINT, 2 when somebody must act before it can run, 1 when a restart may help.
"""

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from py4j.protocol import Py4JError, Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession
from pyspark.sql.streaming.query import StreamingQuery

from spark_consumer.batch import BatchWriter
from spark_consumer.contract import DEAD_LETTER_SCHEMA
from spark_consumer.dead_letters import dead_letters, publish
from spark_consumer.errors import ConsumerError, TerminalError, TransientError
from spark_consumer.lag import GroupOffsets, LagReporter
from spark_consumer.names import TableName, subject
from spark_consumer.registry import WriterSchemas, registered_id
from spark_consumer.session import create_spark_connection
from spark_consumer.settings import ConsumerSettings, load_settings
from spark_consumer.source import connect_to_kafka
from spark_consumer.table import check_table
from spark_consumer.upsert import live_columns, upsert

_log = logging.getLogger("spark_consumer")
_COMMIT_SECONDS = 10
_REPORT_SECONDS = 0.25  # less than a batch takes


def main() -> int:
    """Runs until a signal ends it or something fails; returns the exit code."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for chatty in ("httpx2", "kafka", "py4j"):
        logging.getLogger(chatty).setLevel(logging.ERROR)
    stop = threading.Event()

    def ask_to_stop(number: int, _: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, ask_to_stop)
    signal.signal(signal.SIGINT, ask_to_stop)
    try:
        run(load_settings(), stop)
    except TerminalError as error:
        _say(error)
        return 2
    except ConsumerError as error:
        _say(error)
        return 1
    return 0


def run(settings: ConsumerSettings, stop: threading.Event) -> None:
    """Streams until stop is set. Raises ConsumerError when something is missing at the start or fails on the way."""
    frame_subject = subject(settings.topic)
    writers = WriterSchemas(settings.registry_url, frame_subject)
    writers.refresh()
    if not writers():
        raise TransientError(f"the registry has no Avro schema under {frame_subject}", "deploy the schemas")
    letter_id = registered_id(settings.registry_url, subject(settings.dead_letter_topic), DEAD_LETTER_SCHEMA)
    with _spark(settings) as spark:
        table = TableName(settings.keyspace, settings.table)
        check_table(table, live_columns(spark, table))
        writer = BatchWriter(
            writers,
            lambda rows: upsert(rows, table),
            lambda refused: publish(
                dead_letters(refused, letter_id), settings.kafka_brokers, settings.dead_letter_topic
            ),
        )
        query = start(spark, settings, writer)
        report = LagReporter(GroupOffsets(settings.kafka_brokers, settings.group))
        told = None
        while query.isActive and not stop.wait(_REPORT_SECONDS):
            report(query)
            progress = query.lastProgress
            if progress is not None and progress["timestamp"] != told:
                told = progress["timestamp"]
                _sign(b"c" if "addBatch" in progress["durationMs"] else b"i")
        if stop.is_set():
            stop_after_batch(query, writer)
            report(query)
            _log.info("stopped after batch %s", writer.done)
        else:
            report(query)
            raise writer.failure if isinstance(writer.failure, ConsumerError) else _failure(query)


def _sign(sign: bytes) -> None:
    """Give the parent a sign of life, where there is one."""
    if number := os.environ.get("CONSUMER_SIGNS_FD"):
        os.write(int(number), sign)


@contextmanager
def _spark(settings: ConsumerSettings) -> Iterator[SparkSession]:
    """The session for as long as it is needed; whatever Spark or the connector raises becomes a TransientError."""
    try:
        spark = create_spark_connection(settings)
        try:
            yield spark
        finally:
            spark.stop()
    except (PySparkException, Py4JError) as error:
        text = error.java_exception.toString() if isinstance(error, Py4JJavaError) else str(error)
        raise TransientError(f"spark: {_first_line(text)}", "see the log above") from error


def start(spark: SparkSession, settings: ConsumerSettings, writer: BatchWriter) -> StreamingQuery:
    """Starts the stream."""
    return (
        connect_to_kafka(spark, settings)
        .writeStream.queryName(settings.group)
        .option("checkpointLocation", settings.checkpoint_dir)
        .trigger(processingTime=f"{settings.trigger_seconds} seconds")
        .foreachBatch(writer)
        .start()
    )


def stop_after_batch(query: StreamingQuery, writer: BatchWriter) -> None:
    """Stops the stream once the batch under way is written and committed; a new one doesn't begin."""
    writer.drain()
    deadline = time.monotonic() + _COMMIT_SECONDS
    while query.isActive and time.monotonic() < deadline:
        progress = query.lastProgress
        if writer.done is None or (progress and progress["batchId"] >= writer.done):
            break
        time.sleep(0.05)
    query.stop()


def _failure(query: StreamingQuery) -> TransientError:
    error = query.exception()
    return TransientError(f"stream failed: {_first_line(str(error))}", "see the log above; a restart replays the batch")


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "no reason given")


def _say(error: ConsumerError) -> None:
    _log.error("%s%s", error, f" ({error.remedy})" if error.remedy else "")


if __name__ == "__main__":
    sys.exit(main())
