"""The Spark session that the consumer's unit tests share: the consumer's own, on one local core.

Jars come from PIPELINE_SPARK_JARS (comma list); without them, or without a Java, the tests are skipped.
"""

import os
import shutil
from collections.abc import Iterator
from functools import cache

import pytest
from pyspark.sql import SparkSession

from spark_consumer.session import create_spark_connection
from spark_consumer.settings import ConsumerSettings

SETTINGS = ConsumerSettings(
    kafka_brokers="127.0.0.1:1",
    registry_url="http://127.0.0.1:1",
    checkpoint_dir="/nonexistent",
    topic="t",
    dead_letter_topic="t.dlq",
    group="unit",
    keyspace="k",
    table="t",
)


@pytest.fixture(scope="session")
def spark() -> Iterator[SparkSession]:
    yield local_spark()


@cache
def local_spark() -> SparkSession:
    jars = os.environ.get("PIPELINE_SPARK_JARS")
    if not jars:
        pytest.skip("PIPELINE_SPARK_JARS is not set")
    if not (os.environ.get("JAVA_HOME") or shutil.which("java")):
        pytest.skip("no Java: JAVA_HOME is not set")
    os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
    os.environ["PYSPARK_SUBMIT_ARGS"] = (
        f"--master local[1] --jars {jars} --driver-memory 512m --conf spark.ui.enabled=false pyspark-shell"
    )
    return create_spark_connection(SETTINGS)
