"""Frames and records for the consumer's unit tests, made with fastavro: not with anything of ours."""

import datetime as dt
import io
import json
import struct
from collections.abc import Sequence
from typing import Any

import fastavro
from pyspark.sql import DataFrame, SparkSession

from spark_consumer.contract import USER_SCHEMA

NOON = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
ANN: dict[str, Any] = {
    "id": "0b1f4c5e-58b4-4b0a-9d5e-0123456789ab",
    "first_name": "Ann",
    "last_name": "O'Neil",
    "email": "ann.oneil@Example.COM",
    "source": "randomuser",
    "fetched_at": NOON,
    "event_time": NOON,
    "flow_version": "v1",
}


def frame(record: dict[str, Any], schema_id: int = 7, schema: str = USER_SCHEMA) -> bytes:
    body = io.BytesIO()
    fastavro.schemaless_writer(body, fastavro.parse_schema(json.loads(schema)), record)
    return struct.pack(">bI", 0, schema_id) + body.getvalue()


def with_fields(*added: dict[str, Any], without: str | None = None) -> str:
    """The contract with fields added at its front, or one left out."""
    schema = json.loads(USER_SCHEMA)
    schema["fields"] = [*added, *(field for field in schema["fields"] if field["name"] != without)]
    return json.dumps(schema)


def messages(spark: SparkSession, values: Sequence[bytes | None], partition: int = 0) -> DataFrame:
    """As the Kafka source hands them over, offsets from 0."""
    rows = [
        (value if value is None else bytearray(value), "users", partition, offset, NOON)
        for offset, value in enumerate(values)
    ]
    return spark.createDataFrame(rows, "value binary, topic string, partition int, offset long, timestamp timestamp")
