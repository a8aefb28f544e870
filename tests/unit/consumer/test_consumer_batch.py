import datetime as dt
import io
import json
import struct
import threading
from collections.abc import Mapping
from typing import Any

import fastavro
import pytest
from pyspark.sql import DataFrame, Row, SparkSession

from spark_consumer.batch import BatchWriter, Stopping
from spark_consumer.contract import DEAD_LETTER_SCHEMA, USER_SCHEMA
from spark_consumer.dead_letters import dead_letters
from spark_consumer.decode import decode
from spark_consumer.errors import TransientError
from tests.unit.consumer.frames import ANN, NOON, frame, messages, with_fields
from tests.unit.consumer.local_spark import spark  # noqa: F401

BO = {**ANN, "id": "ffffffff-58b4-4b0a-9d5e-0123456789ab", "first_name": "Bo"}


class Registry:
    """Knows some schemas, and learns the next ones at each refresh."""

    def __init__(self, known: dict[int, str], *later: dict[int, str] | Exception) -> None:
        self.known = known
        self.later = list(later)
        self.refreshed = 0

    def __call__(self) -> Mapping[int, str]:
        return self.known

    def refresh(self) -> bool:
        self.refreshed += 1
        if not self.later:
            return False
        news = self.later.pop(0)
        if isinstance(news, Exception):
            raise news
        self.known = self.known | news
        return bool(news)


class Sink:
    """Remembers, in order, what was written."""

    def __init__(self) -> None:
        self.events: list[tuple[str, list[Row]]] = []

    def rows(self, rows: DataFrame) -> None:
        self.events.append(("rows", rows.collect()))

    def letters(self, refused: DataFrame) -> None:
        self.events.append(("letters", refused.orderBy("offset").collect()))


def later(seconds: int) -> dt.datetime:
    return NOON + dt.timedelta(seconds=seconds)


def test_a_good_batch_is_written_in_one_pass(spark: SparkSession) -> None:  # noqa: F811
    registry, sink = Registry({7: USER_SCHEMA}), Sink()
    writer = BatchWriter(registry, sink.rows, sink.letters)
    writer(messages(spark, [frame(ANN), frame(BO)]), 3)
    [(what, rows)] = sink.events
    assert what == "rows"
    assert {row.first_name for row in rows} == {"Ann", "Bo"}
    assert registry.refreshed == 0
    assert writer.done == 3


def test_an_empty_batch_writes_nothing(spark: SparkSession) -> None:  # noqa: F811
    sink = Sink()
    BatchWriter(Registry({7: USER_SCHEMA}), sink.rows, sink.letters)(messages(spark, []), 0)
    assert sink.events == [("rows", [])]


def test_the_refused_are_handed_on_and_the_good_are_written(spark: SparkSession) -> None:  # noqa: F811
    sink = Sink()
    writer = BatchWriter(Registry({7: USER_SCHEMA}), sink.rows, sink.letters)
    writer(messages(spark, [b"junk", frame(ANN), None, frame(ANN, schema_id=9)]), 0)
    (_, rows), (what, letters) = sink.events
    assert [row.id for row in rows] == [ANN["id"]]
    assert what == "letters"
    assert [(row.offset, row.reasons) for row in letters] == [
        (0, ["bad_magic"]),
        (2, ["no_value"]),
        (3, ["unknown_schema:9"]),
    ]


def test_a_schema_registered_since_is_fetched_and_nothing_refused(spark: SparkSession) -> None:  # noqa: F811
    newer = with_fields({"name": "nickname", "type": "string", "default": ""})
    registry, sink = Registry({7: USER_SCHEMA}, {9: newer}), Sink()
    frames = [frame(ANN), frame({**BO, "nickname": "B"}, 9, newer)]
    BatchWriter(registry, sink.rows, sink.letters)(messages(spark, frames), 0)
    assert [what for what, _ in sink.events] == ["rows", "rows"]
    assert {row.schema_id for row in sink.events[-1][1]} == {7, 9}
    assert registry.refreshed == 1


def test_an_outage_of_the_registry_fails_the_batch_and_refuses_nothing(spark: SparkSession) -> None:  # noqa: F811
    sink = Sink()
    away = TransientError("registry away")
    writer = BatchWriter(Registry({7: USER_SCHEMA}, away), sink.rows, sink.letters)
    with pytest.raises(TransientError):
        writer(messages(spark, [frame(ANN, schema_id=9)]), 0)
    assert [what for what, _ in sink.events] == ["rows"]
    assert (writer.done, writer.failure) == (None, away)


def test_a_batch_whose_letters_are_not_acknowledged_is_not_done(spark: SparkSession) -> None:  # noqa: F811
    def kafka_is_away(_: DataFrame) -> None:
        raise OSError("no broker")

    writer = BatchWriter(Registry({7: USER_SCHEMA}), Sink().rows, kafka_is_away)
    with pytest.raises(OSError, match="no broker"):
        writer(messages(spark, [b"junk"]), 0)
    assert writer.done is None


def test_draining_waits_for_the_batch_under_way_and_lets_no_other_begin(spark: SparkSession) -> None:  # noqa: F811
    begun, go_on = threading.Event(), threading.Event()

    def slowly(rows: DataFrame) -> None:
        rows.collect()
        begun.set()
        assert go_on.wait(60)

    writer = BatchWriter(Registry({7: USER_SCHEMA}), slowly, Sink().letters)
    frames = messages(spark, [frame(ANN)])
    batch = threading.Thread(target=writer, args=(frames, 5))
    batch.start()
    assert begun.wait(60)
    drain = threading.Thread(target=writer.drain)
    drain.start()
    assert drain.is_alive()
    go_on.set()
    drain.join(60)
    assert writer.done == 5
    batch.join(60)
    with pytest.raises(Stopping):
        writer(frames, 6)
    assert writer.done == 5


def test_a_dead_letter_holds_the_bytes_as_they_came(spark: SparkSession) -> None:  # noqa: F811
    values = [b"\xff\x00junk", None, b"\0\0\0\0\x09rest", b"\0\xff\xff\xff\xff!"]
    refused = decode(messages(spark, values, partition=2), {7: USER_SCHEMA}, USER_SCHEMA)
    out = dead_letters(refused.where("reasons IS NOT NULL"), 12).collect()
    schema = fastavro.parse_schema(json.loads(DEAD_LETTER_SCHEMA))
    assert all(row.value[:5] == struct.pack(">bI", 0, 12) for row in out)
    letters: list[Any] = [fastavro.schemaless_reader(io.BytesIO(row.value[5:]), schema, None) for row in out]
    assert [bytes(row.key) for row in out] == [b"users/2#0", b"users/2#1", b"users/2#2", b"users/2#3"]
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
