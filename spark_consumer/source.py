"""Where frames come from."""

import json

from pyspark.sql import DataFrame, SparkSession

from spark_consumer.names import CONTINUOUS, MICRO_BATCH, Lane
from spark_consumer.position import Offsets
from spark_consumer.settings import ConsumerSettings, load_settings

# In the continuous lane Spark asks for the topic's ends with every epoch, in a thread that a few failures would end
# without a word, and whose stop waits for the answer.
_OPTIONS: dict[Lane, dict[str, int]] = {
    MICRO_BATCH: {},
    CONTINUOUS: {
        "kafka.default.api.timeout.ms": 5_000,
        "kafka.request.timeout.ms": 5_000,
        "fetchOffset.numRetries": 1_000_000,
    },
}


def connect_to_kafka(
    spark: SparkSession,
    settings: ConsumerSettings | None = None,
    offsets: Offsets | None = None,
    lane: Lane = MICRO_BATCH,
) -> DataFrame:
    """The stream of Kafka messages: key, value, topic, partition, offset, timestamp, timestampType.

    offsets: of the partitions that are read, where to begin; all of them from their earliest without. Offsets that
    vanished (retention, a topic made anew) stop the stream instead of being skipped.
    """
    settings = settings or load_settings()
    # By name, Spark would also begin to read partitions that are new, and in the continuous lane plan anew for them
    # behind what it has not written yet.
    what = (
        {"subscribe": settings.topic, "startingOffsets": "earliest"}
        if offsets is None
        else {
            "assign": json.dumps({settings.topic: sorted(offsets)}),
            "startingOffsets": json.dumps({settings.topic: offsets}),
        }
    )
    return (
        spark.readStream.format("kafka")
        .option("kafka.bootstrap.servers", settings.kafka_brokers)
        .options(**what)
        .option("failOnDataLoss", "true")
        # A fetch that waits for more than there is holds back the next question on its connection; half a second of
        # it, Kafka's default, took a third of a small batch.
        .option("kafka.fetch.max.wait.ms", 10)
        .option("maxOffsetsPerTrigger", settings.max_offsets_per_trigger)
        .options(**_OPTIONS[lane])
        .load()
    )
