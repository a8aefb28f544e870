"""From rows to Cassandra."""

from pyspark.sql import DataFrame, SparkSession

from spark_consumer.names import TableName

_CASSANDRA = "org.apache.spark.sql.cassandra"


def upsert(rows: DataFrame, table: TableName) -> None:
    """Writes rows as of their write_micros: an older write changes nothing that is newer.

    rows: columns of the table, and write_micros; a key may stand twice, in any order. A null deletes its cell, as of
    the same time; columns of the table that are not among them stay. Returns when Cassandra has acknowledged every
    row; raises what the connector raises, with some rows written: writing them again is harmless.
    Cassandra remembers a deletion for its table's gc_grace_seconds, ten days; Kafka keeps a record for a week, so
    none that the deletion outdates can come after it is forgotten.
    Two different rows of one key and one write_micros would mix, since Cassandra then keeps the greater value of each
    cell. The flow makes none: a page's records are a microsecond apart in event time, and a page that is fetched again
    comes later. Two pages could tie only if both held the user and were fetched within 5 ms.
    """
    (
        rows.write.format(_CASSANDRA)
        .mode("append")
        .options(keyspace=table.keyspace, table=table.table, writetime="write_micros")
        .save()
    )


def live_columns(spark: SparkSession, table: TableName) -> dict[str, str]:
    """column -> CQL type of the table as it is; empty if there is none.

    Asked through the connector's own session: the consumer needs no credentials of its own.
    """
    connector = spark._jvm.com.datastax.spark.connector.cql.CassandraConnector  # type: ignore[union-attr]
    session = connector.apply(spark.sparkContext._jsc.sc().getConf()).openSession()
    try:
        keyspace = session.getMetadata().getKeyspace(table.keyspace)
        found = keyspace.get().getTable(table.table) if keyspace.isPresent() else keyspace
        columns = found.get().getColumns().values() if found.isPresent() else []
        return {column.getName().asInternal(): column.getType().asCql(False, False) for column in columns}  # noqa: FBT003 - Java
    finally:
        session.close()
