import io
import json
import struct
from typing import Any

import fastavro
import pytest
from pyspark.sql import SparkSession

from spark_consumer import dead_letters as letters_module
from spark_consumer.contract import DEAD_LETTER_SCHEMA, USER_SCHEMA
from spark_consumer.dead_letters import dead_letters, shortened
from spark_consumer.decode import decode
from tests.unit.consumer.frames import NOON, messages
from tests.unit.consumer.local_spark import spark  # noqa: F401


def test_a_dead_letter_holds_the_bytes_as_they_came(spark: SparkSession) -> None:  # noqa: F811
    values = [b"\xff\x00junk", None, b"\0\0\0\0\x09rest", b"\0\xff\xff\xff\xff!"]
    refused = decode(messages(spark, values, partition=2), {7: USER_SCHEMA}, USER_SCHEMA)
    out = dead_letters(refused.where("reasons IS NOT NULL"), 12).collect()
    schema = fastavro.parse_schema(json.loads(DEAD_LETTER_SCHEMA))
    assert all(row.value[:5] == struct.pack(">bI", 0, 12) for row in out)
    letters: list[Any] = [fastavro.schemaless_reader(io.BytesIO(row.value[5:]), schema, None) for row in out]
    assert [bytes(row.key) for row in out] == [b"users/2#0", b"users/2#1", b"users/2#2", b"users/2#3"]
    assert [row.unknown for row in out] == [False, False, True, True]
    assert letters[0] == {
        "id": "users/2#0",
        "stage": "consumer",
        "source": None,
        "origin": "users/2",
        "position": 0,
        "reasons": ["bad_magic"],
        "original": b"\xff\x00junk",
        "received_at": NOON,
        "flow_version": None,
        "schema_id": None,
    }
    assert [(letter["original"], letter["reasons"], letter["schema_id"]) for letter in letters[1:]] == [
        (b"", ["no_value"], None),
        (b"\0\0\0\0\x09rest", ["unknown_schema:9"], 9),
        (b"\0\xff\xff\xff\xff!", ["unknown_schema:4294967295"], None),
    ]


def test_a_letter_that_is_too_long_keeps_the_beginning_of_its_frame(
    spark: SparkSession,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(letters_module, "_KEPT", 10)
    refused = decode(messages(spark, [b"junk" * 100]), {7: USER_SCHEMA}, USER_SCHEMA)
    [row] = dead_letters(refused, 12).collect()
    cut = shortened(bytes(row.value))
    assert cut[:5] == row.value[:5]
    schema = fastavro.parse_schema(json.loads(DEAD_LETTER_SCHEMA))
    letter: Any = fastavro.schemaless_reader(io.BytesIO(cut[5:]), schema, None)
    assert letter["original"] == b"junkjunkju"
    assert letter["reasons"] == ["bad_magic", "original_cut:400"]
    assert letter["id"] == "users/0#0"
