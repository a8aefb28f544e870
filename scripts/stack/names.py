"""The names that flow, consumer and tools share."""

from pathlib import Path

from scripts.bootstrap import ROOT

TOPIC = "user_data_topic"
DEAD_LETTERS = f"{TOPIC}.dlq"
PAGES = f"{TOPIC}.pages"
GROUP = "spark_consumer"

FLOW_NAME = "users"
USERS_FLOW = Path(ROOT) / "nifi_flows" / FLOW_NAME
FLOW = USERS_FLOW / "flow.json"
ENVIRONMENTS = USERS_FLOW / "environments.toml"
LINT = USERS_FLOW / "lint.toml"
SCHEMAS = {  # topic -> the contract of its values
    TOPIC: USERS_FLOW / "user.avsc",
    DEAD_LETTERS: USERS_FLOW / "dead_letter.avsc",
    PAGES: USERS_FLOW / "page_receipt.avsc",
}

# name -> (partitions, topic configuration). A dead letter can be one huge record, and it stays
# until somebody has read it.
TOPICS: dict[str, tuple[int, dict[str, str]]] = {
    TOPIC: (2, {}),  # a task of every batch each: as many as the cores of the local Spark
    DEAD_LETTERS: (1, {"max.message.bytes": str(73 * 1024 * 1024), "retention.ms": "-1"}),
    PAGES: (1, {"retention.ms": "-1"}),
}


def subject(topic: str) -> str:
    """The registry's subject for the values of a topic."""
    return f"{topic}-value"
