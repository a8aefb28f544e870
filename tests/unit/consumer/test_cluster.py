"""What the consumer asks of Cassandra's driver, with the futures of a real JVM and a driver that is stood in for."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from pyspark.sql import SparkSession

from spark_consumer import cluster
from spark_consumer.errors import NeedsNewProcess, TransientError
from tests.unit.consumer.local_spark import spark  # noqa: F401 - a fixture


def connected(monkeypatch: pytest.MonkeyPatch, channel: Any, refresh: Any) -> None:
    session = SimpleNamespace(
        getContext=lambda: SimpleNamespace(getControlConnection=lambda: SimpleNamespace(channel=lambda: channel)),
        refreshSchemaAsync=lambda: refresh,
    )

    @contextmanager
    def opened(_: SparkSession) -> Iterator[Any]:
        yield session

    monkeypatch.setattr(cluster, "_session", opened)


def channel(closed: bool) -> Any:
    return SimpleNamespace(closeFuture=lambda: SimpleNamespace(isDone=lambda: closed))


@pytest.mark.parametrize("away", [None, channel(closed=True)])
def test_without_a_control_connection_the_schema_is_not_asked_for(
    spark: SparkSession,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    away: Any,
) -> None:
    connected(monkeypatch, away, None)
    monkeypatch.setattr(cluster, "_CONTROL_SECONDS", 0.2)
    with pytest.raises(TransientError, match="no control connection") as raised:
        cluster.refresh_schema(spark)
    assert not isinstance(raised.value, NeedsNewProcess)


def test_a_control_connection_that_comes_back_is_waited_for(
    spark: SparkSession,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    jvm: Any = spark._jvm
    states = iter([True, False])
    again = SimpleNamespace(closeFuture=lambda: SimpleNamespace(isDone=lambda: next(states)))
    connected(monkeypatch, again, jvm.java.util.concurrent.CompletableFuture.completedFuture(None))
    cluster.refresh_schema(spark)
    assert list(states) == []


def test_a_schema_that_can_not_be_read_now_may_be_read_later(
    spark: SparkSession,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    jvm: Any = spark._jvm
    refresh = jvm.java.util.concurrent.CompletableFuture()
    refresh.completeExceptionally(jvm.java.lang.IllegalStateException("no node"))
    connected(monkeypatch, channel(closed=False), refresh)
    with pytest.raises(Exception, match="no node") as raised:
        cluster.refresh_schema(spark)
    assert not isinstance(raised.value, NeedsNewProcess)


def test_a_driver_that_never_reads_the_schema_is_left_by_a_new_process(
    spark: SparkSession,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    jvm: Any = spark._jvm
    refresh = jvm.java.util.concurrent.CompletableFuture()
    connected(monkeypatch, channel(closed=False), refresh)
    monkeypatch.setattr(cluster, "_SCHEMA_SECONDS", 1)
    with pytest.raises(NeedsNewProcess, match="within 1 s"):
        cluster.refresh_schema(spark)
    refresh.complete(None)
    cluster.refresh_schema(spark)
