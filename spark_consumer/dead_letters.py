"""From messages that are no users to dead letters, whole and with their reasons."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.avro.functions import to_avro

from spark_consumer.contract import DEAD_LETTER_SCHEMA
from spark_consumer.decode import FRAME_ID

_FIELDS = {
    "id": "concat(topic, '/', partition, '#', offset)",
    "stage": "'consumer'",
    "source": "CAST(NULL AS STRING)",
    "origin": "concat(topic, '/', partition)",
    "position": "offset",
    "reasons": "reasons",
    "original": "coalesce(value, X'')",
    "received_at": "timestamp",
    "flow_version": "CAST(NULL AS STRING)",
    "schema_id": f"IF(length(value) >= 5 AND substring(value, 1, 1) = X'00', CAST({FRAME_ID} AS INT), NULL)",
}


def dead_letters(refused: DataFrame, schema_id: int) -> DataFrame:
    """key and value of the Kafka message for each refused frame.

    refused: topic, partition, offset, timestamp, value and reasons. schema_id: the registered id of the dead letter
    schema. The key is made of the frame's place alone, so a letter written twice counts once.
    """
    letter = F.expr(f"struct({', '.join(f'{sql} AS {name}' for name, sql in _FIELDS.items())})")
    header = F.lit(bytearray(b"\0" + schema_id.to_bytes(4, "big")))
    return refused.select(letter.alias("letter")).select(
        F.col("letter.id").cast("binary").alias("key"),
        F.concat(header, to_avro("letter", DEAD_LETTER_SCHEMA)).alias("value"),
    )


def publish(letters: DataFrame, brokers: str, topic: str) -> None:
    """Sends the messages and returns when Kafka has acknowledged every one."""
    (
        letters.write.format("kafka")
        .option("kafka.bootstrap.servers", brokers)
        .option("topic", topic)
        .option("kafka.acks", "all")
        # a letter is a little longer than the frame in it, which may be as long as the broker takes
        .option("kafka.max.request.size", 16 * 1024 * 1024)
        .save()
    )
