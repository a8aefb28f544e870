"""Which letters a sweep makes of refused frames, and when it asks for schemas."""

import pytest
from pyspark.sql import SparkSession

from spark_consumer.contract import USER_SCHEMA
from spark_consumer.sweep import letters
from tests.unit.consumer.frames import ANN, frame, messages
from tests.unit.consumer.local_spark import spark  # noqa: F401

WRITERS = {7: USER_SCHEMA}


def test_schemas_are_asked_for_once_and_before_the_first_letter_that_needs_them(spark: SparkSession) -> None:  # noqa: F811
    values = [b"junk", frame(ANN, 7), frame(ANN, 9), frame(ANN, 9)]
    done: list[bytes | str] = []
    for key, _ in letters(messages(spark, values), WRITERS, 12, lambda: done.append("asked")):
        done.append(key)
    assert done == [b"users/0#0", "asked", b"users/0#2", b"users/0#3"]


def test_no_letter_is_made_of_a_frame_whose_schema_turns_up(spark: SparkSession) -> None:  # noqa: F811
    def learn() -> None:
        raise LookupError("there is one now")

    made = letters(messages(spark, [b"junk", frame(ANN, 9)]), WRITERS, 12, learn)
    assert next(made)[0] == b"users/0#0"
    with pytest.raises(LookupError, match="there is one now"):
        next(made)


def test_schemas_are_not_asked_for_where_no_frame_lacks_one(spark: SparkSession) -> None:  # noqa: F811
    def learn() -> None:
        raise AssertionError

    assert len(list(letters(messages(spark, [b"junk", frame(ANN, 7), None]), WRITERS, 12, learn))) == 2
