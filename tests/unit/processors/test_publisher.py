"""Messages to Kafka: which count as sent, and what becomes of the producer."""

import threading
import uuid
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from nifi_processors.errors import DeliveryError
from nifi_processors.publisher import KafkaPublisher


class FakeProducer:
    """A producer whose fate the test decides: error for every message, or how many stay unanswered."""

    def __init__(self, error: KafkaError | None = None, unanswered: int = 0, full_after: int | None = None) -> None:
        self.error, self.unanswered, self.full_after = error, unanswered, full_after
        self.waiting: list[tuple[Any, ...]] = []
        self.delivered: list[tuple[Any, ...]] = []
        self.closed = self.purged = False
        self.users: set[int] = set()

    def produce(self, topic: str, value: bytes, key: bytes, on_delivery: Any, headers: Any) -> None:
        self.users.add(threading.get_ident())
        if self.full_after == len(self.waiting):
            raise KafkaException(KafkaError(KafkaError._QUEUE_FULL))
        self.waiting.append((topic, key, value, headers, on_delivery))

    def flush(self, timeout: float) -> int:
        for message in self.waiting:
            message[4](self.error, None)
            if self.error is None:
                self.delivered.append(message[:4])
        self.waiting.clear()
        return self.unanswered

    def purge(self) -> None:
        self.purged = True

    def close(self) -> None:
        self.closed = True


def publisher_of(*producers: FakeProducer) -> KafkaPublisher:
    stock = iter(producers)
    return KafkaPublisher("k:9092", make_producer=lambda settings: next(stock))  # type: ignore[arg-type,return-value]


def test_a_producer_that_delivered_serves_again() -> None:
    producer = FakeProducer()
    publisher = publisher_of(producer)
    publisher.send("t", [(b"k", b"1")], [("page", b"p")])
    publisher.send("t", [(b"k", b"2")])
    assert producer.delivered == [("t", b"k", b"1", [("page", b"p")]), ("t", b"k", b"2", None)]
    publisher.close()
    assert producer.closed and not producer.purged


def test_nothing_to_send_makes_no_producer() -> None:
    publisher_of().send("t", [])


@pytest.mark.parametrize(
    ("fate", "told"),
    [
        ({"error": KafkaError(KafkaError._MSG_TIMED_OUT)}, "2 of 2 not acknowledged.*timed out"),
        ({"unanswered": 2}, "2 of 2 not acknowledged: no answer within 30 s"),
        ({"full_after": 1}, "Queue full"),
    ],
)
def test_what_is_not_acknowledged_is_an_error_and_the_producer_is_not_used_again(fate: Any, told: str) -> None:
    bad, good = FakeProducer(**fate), FakeProducer()
    publisher = publisher_of(bad, good)
    with pytest.raises(DeliveryError, match=told) as raised:
        publisher.send("t", [(b"k", b"1"), (b"k", b"2")])
    assert "k:9092" in str(raised.value) and "\n" not in raised.value.line
    assert bad.purged and bad.closed
    publisher.send("t", [(b"k", b"3")])
    assert len(good.delivered) == 1


def test_calls_at_once_do_not_share_a_producer() -> None:
    gate = threading.Barrier(4)

    class Slow(FakeProducer):
        def flush(self, timeout: float) -> int:
            gate.wait(5)
            return super().flush(timeout)

    producers = [Slow() for _ in range(4)]
    publisher = publisher_of(*producers)
    threads = [threading.Thread(target=publisher.send, args=("t", [(b"k", b"%d" % n)])) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert [(len(producer.users), len(producer.delivered)) for producer in producers] == [(1, 1)] * 4


def test_a_broker_that_is_down_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nifi_processors.publisher.DELIVERY_SECONDS", 1)
    with pytest.raises(DeliveryError, match=r"127\.0\.0\.1:1 did not take every message for t \(1 of 1 .*timed out"):
        KafkaPublisher("127.0.0.1:1").send("t", [(uuid.uuid4().bytes, b"x")])
