"""What a good engineer would write for the way from Kafka to Cassandra: a bare Spark job with the tuned connector.

`python -m scripts.bench.baseline.consumer TOPIC TABLE CHECKPOINT SCHEMA`, with the environment of the pipeline's
consumer. It decodes and appends, with the session, the reader, the sink and the lane of the pipeline's consumer: the
designs are compared, not how they are tuned. No enrichment, no dead letters, no lag for others to see. Ends on SIGTERM.
"""

import signal
import sys
import threading
from types import FrameType

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.avro.functions import from_avro
from pyspark.sql.streaming.query import StreamingQuery

from spark_consumer.names import TableName
from spark_consumer.session import create_spark_connection
from spark_consumer.settings import ConsumerSettings, load_settings
from spark_consumer.source import connect_to_kafka
from spark_consumer.stream import started

COLUMNS = [
    *("id", "first_name", "last_name", "gender", "address", "post_code", "email", "username", "registered_date"),
    *("phone", "picture", "dob", "source", "fetched_at", "flow_version"),
]


def main() -> None:
    topic, table, checkpoint, schema = sys.argv[1:]
    stop = threading.Event()

    def asked_to_stop(number: int, frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, asked_to_stop)
    settings = load_settings().model_copy(update={"topic": topic, "group": "bench_baseline"})
    spark = create_spark_connection(settings)
    frames = connect_to_kafka(spark, settings, lane=settings.lane)
    query = start(rows(frames, schema), TableName(*table.split(".")), checkpoint, settings)
    while query.isActive and not stop.wait(0.2):
        pass
    query.stop()
    spark.stop()


def rows(frames: DataFrame, schema: str) -> DataFrame:
    """From Kafka's messages to COLUMNS and write_micros, the row's write timestamp in microseconds UTC."""
    users = frames.select(from_avro(F.expr("substring(value, 6)"), schema).alias("user")).select("user.*")
    return users.selectExpr(*COLUMNS, "unix_micros(event_time) AS write_micros")


def start(users: DataFrame, table: TableName, checkpoint: str, settings: ConsumerSettings) -> StreamingQuery:
    """Append them as the pipeline's stream does (spark_consumer/stream.py)."""
    writer = (
        users.writeStream.format("org.apache.spark.sql.cassandra")
        .options(keyspace=table.keyspace, table=table.table, writetime="write_micros")
        .option("checkpointLocation", checkpoint)
        .outputMode("append")
    )
    return started(writer, settings.lane, settings)


if __name__ == "__main__":
    main()
