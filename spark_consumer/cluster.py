"""Cassandra, asked through the connector's own session: the consumer needs no credentials of its own."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from py4j.protocol import Py4JJavaError
from pyspark.sql import SparkSession

from spark_consumer.errors import NeedsNewProcess, TransientError
from spark_consumer.names import TableName
from spark_consumer.safety import Starts

_SECONDS = 5  # for an answer
_CONTROL_SECONDS = 5  # for the driver to connect again; it tries at least every two
_SCHEMA_SECONDS = 30  # for the driver to read the whole schema; its own limits are ten until nodes agree, and five


def live_columns(spark: SparkSession, table: TableName) -> dict[str, str]:
    """column -> CQL type of the table as it is; empty if there is none.

    Asks Cassandra itself: what its driver knows of the schema may be missing or old.
    """
    gateway: Any = spark._sc._gateway
    names = gateway.new_array(gateway.jvm.Object, 2)
    names[0], names[1] = table.keyspace, table.table
    statement = _statement(
        spark, "SELECT column_name, type FROM system_schema.columns WHERE keyspace_name = ? AND table_name = ?", names
    )
    with _session(spark) as session:
        return {name.decode(): cql.decode() for name, cql in _rows(spark, session, statement, 2)}


def refresh_schema(spark: SparkSession) -> None:
    """Have the driver read the schema, as the connector does right after it, without a limit, to start the stream.

    Once a refresh of the driver has failed for want of its control connection, every later one waits for ever, also in
    4.18.1, which the connector brings: https://github.com/scylladb/java-driver/issues/841 tells why, of a fork that has
    mended it since. Raises TransientError when there is no control connection, NeedsNewProcess when there is no answer.
    """
    jvm: Any = spark._jvm
    with _session(spark) as session:
        control = session.getContext().getControlConnection()
        deadline = time.monotonic() + _CONTROL_SECONDS
        while not _is_open(control.channel()):
            if time.monotonic() > deadline:
                raise TransientError("Cassandra's driver has no control connection", "see that Cassandra runs")
            time.sleep(0.1)
        refresh = session.refreshSchemaAsync().toCompletableFuture()
        try:
            refresh.get(_SCHEMA_SECONDS, jvm.java.util.concurrent.TimeUnit.SECONDS)
        except Py4JJavaError as error:
            if refresh.isDone():
                raise
            why = f"Cassandra's driver has not read the schema within {_SCHEMA_SECONDS} s"
            raise NeedsNewProcess(why) from error


def _is_open(channel: Any) -> bool:
    return channel is not None and not channel.closeFuture().isDone()


def starts(spark: SparkSession) -> Starts:
    """Each node's id and the number of its start, which Cassandra counts for its gossip: seconds since 1970.

    None for a node that does not answer within some seconds. Raises TransientError when none does, and what the driver
    raises when it has no session.
    """
    statement = _statement(spark, "SELECT gossip_generation FROM system.local")
    found: dict[str, int | None] = {}
    with _session(spark) as session:
        for node in session.getMetadata().getNodes().values():
            try:
                [(start,)] = _rows(spark, session, statement.setNode(node), 1)
            except Py4JJavaError:
                found[str(node.getEndPoint())] = None
            else:
                found[node.getHostId().toString()] = int.from_bytes(start)
    if not any(found.values()):
        raise TransientError("no node of Cassandra answers", "see that Cassandra runs")
    return found


def _statement(spark: SparkSession, cql: str, *values: Any) -> Any:
    jvm: Any = spark._jvm
    made = jvm.com.datastax.oss.driver.api.core.cql.SimpleStatement.newInstance(cql, *values)
    return made.setTimeout(jvm.java.time.Duration.ofSeconds(_SECONDS))


def _rows(spark: SparkSession, session: Any, statement: Any, columns: int) -> list[list[bytes]]:
    """The answer's cells as Cassandra sends them; py4j doesn't find what an interface does by default, as getString."""
    as_bytes = spark._jvm.com.datastax.oss.protocol.internal.util.Bytes.getArray  # type: ignore[union-attr]
    rows, found = session.execute(statement).iterator(), []
    while rows.hasNext():
        row = rows.next()
        found.append([bytes(as_bytes(row.getBytesUnsafe(column))) for column in range(columns)])
    return found


@contextmanager
def _session(spark: SparkSession) -> Iterator[Any]:
    connector = spark._jvm.com.datastax.spark.connector.cql.CassandraConnector  # type: ignore[union-attr]
    session = connector.apply(spark.sparkContext._jsc.sc().getConf()).openSession()
    try:
        yield session
    finally:
        session.close()
