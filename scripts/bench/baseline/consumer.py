"""What a good engineer would write for the way from Kafka to Cassandra: a bare Spark job with the tuned connector.

`python -m scripts.bench.baseline.consumer TOPIC TABLE CHECKPOINT SCHEMA`, with the brokers and the Spark configuration
of the pipeline's consumer in its environment. It decodes and appends: no enrichment, no dead letters, no order of
writes, no lag for others to see. Ends on SIGTERM.
"""

import os
import signal
import sys
import threading
from types import FrameType

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.avro.functions import from_avro

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
    spark = session("bench_baseline")

    def append(batch: DataFrame, batch_id: int) -> None:
        keyspace, name = table.split(".")
        batch.write.format("org.apache.spark.sql.cassandra").mode("append").options(
            keyspace=keyspace, table=name
        ).save()

    frames = (
        spark.readStream.format("kafka")
        .option("kafka.bootstrap.servers", os.environ["CONSUMER_KAFKA_BROKERS"])
        .option("subscribe", topic)
        .option("startingOffsets", "earliest")
        .option("maxOffsetsPerTrigger", 50_000)
        .option("kafka.fetch.max.wait.ms", 10)
        .load()
    )
    users = frames.select(from_avro(F.expr("substring(value, 6)"), schema).alias("user")).select("user.*")
    query = users.select(*COLUMNS).writeStream.foreachBatch(append).option("checkpointLocation", checkpoint).start()
    while query.isActive and not stop.wait(0.2):
        pass
    query.stop()
    spark.stop()


def session(name: str) -> SparkSession:
    """A session with the connector tuned as the pipeline has it, as is the reader: the designs are compared."""
    quiet = "-Ddatastax-java-driver.advanced.request.log-warnings=false"
    spark = (
        SparkSession.builder.appName(name)
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.cassandra.output.batch.grouping.key", "none")
        .config("spark.cassandra.output.batch.size.bytes", "20000")
        .config("spark.cassandra.output.concurrent.writes", "8")
        .config("spark.driver.defaultJavaOptions", quiet)
        .config("spark.executor.defaultJavaOptions", quiet)
        .getOrCreate()
    )
    spark.sparkContext.setLogLevel("WARN")
    return spark


if __name__ == "__main__":
    main()
