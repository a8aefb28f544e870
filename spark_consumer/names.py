"""How topics, the registry's subjects and tables are named. Light to import, for whoever needs a name alone."""

from dataclasses import dataclass
from typing import Literal

Lane = Literal["continuous", "micro-batch"]
"""how a stream goes: frame by frame, in tasks that never end; or planned and counted batch by batch"""
CONTINUOUS: Lane = "continuous"
MICRO_BATCH: Lane = "micro-batch"


@dataclass(frozen=True)
class TableName:
    """A table of Cassandra; str() is how CQL names it."""

    keyspace: str
    table: str

    def __str__(self) -> str:
        return f"{self.keyspace}.{self.table}"


def dead_letter_topic(topic: str) -> str:
    """The topic of what did not become a row, beside the topic that it comes from."""
    return f"{topic}.dlq"


def subject(topic: str) -> str:
    """The registry's subject for the values of a topic."""
    return f"{topic}-value"
