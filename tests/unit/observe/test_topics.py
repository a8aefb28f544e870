"""The reader of Kafka: which part of a topic is read, and messages and positions from librdkafka's own mock broker."""

import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from confluent_kafka import Producer

from nifi_flows.errors import TransientError
from scripts.observe import topics
from scripts.observe.topics import Position, Span, Window, window_of_all, window_of_newest, window_since
from scripts.stack.engines import kafka
from scripts.stack.settings import Settings
from spark_consumer.broker import Broker
from spark_consumer.position import Position as Kept

HELD = {0: Span(5, 50), 1: Span(0, 20)}
ENDS = {0: 50, 1: 20}
MANY = 1_000_000  # bytes


@pytest.mark.parametrize(
    ("begin", "most", "expected"),
    [
        (None, 100, Window({}, ENDS, 0)),
        ({0: 50, 1: 20}, 100, Window({}, ENDS, 0)),
        ({0: 40, 1: 20}, 100, Window({0: 40}, ENDS, 10)),
        ({0: 10, 1: 0}, 10, Window({0: 45, 1: 15}, ENDS, 60)),
        ({0: 10, 1: 0}, 1, Window({0: 49, 1: 19}, ENDS, 60)),
        ({0: 2, 1: 20}, 100, Window({0: 5}, ENDS, 45)),
        ({0: 900, 1: 20}, 100, Window({0: 5}, ENDS, 45)),
        ({0: 50}, 100, Window({1: 0}, ENDS, 20)),
        ({0: 10, 1: 19}, 41, Window({0: 10, 1: 19}, ENDS, 41)),
    ],
    ids=[
        *("first look", "nothing new", "some", "too many", "of each one", "retention", "another topic"),
        *("a new partition", "all that is allowed"),
    ],
)
def test_only_what_is_new_is_read(begin: dict[int, int] | None, most: int, expected: Window) -> None:
    assert window_since(HELD, begin, most) == expected


def test_a_whole_topic_and_its_end() -> None:
    held = {**HELD, 2: Span(7, 7)}
    ends = {**ENDS, 2: 7}
    assert window_of_all(held) == Window({0: 5, 1: 0}, ends, 65)
    assert window_of_all({}) == Window({}, {}, 0)
    assert window_of_newest(held, 1) == Window({0: 49, 1: 19}, ends, 2)
    assert window_of_newest(held, 30) == Window({0: 20, 1: 0}, ends, 50)


@pytest.mark.parametrize(
    ("position", "lag", "lost"),
    [
        (Position(0, 9, 9), 0, 0),
        (Position(0, 9, 3), 6, 0),
        (Position(0, 9, None), 9, 0),
        (Position(5, 9, 3), 4, 2),
        (Position(5, 9, None), 4, 0),
    ],
)
def test_how_far_a_group_is_behind_and_what_it_has_lost(position: Position, lag: int, lost: int) -> None:
    assert (position.lag, position.lost) == (lag, lost)


# From a broker


@pytest.fixture
def broker(settings: Settings) -> Iterator[tuple[Settings, Producer]]:
    producer = Producer({"test.mock.num.brokers": 1, "log_level": 0})
    (found,) = producer.list_topics(timeout=5).brokers.values()
    yield replace(settings, ports={**settings.ports, "kafka": found.port}), producer
    producer.flush(5)


def send(producer: Producer, *values: bytes, partition: int = 0) -> None:
    for value in values:
        producer.produce("letters", value, key=b"key of " + value, partition=partition, headers={"page": b"a/1"})
    assert producer.flush(5) == 0


def test_a_whole_topic_is_read_with_all_that_a_message_has(broker: tuple[Settings, Producer]) -> None:
    settings, producer = broker
    before = time.time() * 1000 - 1
    send(producer, b"a", b"b")
    send(producer, b"c", partition=1)
    read = list(topics.read(settings, "letters"))
    assert {(m.partition, m.offset, m.value) for m in read} == {(0, 0, b"a"), (0, 1, b"b"), (1, 0, b"c")}
    assert {(m.key, m.headers["page"]) for m in read if m.value == b"c"} == {(b"key of c", b"a/1")}
    assert all(before <= m.at <= time.time() * 1000 + 1 for m in read)
    assert topics.length(settings, "letters") == 3
    assert {m.value for m in topics.newest(settings, "letters", 1)} == {b"b", b"c"}


def test_a_topic_is_read_from_where_the_look_before_ended(broker: tuple[Settings, Producer]) -> None:
    settings, producer = broker

    def since(begin: dict[int, int] | None, most: int, most_bytes: int = MANY) -> tuple[list[bytes], Window]:
        window, messages = topics.since(settings, "letters", begin, most, most_bytes)
        return [message.value for message in messages], window

    send(producer, b"old", b"older")
    read, first = since(None, 10)
    assert (read, first.new, first.ends[0]) == ([], 0, 2)
    send(producer, b"aa", b"bb", b"cc")
    read, second = since(first.ends, 10)
    assert (read, second.new) == ([b"aa", b"bb", b"cc"], 3)
    read, third = since(first.ends, 1)
    assert (read, third.new) == ([b"cc"], 3), "the newest, and all are counted"
    read, fourth = since(first.ends, 10, most_bytes=3)
    assert (read, fourth.new) == ([b"aa", b"bb"], 3), "no more once there are so many bytes"
    read, fifth = since(second.ends, 10)
    assert (read, fifth.new) == ([], 0)


def test_what_is_sent_while_a_topic_is_read_is_not_waited_for(broker: tuple[Settings, Producer]) -> None:
    settings, producer = broker
    send(producer, b"a", b"b")
    messages = topics.read(settings, "letters")
    send(producer, b"late")
    assert [message.value for message in messages] == [b"a", b"b"]


def test_how_far_a_group_is_is_said_of_every_partition(
    broker: tuple[Settings, Producer], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, producer = broker
    send(producer, b"a", b"b", b"c")
    kept: list[Kept | None] = [None, Kept("x", {0: 2}, {0: 1}, {0: 1})]
    monkeypatch.setattr(Broker, "position", lambda self, topic, partitions: kept.pop(0))
    first, second = (topics.positions(settings, "letters", "readers", patience=5) for _ in range(2))
    assert (first[0], second[0]) == (Position(0, 3, None), Position(0, 3, 2, 1))


def test_a_group_that_kafka_does_not_tell_of_is_an_error_in_time(broker: tuple[Settings, Producer]) -> None:
    """The broker of these tests doesn't speak with the group's client."""
    settings, producer = broker
    send(producer, b"a")
    with pytest.raises(TransientError, match="Kafka, asked for the offsets of group readers"):
        topics.positions(settings, "letters", "readers", patience=0.5)


def test_a_kafka_that_does_not_answer_is_told_in_time(settings: Settings) -> None:
    begun = time.monotonic()
    for ask in (
        lambda: topics.length(settings, "letters", patience=0.3),
        lambda: topics.positions(settings, "letters", "readers", patience=0.3),
        lambda: list(topics.read(settings, "letters", patience=0.3)),
    ):
        with pytest.raises(TransientError, match=f"Kafka at 127.0.0.1:{settings.port(kafka.PORT)} does not answer"):
            ask()
    assert time.monotonic() - begun < 5


def test_a_topic_that_sends_nothing_of_what_it_holds_is_told(broker: tuple[Settings, Producer]) -> None:
    settings, _ = broker
    window = Window({0: 0}, {0: 3}, 3)
    with pytest.raises(TransientError, match=r"letters sent nothing for 0\.5 s"):
        list(topics._messages(settings, "letters", window, 0.5))
