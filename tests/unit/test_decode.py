import datetime as dt
import json
import random
import struct
from typing import Any

import pytest
from pyspark.sql import Row, SparkSession

from spark_consumer.contract import USER_SCHEMA
from spark_consumer.decode import decode
from tests.unit.consumer_frames import ANN, NOON, frame, messages, with_fields
from tests.unit.consumer_spark import spark  # noqa: F401

GOOD = frame(ANN)
WRITERS = {7: USER_SCHEMA}


def decoded(spark: SparkSession, values: list[bytes | None], writers: dict[int, str] = WRITERS) -> list[Row]:  # noqa: F811
    return decode(messages(spark, values), writers, USER_SCHEMA).orderBy("offset").collect()


def test_a_good_frame_becomes_its_record(spark: SparkSession) -> None:  # noqa: F811
    [row] = decoded(spark, [frame({**ANN, "gender": "female", "address": "1 Rue de l'Été, Ürümqi", "dob": None})])
    assert row.reasons is None
    assert row.schema_id == 7
    assert row.user.id == ANN["id"]
    assert row.user.address == "1 Rue de l'Été, Ürümqi"
    assert row.user.dob is None
    assert row.user.asDict().keys() == {field["name"] for field in json.loads(USER_SCHEMA)["fields"]}


def test_several_writer_schemas_decode_side_by_side(spark: SparkSession) -> None:  # noqa: F811
    newer = with_fields({"name": "nickname", "type": ["null", "string"], "default": None})
    older = with_fields(without="country")
    rows = decoded(
        spark,
        [
            frame({**ANN, "country": "Norway"}, 7),
            frame({**ANN, "country": "Spain", "nickname": "Annie"}, 900, newer),
            frame(ANN, 70_000, older),
        ],
        {7: USER_SCHEMA, 900: newer, 70_000: older},
    )
    assert [(row.schema_id, row.user.country, row.user.email, row.reasons) for row in rows] == [
        (7, "Norway", ANN["email"], None),
        (900, "Spain", ANN["email"], None),
        (70_000, None, ANN["email"], None),
    ]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "no_value"),
        (b"", "no_value"),
        (b"\x01" + GOOD[1:], "bad_magic"),
        (b"{", "bad_magic"),
        (b"\0", "too_short"),
        (GOOD[:5], "too_short"),
        (frame(ANN, schema_id=8), "unknown_schema:8"),
        (struct.pack(">bI", 0, 0xFFFFFFFF) + GOOD[5:], "unknown_schema:4294967295"),
        (GOOD[:40], "not_avro"),
        (GOOD[:-1], "not_avro"),
        (GOOD[:5] + b"\x01" + GOOD[5:], "not_avro"),
        (GOOD.replace(b"O'Neil", b"O'\xff\xfeil"), "not_utf8"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_frame_that_is_none_says_why(spark: SparkSession, value: bytes | None, reason: str) -> None:  # noqa: F811
    good, bad = decoded(spark, [GOOD, value])
    assert bad.reasons == [reason]
    assert good.reasons is None


@pytest.mark.parametrize(
    ("change", "reasons"),
    [
        ({"id": "not-a-uuid"}, ["not_uuid:id"]),
        ({"id": ANN["id"] + "\n"}, ["not_uuid:id"]),
        ({"id": "{" + ANN["id"][1:]}, ["not_uuid:id"]),
        ({"event_time": dt.datetime(1999, 12, 31, 23, 59, 59, tzinfo=dt.UTC)}, ["bad_event_time"]),
        ({"event_time": dt.datetime.now(dt.UTC) + dt.timedelta(days=1, minutes=5)}, ["bad_event_time"]),
        ({"event_time": 2**63 - 1}, ["bad_event_time"]),
        ({"fetched_at": -(2**63)}, ["bad_fetched_at"]),
        ({"id": "", "event_time": 0}, ["not_uuid:id", "bad_event_time"]),
    ],
)
def test_a_record_that_breaks_the_contract_says_where(
    spark: SparkSession,  # noqa: F811
    change: dict[str, Any],
    reasons: list[str],
) -> None:
    # the contract's logical types would refuse to write these
    loose = json.loads(USER_SCHEMA)
    for field in loose["fields"]:
        if isinstance(field["type"], dict):
            field["type"] = field["type"]["type"]
    micros = int(NOON.timestamp()) * 1_000_000
    record = {**ANN, "event_time": micros, "fetched_at": micros, **change}
    for name in ("event_time", "fetched_at"):
        if isinstance(record[name], dt.datetime):
            record[name] = int(record[name].timestamp() * 1_000_000)
    [row] = (
        decode(messages(spark, [frame(record, 7, json.dumps(loose))]), WRITERS, USER_SCHEMA).select("reasons").collect()
    )
    assert row.reasons == reasons


@pytest.mark.parametrize(
    "change",
    [
        {"id": ANN["id"].upper()},
        {"event_time": dt.datetime(2000, 1, 1, tzinfo=dt.UTC)},
        {"event_time": dt.datetime.now(dt.UTC) + dt.timedelta(hours=23)},
        {"last_name": "", "email": "x"},
    ],
)
def test_what_is_odd_but_keeps_the_contract_passes(spark: SparkSession, change: dict[str, Any]) -> None:  # noqa: F811
    [row] = decoded(spark, [frame({**ANN, **change})])
    assert row.reasons is None


def test_bytes_after_a_complete_record_are_tolerated(spark: SparkSession) -> None:  # noqa: F811
    [row] = decoded(spark, [GOOD + b"more"])
    assert (row.reasons, row.user.id) == (None, ANN["id"])


def test_a_false_length_costs_no_memory(spark: SparkSession) -> None:  # noqa: F811
    claims_1_9_gb = b"\x80\xfc\xff\x93\x0e"  # zigzag varint of 1_900_019_712, more than the heap of this session
    assert _zigzag(claims_1_9_gb) > 1_900_000_000
    rows = decoded(spark, [GOOD[:5] + claims_1_9_gb + b"x" * 20, GOOD])
    assert [row.reasons for row in rows] == [["not_avro"], None]


def _zigzag(varint: bytes) -> int:
    number = sum((byte & 0x7F) << 7 * place for place, byte in enumerate(varint))
    return (number >> 1) ^ -(number & 1)


def test_no_garbage_fails_a_batch_and_no_good_frame_is_lost_in_it(spark: SparkSession) -> None:  # noqa: F811
    chance = random.Random(2026)
    values: list[bytes | None] = [GOOD[:5] + chance.randbytes(chance.randrange(1, 400)) for _ in range(2_000)]
    values += [chance.randbytes(chance.randrange(0, 50)) for _ in range(500)]
    for _ in range(1_500):
        mutant = bytearray(GOOD)
        for _ in range(chance.randrange(1, 4)):
            mutant[chance.randrange(5, len(mutant))] = chance.randrange(256)
        values.append(bytes(mutant))
    values.append(GOOD)
    rows = decoded(spark, values)
    assert len(rows) == len(values)
    assert rows[-1].reasons is None
    assert all(row.reasons for row in rows[:2_500])


def test_a_batch_is_decoded_once_for_all_uses_of_its_fields(spark: SparkSession) -> None:  # noqa: F811
    rows = decode(messages(spark, [GOOD]), WRITERS, USER_SCHEMA).select("user.*", "schema_id", "reasons")
    plan = rows._jdf.queryExecution().optimizedPlan().toString()
    assert plan.count("from_avro(") + plan.count("avrodatatocatalyst(") == 1
