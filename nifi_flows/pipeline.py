"""A pipeline as one value: the flow that pulls records, and every name on their way to a table."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

from nifi_flows.errors import TerminalError
from spark_consumer import users
from spark_consumer.names import Lane, TableName, dead_letter_topic

_TREE = Path(__file__).parent.parent
FLOWS = "nifi_flows"  # folder of all flows in the tree


@dataclass(frozen=True)
class Topic:
    """How a topic is made. contract: the Avro schema of its values. configuration: as Kafka names it."""

    contract: Path
    partitions: int
    configuration: Mapping[str, str]


@dataclass(frozen=True)
class Pipeline:
    """name: of the flow, of its process group and of its folder in nifi_flows. record: stem of its records' .avsc file.

    topic: of the records' frames. partitions: of that topic. consumer_group: shows how far the consumer is.
    lane: in which Spark takes them to the table. executors: of Spark, of 1.5 GB of memory each, which share the
    partitions. tree: the source tree that `folder` is in.

    Raises TerminalError for a lane that does not exist, and where an executor would have no partition.
    """

    name: str
    record: str
    topic: str
    consumer_group: str
    keyspace: str
    table: str
    partitions: int
    lane: Lane
    executors: int = 1
    tree: Path = _TREE

    def __post_init__(self) -> None:
        if self.lane not in (lanes := get_args(Lane)):
            raise TerminalError(f"pipeline {self.name}: there is no lane {self.lane!r}", f"use {' or '.join(lanes)}")
        if not 1 <= self.executors <= self.partitions:
            raise TerminalError(
                f"pipeline {self.name} declares {self.executors} executors for {self.partitions} partitions",
                "declare at least one executor, and a partition for each",
            )

    def within(self, tree: Path) -> "Pipeline":
        """The same pipeline as another source tree declares it."""
        return replace(self, tree=tree)

    @property
    def folder(self) -> Path:
        return self.tree / self.folder_in_tree

    @property
    def folder_in_tree(self) -> Path:
        return Path(FLOWS, self.name)

    @property
    def flow(self) -> Path:
        """The flow definition in its canonical form."""
        return self.folder / "flow.json"

    @property
    def flow_in_tree(self) -> str:
        """As git calls it: from the root of the tree."""
        return (self.folder_in_tree / self.flow.name).as_posix()

    @property
    def environments(self) -> Path:
        return self.folder / "environments.toml"

    @property
    def lint(self) -> Path:
        """How the flow is linted."""
        return self.folder / "lint.toml"

    @property
    def table_name(self) -> TableName:
        """The table with its keyspace; str() is how CQL names it."""
        return TableName(self.keyspace, self.table)

    @property
    def dead_letters(self) -> str:
        """The topic of what did not become a row."""
        return dead_letter_topic(self.topic)

    @property
    def pages(self) -> str:
        """The topic of the receipts of pages."""
        return f"{self.topic}.pages"

    @property
    def topics(self) -> dict[str, Topic]:
        """Name -> topic. A dead letter can be one huge record, and it stays until somebody has read it."""
        kept = {"retention.ms": "-1"}
        return {
            self.topic: Topic(self.folder / f"{self.record}.avsc", self.partitions, {}),
            self.dead_letters: Topic(
                self.folder / "dead_letter.avsc", 1, {"max.message.bytes": str(73 * 1024 * 1024), **kept}
            ),
            self.pages: Topic(self.folder / "page_receipt.avsc", 1, kept),
        }


USERS = Pipeline(
    name=users.NAME,
    record="user",
    topic=users.TOPIC,
    consumer_group=users.CONSUMER_GROUP,
    keyspace=users.TABLE.keyspace,
    table=users.TABLE.table,
    partitions=2,  # a task each: as many as the cores of a small machine
    lane="continuous",
)
