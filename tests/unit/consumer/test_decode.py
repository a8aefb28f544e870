import json
import random
import struct
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame, Row, SparkSession

from spark_consumer import decode as decoding
from spark_consumer import stream
from spark_consumer.contract import USER_SCHEMA
from spark_consumer.dead_letters import dead_letters
from spark_consumer.decode import MAX_FRAME_BYTES, decode, why_unreadable
from spark_consumer.names import CONTINUOUS, MICRO_BATCH, Lane
from spark_consumer.streaming import warn_if_unreadable
from tests.unit.consumer.frames import ANN, NOON, frame, messages, with_fields
from tests.unit.consumer.local_spark import spark  # noqa: F401

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


def test_a_record_of_an_older_schema_has_the_later_fields_at_their_default(spark: SparkSession) -> None:  # noqa: F811
    later: list[dict[str, Any]] = [
        {"name": "nickname", "type": ["null", "string"], "default": None},
        {"name": "language", "type": "string", "default": "en"},
        {"name": "visits", "type": ["int", "null"], "default": 7},
    ]
    reader = with_fields(*later)
    newer = frame({**ANN, "nickname": "Annie", "language": "no", "visits": None}, 8, reader)
    rows = decode(messages(spark, [frame(ANN), newer]), {7: USER_SCHEMA, 8: reader}, reader).orderBy("offset").collect()
    assert [(row.user.nickname, row.user.language, row.user.visits, row.reasons) for row in rows] == [
        (None, "en", 7, None),
        ("Annie", "no", None, None),
    ]


UNREADABLE = {
    "Illegal character in: the id": USER_SCHEMA.replace('"name": "id"', '"name": "the id"'),
    "No enum constant": USER_SCHEMA.replace('"name": "id"', '"name": "id", "order": "none"'),
    "Invalid default for field nickname": with_fields({"name": "nickname", "type": "string", "default": 5}),
    "STRING not compatible with writer type: LONG": with_fields({"name": "id", "type": "long"}, without="id"),
}


@pytest.mark.parametrize(("why", "writer"), UNREADABLE.items())
def test_frames_of_a_schema_that_cannot_be_read_are_refused_beside_good_ones(
    spark: SparkSession,  # noqa: F811
    why: str,
    writer: str,
) -> None:
    assert why_unreadable(spark, USER_SCHEMA, USER_SCHEMA) is None
    assert why in (why_unreadable(spark, writer, USER_SCHEMA) or "")
    rows = decoded(spark, [frame(ANN, 9), GOOD], {7: USER_SCHEMA, 9: writer})
    assert [row.reasons for row in rows] == [["not_avro"], None]


def test_frames_of_a_record_with_another_name_are_records(spark: SparkSession) -> None:  # noqa: F811
    writer = USER_SCHEMA.replace('"name": "User"', '"name": "Person"')
    assert why_unreadable(spark, writer, USER_SCHEMA) is None
    [row] = decoded(spark, [GOOD], {7: writer})
    assert (row.user.id, row.reasons) == (ANN["id"], None)


def test_a_schema_that_cannot_be_read_is_told_once(
    spark: SparkSession,  # noqa: F811
    caplog: pytest.LogCaptureFixture,
) -> None:
    for writer in (USER_SCHEMA, *UNREADABLE.values(), *UNREADABLE.values()):
        warn_if_unreadable(spark, 9, writer)
    assert len(caplog.messages) == len(UNREADABLE)
    assert all(message.startswith("schema 9 does not fit the contract: ") for message in caplog.messages)


REFUSED: list[tuple[bytes | None, str]] = [
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
]


def test_a_frame_that_is_none_says_why(spark: SparkSession) -> None:  # noqa: F811
    *bad, good = decoded(spark, [*(value for value, _ in REFUSED), GOOD])
    assert [row.reasons for row in bad] == [[reason] for _, reason in REFUSED]
    assert good.reasons is None


def test_a_record_that_breaks_the_contract_says_where(spark: SparkSession) -> None:  # noqa: F811
    now = int(NOON.timestamp()) * 1_000_000  # when the messages were sent
    year_2000, hour = 946_684_800_000_000, 3_600_000_000
    broken: list[tuple[dict[str, Any], list[str] | None]] = [
        ({"id": "not-a-uuid"}, ["not_uuid:id"]),
        ({"id": ANN["id"] + "\n"}, ["not_uuid:id"]),
        ({"id": "{" + ANN["id"][1:]}, ["not_uuid:id"]),
        ({"id": ANN["id"][:-1] + "g"}, ["not_uuid:id"]),
        ({"event_time": year_2000 - 1}, ["bad_event_time"]),
        ({"event_time": now + 25 * hour}, ["bad_event_time"]),
        ({"event_time": 2**63 - 1}, ["bad_event_time"]),
        ({"fetched_at": 0}, ["bad_fetched_at"]),
        ({"fetched_at": -(2**63)}, ["not_avro"]),  # no calendar of Java's holds it
        ({"id": "", "event_time": 0}, ["not_uuid:id", "bad_event_time"]),
        # odd, but within the contract
        ({"id": ANN["id"].upper()}, None),
        ({"event_time": year_2000}, None),
        ({"event_time": now + 24 * hour}, None),
        ({"last_name": "", "email": "x"}, None),
    ]
    loose = json.loads(USER_SCHEMA)  # the logical types would refuse to write these
    for field in loose["fields"]:
        if isinstance(field["type"], dict):
            field["type"] = field["type"]["type"]
    rows = decode(
        messages(
            spark,
            [
                frame({**ANN, "event_time": now, "fetched_at": now, **change}, 7, json.dumps(loose))
                for change, _ in broken
            ],
        ),
        WRITERS,
        USER_SCHEMA,
    )
    reasons = [row.reasons for row in rows.select("reasons").collect()]
    assert [(change, reason) for (change, _), reason in zip(broken, reasons, strict=True)] == broken


