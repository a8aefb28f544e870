"""The stream: from Kafka's frames to Cassandra's rows, planned once, in micro-batches."""

import uuid
from collections.abc import Mapping
from typing import Any

from pyspark.sql import SparkSession
from pyspark.sql.streaming.query import StreamingQuery

from spark_consumer.contract import USER_SCHEMA
from spark_consumer.decode import decoded
from spark_consumer.enrich import enrich
from spark_consumer.names import TableName
from spark_consumer.position import Offsets
from spark_consumer.settings import ConsumerSettings
from spark_consumer.source import connect_to_kafka

SEEN = "frames"  # name of what is counted in each batch
_CASSANDRA = "org.apache.spark.sql.cassandra"


def start(
    spark: SparkSession, settings: ConsumerSettings, offsets: Offsets, writers: Mapping[int, str]
) -> StreamingQuery:
    """Start it at these offsets. Frames that are no rows are counted, and left out.

    Rows are written as of their write_micros: an older write changes nothing that is newer, so a row may be written
    again, in any order. A null deletes its cell, as of the same time; columns of the table that are not among the row's
    stay. Cassandra remembers a deletion for its table's gc_grace_seconds, ten days; Kafka keeps a record for a week, so
    none that the deletion outdates can come after it is forgotten.

    What Spark writes down on its way is of this start alone, and what is left of earlier ones goes: how far the stream
    is stands in Kafka.
    """
    table = TableName(settings.keyspace, settings.table)
    frames = decoded(connect_to_kafka(spark, settings, offsets), writers, USER_SCHEMA, SEEN)
    users = frames.where("reasons IS NULL").select("user.*", "schema_id")
    return (
        enrich(users)
        .writeStream.queryName(settings.group)
        .format(_CASSANDRA)
        .options(keyspace=table.keyspace, table=table.table, writetime="write_micros")
        .option("checkpointLocation", _fresh(spark, f"{settings.checkpoint_dir}/{settings.group}"))
        .trigger(processingTime=f"{settings.trigger_seconds} seconds")
        .outputMode("append")
        .start()
    )


def _fresh(spark: SparkSession, folder: str) -> str:
    """A new folder in this one, which is emptied."""
    jvm: Any = spark._jvm
    path = jvm.org.apache.hadoop.fs.Path(folder)
    path.getFileSystem(spark.sparkContext._jsc.hadoopConfiguration()).delete(path, True)  # noqa: FBT003 - Java
    return f"{folder}/{uuid.uuid4()}"
