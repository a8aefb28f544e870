"""Where rows are, by name. Light to import, for whoever needs the name alone."""

from dataclasses import dataclass


@dataclass(frozen=True)
class TableName:
    """A table of Cassandra; str() is how CQL names it."""

    keyspace: str
    table: str

    def __str__(self) -> str:
        return f"{self.keyspace}.{self.table}"


CREATED_USERS = TableName("spark_streams", "created_users")
