"""Committing offsets for lag tools: what is sent to Kafka, and what a refusal or an outage does to the connection."""

import socket
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import pytest
from kafka.errors import GroupAuthorizationFailedError, KafkaConnectionError, KafkaError, NoError
from kafka.structs import OffsetAndMetadata, TopicPartition

from spark_consumer import lag

USERS = TopicPartition("users", 0)
OFFSETS: lag.Offsets = {USERS: OffsetAndMetadata(7, "", -1)}


@dataclass
class Kafka:
    """Instead of a cluster: answers each commit with the next of `answers`, or raises it."""

    answers: list[Any]
    connections: list[dict[str, Any]] = field(default_factory=list)
    committed: list[tuple[str, lag.Offsets]] = field(default_factory=list)
    closed: int = 0

    def connect(self, **options: Any) -> "Kafka":
        self.connections.append(options)
        return self

    def alter_group_offsets(self, group: str, offsets: lag.Offsets) -> dict[TopicPartition, Any]:
        self.committed.append((group, offsets))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return dict.fromkeys(offsets, answer)

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def kafka(monkeypatch: pytest.MonkeyPatch) -> Kafka:
    cluster = Kafka([])
    monkeypatch.setattr(lag, "_Admin", cluster.connect)
    return cluster


def test_offsets_go_to_the_group_over_one_connection(kafka: Kafka) -> None:
    kafka.answers = [NoError, NoError]
    commit = lag.GroupOffsets("127.0.0.1:1,127.0.0.1:2", "readers")
    assert kafka.connections == []
    commit(OFFSETS)
    commit({})
    assert kafka.connections == [{"bootstrap_servers": ["127.0.0.1:1", "127.0.0.1:2"], "client_id": "readers"}]
    assert kafka.committed == [("readers", OFFSETS), ("readers", {})]
    commit.close()
    commit.close()
    assert kafka.closed == 1


def test_a_partition_that_is_refused_is_named(kafka: Kafka) -> None:
    kafka.answers = [GroupAuthorizationFailedError]
    with pytest.raises(GroupAuthorizationFailedError, match="users/0 of group readers"):
        lag.GroupOffsets("127.0.0.1:1", "readers")(OFFSETS)


@pytest.mark.parametrize(
    "trouble", [GroupAuthorizationFailedError, RuntimeError("closed"), KafkaConnectionError(), ConnectionResetError()]
)
def test_after_a_failure_it_connects_anew(kafka: Kafka, trouble: Any) -> None:
    kafka.answers = [trouble, NoError]
    commit = lag.GroupOffsets("127.0.0.1:1", "readers")
    with pytest.raises((KafkaError, OSError, RuntimeError)):
        commit(OFFSETS)
    assert kafka.closed == 1
    commit(OFFSETS)
    assert len(kafka.connections) == 2


def test_a_broker_that_does_not_answer_holds_up_nobody_for_long() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        before, begun = set(threading.enumerate()), time.monotonic()
        with pytest.raises(KafkaError):
            lag.GroupOffsets(f"127.0.0.1:{port}", "readers")(OFFSETS)
        assert time.monotonic() - begun < 5
        assert set(threading.enumerate()) <= before
