"""From messages that are no users to dead letters, whole and with their reasons."""

import io
import json
import struct
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

import fastavro
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.avro.functions import to_avro

from spark_consumer.contract import DEAD_LETTER_SCHEMA
from spark_consumer.decode import FRAME_ID
from spark_consumer.errors import TransientError
from spark_consumer.position import Offsets

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

# librdkafka's own limit, so that the broker's alone counts; a letter is a little longer than the frame in it.
_LONGEST = 1_000_000_000
_SECONDS = 60.0  # for Kafka to take the letters of a sweep, or to hand them back
_HEADER = struct.Struct(">bI")
_REMEDY = "see that Kafka runs"
_KEPT = 256 * 1024  # bytes of a frame whose letter is too long for the broker

Letter = tuple[bytes, bytes]  # key and value of the Kafka message


def dead_letters(refused: DataFrame, schema_id: int) -> DataFrame:
    """key and value of the Kafka message for each refused frame, and whether it is one for want of its schema: unknown.

    refused: topic, partition, offset, timestamp, value and reasons. schema_id: the registered id of the dead letter
    schema. The key is made of the frame's place alone, so a letter written twice counts once.
    """
    letter = F.expr(f"struct({', '.join(f'{sql} AS {name}' for name, sql in _FIELDS.items())})")
    header = F.lit(bytearray(_HEADER.pack(0, schema_id)))
    unknown = F.expr("reasons[0] LIKE 'unknown_schema:%'")
    return refused.select(letter.alias("letter"), unknown.alias("unknown")).select(
        F.col("letter.id").cast("binary").alias("key"),
        F.concat(header, to_avro("letter", DEAD_LETTER_SCHEMA)).alias("value"),
        "unknown",
    )


class DeadLetterTopic:
    """Where the letters go."""

    def __init__(self, brokers: str, topic: str) -> None:
        self._brokers = brokers
        self._topic = topic

    def publish(self, letters: Iterable[Letter]) -> int:
        """Send the letters; returns how many, all acknowledged. One that the broker finds too long is cut.

        Raises TransientError when one may not have arrived.
        """
        producer = Producer(self._options({"enable.idempotence": True, "message.max.bytes": _LONGEST, **_DENSE}))
        try:
            count, too_long = self._published(producer, letters, cut=True)
            self._published(producer, ((key, shortened(value)) for key, value in too_long), cut=False)
        finally:
            producer.purge()  # what is left after a failure must not arrive beside the next attempt
            producer.flush(1)
        return count

    def _published(self, producer: Producer, letters: Iterable[Letter], *, cut: bool) -> tuple[int, list[Letter]]:
        """How many were sent, and those among them that were too long. cut: whether those may be."""
        refused: list[KafkaError] = []
        too_long: list[Letter] = []

        def acknowledged(error: KafkaError | None, message: Message) -> None:
            if error is None:
                return
            if cut and error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
                too_long.append((message.key() or b"", message.value() or b""))
            else:
                refused.append(error)

        count = 0
        for key, value in letters:
            self._send(producer, key, value, acknowledged)
            count += 1
        left = producer.flush(_SECONDS)
        if refused or left:
            why = refused[0].str() if refused else f"no answer within {_SECONDS:g} s"
            raise TransientError(f"Kafka has not taken {len(refused) or left} dead letters: {why}", _REMEDY)
        return count, too_long

    def keys(self, start: Offsets, end: Offsets) -> set[bytes]:
        """The keys of the letters between these offsets. Raises TransientError when Kafka doesn't give them."""
        left = {p: offset for p, offset in end.items() if offset > start.get(p, 0)}
        consumer = Consumer(
            self._options(
                {
                    "group.id": "unused",
                    "enable.auto.commit": False,
                    "enable.partition.eof": True,
                    "auto.offset.reset": "earliest",  # where the first of them were removed meanwhile
                }
            )
        )
        found: set[bytes] = set()
        try:
            consumer.assign([TopicPartition(self._topic, p, start.get(p, 0)) for p in left])
            while left:
                message = consumer.poll(_SECONDS)
                if message is None:
                    raise TransientError(f"Kafka gives no dead letter within {_SECONDS:g} s", _REMEDY)
                partition, error = message.partition(), message.error()
                if error is not None and error.code() != KafkaError._PARTITION_EOF:
                    raise TransientError(f"Kafka gives no dead letters: {error.str()}", _REMEDY)
                if error is None:
                    found.add(message.key() or b"")
                if partition in left and (error is not None or (message.offset() or 0) + 1 >= left[partition]):
                    del left[partition]
        finally:
            consumer.close()
        return found

    def _send(self, producer: Producer, key: bytes, value: bytes, acknowledged: Any) -> None:
        while True:
            try:
                producer.produce(self._topic, value, key, on_delivery=acknowledged)
            except BufferError:
                producer.poll(1)
                continue
            except KafkaException as error:
                raise TransientError(f"Kafka takes no dead letter: {error.args[0].str()}", _REMEDY) from error
            producer.poll(0)
            return

    def _options(self, more: Mapping[str, Any]) -> dict[str, Any]:
        return {"bootstrap.servers": self._brokers, "log_level": 0, "message.timeout.ms": int(_SECONDS * 1000), **more}


# A frame that its producer had compressed is then as short in its letter.
_DENSE = {"compression.type": "gzip", "compression.level": 9}


def shortened(value: bytes) -> bytes:
    """A letter with the beginning of its frame alone; its reasons say how long the frame is."""
    letter: Any = fastavro.schemaless_reader(io.BytesIO(value[_HEADER.size :]), _schema(), None)
    length = len(letter["original"])
    letter |= {"original": letter["original"][:_KEPT], "reasons": [*letter["reasons"], f"original_cut:{length}"]}
    out = io.BytesIO(value[: _HEADER.size])
    out.seek(0, io.SEEK_END)
    fastavro.schemaless_writer(out, _schema(), letter)
    return out.getvalue()


@cache
def _schema() -> Any:
    return fastavro.parse_schema(json.loads(DEAD_LETTER_SCHEMA))