def test_a_frame_whose_row_cassandra_would_not_take_is_refused(spark: SparkSession) -> None:  # noqa: F811
    padding = MAX_FRAME_BYTES - len(GOOD)
    longest, longer = GOOD + b"x" * padding, GOOD + b"x" * (padding + 1)
    odd = [b"{" * (MAX_FRAME_BYTES + 1), b"\0" * (MAX_FRAME_BYTES + 1)]
    rows = decoded(spark, [longest, longer, *odd])
    assert [row.reasons for row in rows] == [None, *[["too_large"]] * 3]
    assert [row.user is None or row.user.id is None for row in rows] == [False, True, True, True], "decoded though huge"


def test_the_longest_row_of_a_frame_is_one_that_cassandra_takes() -> None:
    whole = MAX_FRAME_BYTES
    full_name = whole  # repeats first and last name, which may be all of the frame
    email_domain = whole * 3 // 2  # repeats the address, and a lower case letter may be half as long again: U+023A
    half_a_segment = 4 * 1024 * 1024
    assert whole + max(full_name, email_domain) < half_a_segment * 0.9
    assert len("Ⱥ".lower().encode()) / len("Ⱥ".encode()) == 1.5


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


def test_the_next_batch_runs_the_code_that_is_compiled_already(spark: SparkSession) -> None:  # noqa: F811
    # a literal that differs from batch to batch, such as the time, would cost a compilation on driver and executors
    decoded(spark, [GOOD])
    compilations = spark._jvm.org.apache.spark.metrics.source.CodegenMetrics.METRIC_COMPILATION_TIME()  # type: ignore[union-attr]
    before = compilations.getCount()
    decoded(spark, [GOOD])
    assert compilations.getCount() == before


def test_the_continuous_lane_fails_at_a_frame_that_is_refused(spark: SparkSession) -> None:  # noqa: F811
    assert stream.rows(messages(spark, [GOOD]), CONTINUOUS, WRITERS).count() == 1
    with pytest.raises(Exception, match=f"{decoding.MET_REFUSED}users/0#1"):
        stream.rows(messages(spark, [GOOD, b"junk"]), CONTINUOUS, WRITERS).collect()


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("lane", [CONTINUOUS, MICRO_BATCH])
def test_each_frame_is_decoded_once_in_each_lane(spark: SparkSession, lane: Lane, count: int) -> None:  # noqa: F811
    assert decodings(stream.rows(messages(spark, [GOOD]), lane, dict.fromkeys(range(count), USER_SCHEMA))) == count


@pytest.mark.parametrize("count", [1, 3])
def test_each_frame_is_decoded_once_in_a_sweep(spark: SparkSession, count: int) -> None:  # noqa: F811
    writers = dict.fromkeys(range(count), USER_SCHEMA)
    refused = decode(messages(spark, [GOOD]), writers, USER_SCHEMA).where(decoding.REFUSED)
    assert decodings(dead_letters(refused, 12)) == count


def decodings(rows: DataFrame) -> int:
    """How often the plan decodes: once for each writer, of which a frame has one."""
    plan: str = rows._jdf.queryExecution().executedPlan().toString()
    return plan.count("from_avro(") + plan.count("avrodatatocatalyst(")


def test_a_stream_counts_what_it_refuses_in_each_batch(spark: SparkSession, tmp_path: Path) -> None:  # noqa: F811
    values = [b"junk", frame(ANN), None, frame(ANN, schema_id=9)]
    frames = messages(spark, values)
    frames.coalesce(1).write.parquet(str(tmp_path / "frames"))
    read = spark.readStream.schema(frames.schema).parquet(str(tmp_path / "frames"))
    users = stream.rows(read, MICRO_BATCH, WRITERS)
    query = users.writeStream.format("noop").option("checkpointLocation", str(tmp_path / "checkpoint")).start()
    try:
        query.processAllAvailable()
        progress = query.recentProgress[0]
    finally:
        query.stop()
    assert progress["observedMetrics"][stream.SEEN] == {"refused": 3}
