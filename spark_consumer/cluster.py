"""Cassandra, asked through the connector's own session: the consumer needs no credentials of its own."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pyspark.sql import SparkSession

from spark_consumer.names import TableName
from spark_consumer.safety import Starts

_SECONDS = 5  # for an answer


def live_columns(spark: SparkSession, table: TableName) -> dict[str, str]:
    """column -> CQL type of the table as it is; empty if there is none."""
    with _session(spark) as session:
        keyspace = session.getMetadata().getKeyspace(table.keyspace)
        found = keyspace.get().getTable(table.table) if keyspace.isPresent() else keyspace
        columns = found.get().getColumns().values() if found.isPresent() else []
        return {column.getName().asInternal(): column.getType().asCql(False, False) for column in columns}  # noqa: FBT003 - Java


def starts(spark: SparkSession) -> Starts:
    """Each node's id and the number of its start, which Cassandra counts for its gossip: seconds since 1970.

    Raises what the driver raises when one of them does not answer within some seconds.
    """
    jvm: Any = spark._jvm
    statement = jvm.com.datastax.oss.driver.api.core.cql.SimpleStatement.newInstance(
        "SELECT gossip_generation FROM system.local"
    ).setTimeout(jvm.java.time.Duration.ofSeconds(_SECONDS))
    as_hex = jvm.com.datastax.oss.protocol.internal.util.Bytes.toHexString
    found = {}
    with _session(spark) as session:
        for node in session.getMetadata().getNodes().values():
            # py4j doesn't find what an interface does by default: one(), getInt(0)
            row = session.execute(statement.setNode(node)).iterator().next()
            found[node.getHostId().toString()] = int(as_hex(row.getBytesUnsafe(0)), 16)
    return found


@contextmanager
def _session(spark: SparkSession) -> Iterator[Any]:
    connector = spark._jvm.com.datastax.spark.connector.cql.CassandraConnector  # type: ignore[union-attr]
    session = connector.apply(spark.sparkContext._jsc.sc().getConf()).openSession()
    try:
        yield session
    finally:
        session.close()
