"""What the continuous lane can't do is said before anything is started."""

import json
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pyspark.errors import StreamingQueryException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spark_consumer import progress, stream, streaming
from spark_consumer.decode import USERS_OR_FAIL
from spark_consumer.errors import TerminalError
from spark_consumer.names import CONTINUOUS, MICRO_BATCH, Lane
from spark_consumer.streaming import ChangeLane
from tests.unit.consumer.local_spark import SETTINGS, spark  # noqa: F401


def run(rows: DataFrame, lane: Lane, folder: Path) -> None:
    writer = rows.writeStream.format("noop").option("checkpointLocation", str(folder))
    query = stream.started(writer, lane, SETTINGS)
    query.stop()


def test_a_plan_that_the_continuous_lane_cannot_run_is_named_with_the_lane_that_can(
    spark: SparkSession,  # noqa: F811
    tmp_path: Path,
) -> None:
    frames = spark.readStream.format("rate").load()
    counted = frames.observe("seen", F.expr("count(*) AS frames"))
    with pytest.raises(TerminalError, match="CollectMetrics") as raised:
        run(counted, CONTINUOUS, tmp_path / "refused")
    assert raised.value.remedy == "set the lane to micro-batch"
    run(counted, MICRO_BATCH, tmp_path / "batches")
    run(frames.where("value > 1"), CONTINUOUS, tmp_path / "continuous")


def test_slots_are_what_the_deployment_gives(spark: SparkSession) -> None:  # noqa: F811
    assert stream.slots(spark) == 1  # of local[1]
    deployed: Any = SimpleNamespace(sparkContext=SimpleNamespace(getConf=lambda: {"spark.cores.max": "6"}))
    assert stream.slots(deployed) == 6


def test_the_frame_that_a_continuous_stream_refused_is_read_off_its_failure(
    spark: SparkSession,  # noqa: F811
    tmp_path: Path,
) -> None:
    frames = spark.readStream.format("rate").load()
    told = ["'t' AS topic", "1 AS partition", "value AS offset", "IF(value < 3, NULL, array('bad')) AS reasons"]
    users = frames.selectExpr(*told, "spark_partition_id() AS pinned").where(USERS_OR_FAIL)
    writer = users.writeStream.format("noop").option("checkpointLocation", str(tmp_path))
    query = stream.started(writer, CONTINUOUS, SETTINGS)
    with pytest.raises(StreamingQueryException):
        query.awaitTermination(180)
    change = streaming._failed(str(query.exception()))
    assert isinstance(change, ChangeLane), query.exception()
    assert str(change).startswith("the continuous lane met a refused frame, t/1#")


def test_epochs_are_read_off_the_log_of_a_continuous_stream(spark: SparkSession, tmp_path: Path) -> None:  # noqa: F811
    frames = spark.readStream.format("rate").load()
    writer = frames.writeStream.format("noop").option("checkpointLocation", str(tmp_path))
    slow = SETTINGS.model_copy(update={"epoch_milliseconds": 2000})  # Spark's own checkpoints take long
    query = stream.started(writer, CONTINUOUS, slow)
    try:
        numbers = set[int]()
        deadline = time.monotonic() + 180
        while len(numbers) < 2 and time.monotonic() < deadline:
            found = progress.committed(query)
            numbers |= {found[0]} if found and json.loads(found[1]) else set()
            time.sleep(0.05)
    finally:
        query.stop()
    assert len(numbers) == 2
