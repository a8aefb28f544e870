"""PublishUsers and PublishDeadLetters as NiFi calls them."""

import importlib
import json
from typing import Any

import pytest

from nifi_processors.py4j_bytes import register_bytes_converter
from tests.nifi_harness import FakeFlowFile, context
from tests.unit.processors.thin import ATTRIBUTES, KAFKA, VALID, StubKafka, processor


def publish(
    content: bytes, attributes: dict[str, str] = ATTRIBUTES, size: int | None = None
) -> tuple[Any, Any, FakeFlowFile]:
    users = processor("publish_users")
    users.setContext(context(users, **KAFKA))
    flowfile = FakeFlowFile(content, attributes, size)
    return users, users.transformFlowFile(flowfile), flowfile


def test_a_valid_page_leaves_empty_with_its_counts(kafka: StubKafka) -> None:
    _, result, _ = publish(b'{"results":[' + VALID + b"," + VALID + b"]}")
    assert (result.getRelationship(), result.getContents()) == ("success", b"")
    assert result.getAttributes() == {"users:fetched": "2", "users:published": "2", "users:invalid": "0"}
    assert kafka.sent == [("user_data_topic", 2), ("user_data_topic.pages", 1)]


def test_what_could_not_be_used_of_valid_users_is_counted(kafka: StubKafka) -> None:
    odd = VALID[:-1] + b',"phone":[],"dob":{"date":"2021-02-30"}}'
    users, result, _ = publish(b'{"results":[' + b",".join([odd, VALID, odd]) + b"]}")
    assert result.getAttributes() == {
        "users:fetched": "3",
        "users:published": "3",
        "users:invalid": "0",
        "users:unusable": "dob 2, phone 2",
    }
    [(level, line)] = users.logger.lines
    assert level == "info"
    assert line.endswith("without a field that could not be used: dob 2, phone 2")


def test_invalid_users_leave_as_lines(kafka: StubKafka) -> None:
    _, result, _ = publish(b'{"results":[' + VALID + b',{"email" : 1},"\xff"]}')
    assert result.getAttributes() == {"users:fetched": "3", "users:published": "1", "users:invalid": "2"}
    lines = result.getContents().decode().splitlines()
    assert [json.loads(line) for line in lines] == [
        {
            "reasons": ["missing:id", "missing:first_name", "missing:last_name", "not_text:email"],
            "position": 1,
            "original": '{"email" : 1}',
        },
        {"reasons": ["not_json"], "position": 2, "base64": "Iv8i"},
    ]


def test_what_is_no_page_is_refused_with_its_content(kafka: StubKafka) -> None:
    _, result, _ = publish(b"<html>")
    assert (result.getRelationship(), result.getContents()) == ("refused", None)
    assert result.getAttributes() == {"page:error": "page_not_json"}
    assert kafka.sent == []


def test_a_huge_page_is_refused_unread(kafka: StubKafka) -> None:
    _, result, flowfile = publish(b"", size=64 * 1024 * 1024 + 1)
    assert (result.getRelationship(), result.getAttributes()) == ("refused", {"page:error": "page_too_large"})
    assert flowfile.read == 0


def test_a_page_stamped_under_another_version_moves_before_anything_of_it_is_published(kafka: StubKafka) -> None:
    content = b'{"results":[' + VALID + b"]}"
    _, result, flowfile = publish(content, {**ATTRIBUTES, "page:flow_version": "v0"})
    assert (result.getRelationship(), result.getContents()) == ("outdated", None)
    assert result.getAttributes() == {"page:fetched_at": "1700000000005000", "page:moves": "1"}
    assert (kafka.sent, flowfile.read) == ([], 0)


def test_when_kafka_is_down_the_page_waits_and_one_line_says_why(kafka: StubKafka) -> None:
    kafka.down = True
    users, result, _ = publish(b'{"results":[' + VALID + b"]}")
    assert (result.getRelationship(), result.getContents()) == ("failure", None)
    assert result.getAttributes() == {"publish:error": "Kafka is down; start it"}
    assert users.logger.lines == [("error", "Kafka is down; start it")]


def test_a_page_without_its_attributes_waits_too(kafka: StubKafka) -> None:
    _, result, _ = publish(b'{"results":[' + VALID + b"]}", {**ATTRIBUTES, "page:number": "x"})
    assert result.getRelationship() == "failure"
    assert "page:number='x'" in result.getAttributes()["publish:error"]


@pytest.mark.parametrize("module", ["publish_users", "publish_dead_letters"])
def test_stopping_closes_what_it_publishes_to_and_starting_again_opens_it(module: str, kafka: StubKafka) -> None:
    made = processor(module)
    nifi = context(made, **KAFKA)
    made.setContext(nifi)
    made.onStopped(nifi)
    content = b'{"results":[' + VALID + b"]}" if module == "publish_users" else b""
    assert made.transformFlowFile(FakeFlowFile(content, ATTRIBUTES)).getRelationship() == "success"
    assert kafka.closed == 0
    made.onStopped(nifi)
    assert kafka.closed == 2  # the publisher and the registry
    assert made.transformFlowFile(FakeFlowFile(content, ATTRIBUTES)).getRelationship() == "success"


def test_bytes_come_over_nifis_bridge_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    protocol: Any = importlib.import_module("py4j.protocol")
    monkeypatch.setattr(protocol, "OUTPUT_CONVERTER", dict(protocol.OUTPUT_CONVERTER))
    for content in (b"", bytes(range(256)) * 300):
        register_bytes_converter()
        answer = "y" + protocol.BYTES_TYPE + protocol.encode_bytearray(content)
        received = protocol.get_return_value(answer, None)
        assert received == content and type(received) is bytes
    converter = protocol.OUTPUT_CONVERTER[protocol.BYTES_TYPE]
    assert converter.__module__ == "nifi_processors.py4j_bytes"


def test_what_publish_users_hands_on_becomes_dead_letters(kafka: StubKafka) -> None:
    _, result, _ = publish(b'{"results":[' + VALID + b',{},"\xff"]}')
    letters = processor("publish_dead_letters")
    letters.setContext(context(letters, **KAFKA))
    done = letters.transformFlowFile(FakeFlowFile(result.getContents(), ATTRIBUTES))
    assert (done.getRelationship(), done.getContents()) == ("success", b"")
    assert done.getAttributes() == {"dead_letters:published": "2"}
    assert kafka.sent[-1] == ("user_data_topic.dlq", 2)


def test_dead_letters_wait_when_kafka_is_down(kafka: StubKafka) -> None:
    letters = processor("publish_dead_letters")
    letters.setContext(context(letters, **KAFKA))
    kafka.down = True
    line = b'{"reasons":["not_json"],"position":0,"original":"x"}'
    result = letters.transformFlowFile(FakeFlowFile(line, ATTRIBUTES))
    assert (result.getRelationship(), result.getContents()) == ("failure", None)
    assert letters.logger.lines == [("error", "Kafka is down; start it")]
