"""The stream: from Kafka's frames to Cassandra's rows, in one of two lanes."""

import uuid
from collections.abc import Mapping
from typing import Any

from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.streaming.query import StreamingQuery
from pyspark.sql.streaming.readwriter import DataStreamWriter

from spark_consumer.contract import USER_SCHEMA
from spark_consumer.decode import USERS, USERS_OR_FAIL, decode
from spark_consumer.enrich import enrich
from spark_consumer.errors import TerminalError, told_by_spark
from spark_consumer.names import CONTINUOUS, MICRO_BATCH, Lane, TableName
from spark_consumer.position import Offsets
from spark_consumer.settings import ConsumerSettings
from spark_consumer.source import connect_to_kafka

SEEN = "frames"  # name of what is counted in each batch
_UNSUPPORTED = "Continuous processing does not support"
_CASSANDRA = "org.apache.spark.sql.cassandra"


def start(
    spark: SparkSession, settings: ConsumerSettings, lane: Lane, offsets: Offsets, writers: Mapping[int, str]
) -> StreamingQuery:
    """Start it in this lane at these offsets.

    Frames that are no rows are counted in each micro-batch and left out. In the continuous lane, where nothing can be
    counted, the stream fails at the first of them: before the commit of any epoch that has it.

    Rows are written as of their write_micros: an older write changes nothing that is newer, so a row may be written
    again, in any order. A null deletes its cell, as of the same time; columns of the table that are not among the row's
    stay. Cassandra remembers a deletion for its table's gc_grace_seconds, ten days; Kafka keeps a record for a week, so
    none that the deletion outdates can come after it is forgotten.

    What Spark writes down on its way is of this start alone, and what is left of earlier ones goes: how far the stream
    is stands in Kafka. Raises TerminalError for a plan that the continuous lane can't do.
    """
    table = TableName(settings.keyspace, settings.table)
    writer = (
        rows(connect_to_kafka(spark, settings, offsets, lane), lane, writers)
        .writeStream.queryName(settings.group)
        .format(_CASSANDRA)
        .options(keyspace=table.keyspace, table=table.table, writetime="write_micros")
        .option("checkpointLocation", _fresh(spark, f"{settings.checkpoint_dir}/{settings.group}"))
        .outputMode("append")
    )
    return started(writer, lane, settings)


def rows(frames: DataFrame, lane: Lane, writers: Mapping[int, str]) -> DataFrame:
    """What is written of Kafka's messages: a row for each frame that is a user."""
    decoded = decode(frames, writers, USER_SCHEMA)
    if lane == CONTINUOUS:
        users = decoded.where(USERS_OR_FAIL)
    else:
        users = decoded.observe(SEEN, F.expr("count(reasons) AS refused")).where(USERS)
    return enrich(users.select("user.*", "schema_id"))


def started(writer: DataStreamWriter, lane: Lane, settings: ConsumerSettings) -> StreamingQuery:
    """The stream in its lane. Raises TerminalError, naming the step, for a plan that the continuous one can't do."""
    if lane != CONTINUOUS:
        return writer.trigger(processingTime=f"{settings.trigger_seconds} seconds").start()
    try:
        return writer.trigger(continuous=f"{settings.epoch_milliseconds} milliseconds").start()
    except AnalysisException as error:
        if _UNSUPPORTED not in str(error):
            raise
        why = f"the lane {CONTINUOUS} can't do what the stream does: {told_by_spark(error)}"
        raise TerminalError(why, f"set the lane to {MICRO_BATCH}") from error


def slots(spark: SparkSession) -> int:
    """How many tasks can run at once; one of the continuous lane never ends."""
    most = spark.sparkContext.getConf().get("spark.cores.max")
    return int(most) if most else spark.sparkContext.defaultParallelism


def _fresh(spark: SparkSession, folder: str) -> str:
    """A new folder in this one, which is emptied."""
    jvm: Any = spark._jvm
    path = jvm.org.apache.hadoop.fs.Path(folder)
    path.getFileSystem(spark.sparkContext._jsc.hadoopConfiguration()).delete(path, True)  # noqa: FBT003 - Java
    return f"{folder}/{uuid.uuid4()}"
