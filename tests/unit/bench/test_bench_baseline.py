"""The plain baseline is tuned as the pipeline's own stream is."""

import datetime as dt
from typing import cast
from unittest.mock import MagicMock, call

import pytest
from cassandra.cluster import Session
from pyspark.sql import DataFrame, SparkSession

from nifi_flows.pipeline import USERS
from scripts.bench import contenders
from scripts.bench.baseline import consumer
from scripts.bench.baseline.consumer import COLUMNS
from spark_consumer import stream
from spark_consumer.contract import USER_SCHEMA
from spark_consumer.names import CONTINUOUS, MICRO_BATCH, Lane, TableName
from spark_consumer.table import create_table
from tests.unit.consumer.frames import ANN, NOON, frame, messages
from tests.unit.consumer.local_spark import SETTINGS, spark  # noqa: F401


def written(frame: MagicMock) -> list[tuple[str, object]]:
    """What was asked of the writer of a stream, the places of checkpoints and the names of queries aside."""
    [asked] = [c for c in frame.writeStream.mock_calls if c[0].endswith("start")]
    steps = [c for c in frame.writeStream.mock_calls if c != asked and "queryName" not in c[0].split(".")[-1]]
    return sorted((c[0].split(".")[-1], (c.args, c.kwargs)) for c in steps if "checkpointLocation" not in c.args)


@pytest.mark.parametrize(
    ("lane", "pace"),
    [(MICRO_BATCH, {"processingTime": "0.2 seconds"}), (CONTINUOUS, {"continuous": "100 milliseconds"})],
)
def test_it_writes_through_the_same_sink_at_the_same_pace(
    monkeypatch: pytest.MonkeyPatch, lane: Lane, pace: dict[str, str]
) -> None:
    ours, plain = MagicMock(), MagicMock()
    for name in ("connect_to_kafka", "_fresh"):
        monkeypatch.setattr(stream, name, MagicMock())
    monkeypatch.setattr(stream, "rows", lambda *_: ours)
    stream.start(MagicMock(), SETTINGS, lane, {0: 0}, {})
    settings = SETTINGS.model_copy(update={"lane": lane})
    consumer.start(cast(DataFrame, plain), TableName(SETTINGS.keyspace, SETTINGS.table), "/somewhere", settings)
    assert written(plain) == written(ours)
    assert ("trigger", ((), pace)) in written(plain)


def test_its_rows_have_the_records_event_time_as_write_time(spark: SparkSession) -> None:  # noqa: F811
    moment = NOON + dt.timedelta(microseconds=7)
    [row] = consumer.rows(messages(spark, [frame({**ANN, "event_time": moment})]), USER_SCHEMA).collect()
    assert list(row.asDict()) == [*COLUMNS, "write_micros"]
    assert (row.id, row.first_name, row.dob) == (ANN["id"], "Ann", None)
    assert row.write_micros == int(NOON.timestamp()) * 1_000_000 + 7


def test_its_table_is_defined_as_the_pipelines() -> None:
    session, pipelines = MagicMock(), MagicMock()
    create_table(cast(Session, pipelines), USERS.table_name)
    [made] = pipelines.execute.call_args.args
    with contenders.table(cast(Session, session), USERS) as name:
        assert name == f"{USERS.keyspace}.bench"
        assert call(made.replace(str(USERS.table_name), name)) in session.execute.mock_calls
    assert session.execute.mock_calls[-1] == call(f"DROP TABLE IF EXISTS {name}")
