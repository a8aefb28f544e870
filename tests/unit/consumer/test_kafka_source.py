"""What Spark is told to read."""

import json
from typing import Any, cast
from unittest.mock import MagicMock

import pytest
from pyspark.sql import SparkSession

from spark_consumer.names import CONTINUOUS, MICRO_BATCH, Lane
from spark_consumer.position import Offsets
from spark_consumer.source import connect_to_kafka
from tests.unit.consumer.local_spark import SETTINGS


class Reader:
    """Instead of Spark's: notes the options that it is given."""

    def __init__(self) -> None:
        self.told: dict[str, Any] = {}

    def option(self, name: str, value: Any) -> "Reader":
        return self.options(**{name: value})

    def options(self, **options: Any) -> "Reader":
        self.told |= options
        return self

    def load(self) -> None:
        pass


def options(offsets: Offsets | None, lane: Lane) -> dict[str, Any]:
    spark, reader = MagicMock(), Reader()
    spark.readStream.format.return_value = reader
    connect_to_kafka(cast(SparkSession, spark), SETTINGS, offsets, lane)
    return reader.told


@pytest.mark.parametrize("lane", [CONTINUOUS, MICRO_BATCH])
def test_only_the_partitions_that_have_an_offset_are_read(lane: Lane) -> None:
    told = options({1: 7, 0: 3}, lane)
    assert "subscribe" not in told, "or Spark would begin to read new ones by itself"
    assert json.loads(told["assign"]) == {"t": [0, 1]}
    assert json.loads(told["startingOffsets"]) == {"t": {"0": 3, "1": 7}}
    assert told["failOnDataLoss"] == "true"


def test_whoever_names_no_offsets_reads_all_from_the_beginning() -> None:
    told = options(None, MICRO_BATCH)
    assert (told["subscribe"], told["startingOffsets"]) == ("t", "earliest")
