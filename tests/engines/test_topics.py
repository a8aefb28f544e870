"""Topics get the partitions that their pipeline declares."""

import uuid
from dataclasses import replace
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient

from nifi_flows.errors import TerminalError
from nifi_flows.pipeline import USERS, Topic
from scripts.stack.engines import kafka
from tests.engines.conftest import LocalStack


def test_a_topic_gets_partitions_that_it_lacks_and_loses_none(stack: LocalStack) -> None:
    name, topic = f"grows-{uuid.uuid4()}", Topic(Path("none.avsc"), 1, {"retention.ms": "60000"})
    admin = AdminClient({"bootstrap.servers": kafka.address(stack.settings)})

    def partitions() -> int:
        return len(admin.list_topics(timeout=20).topics[name].partitions)

    try:
        for count in (1, 3, 3):
            kafka.create_topics(stack.settings, {name: replace(topic, partitions=count)})
            assert partitions() == count
        declared = replace(USERS, topic=name, partitions=2)
        with pytest.raises(TerminalError, match=f"topic {name} has 3 partitions, and its pipeline declares 2"):
            kafka.check_partitions(stack.settings, declared)
        kafka.check_partitions(stack.settings, replace(declared, partitions=3))
        kafka.create_topics(stack.settings, {name: replace(topic, partitions=2)})
        assert partitions() == 3
    finally:
        admin.delete_topics([name], operation_timeout=20)[name].result()
