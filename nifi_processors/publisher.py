"""Messages to Kafka: all acknowledged, or an error."""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from confluent_kafka import KafkaError, KafkaException, Producer

from nifi_processors.errors import DeliveryError

Message = tuple[bytes, bytes]  # key, value
Headers = list[tuple[str, str | bytes | None]]

DELIVERY_SECONDS = 25
FLUSH_SECONDS = 30  # more than a delivery may take, so that a flush ends with every message's fate known


class Publisher(Protocol):
    """What takes messages. Safe to use from several threads at once."""

    def send(self, topic: str, messages: Sequence[Message], headers: Headers | None = None) -> None:
        """Returns once every message is acknowledged; raises DeliveryError otherwise."""


class KafkaPublisher:
    """Publishes to a Kafka cluster.

    A call borrows a producer of its own: then a flush waits for just that call's messages, and needs no bookkeeping
    shared between threads. There are as many producers as calls at once.
    """

    def __init__(
        self,
        brokers: str,
        largest_message: int = 1_000_000,
        make_producer: Callable[[dict[str, Any]], Producer] = Producer,
    ) -> None:
        """brokers: host:port, comma-separated. largest_message: bytes."""
        self._brokers = brokers
        self._trouble: deque[KafkaError] = deque(maxlen=1)
        self._settings: dict[str, Any] = {
            "bootstrap.servers": brokers,
            "client.id": "nifi",
            "enable.idempotence": True,
            "acks": "all",
            "compression.type": "lz4",
            "linger.ms": 10,
            "delivery.timeout.ms": DELIVERY_SECONDS * 1000,
            "delivery.report.only.error": True,
            "message.max.bytes": largest_message,
            "queue.buffering.max.messages": 0,  # a page is the limit
            "topic.metadata.propagation.max.ms": 10_000,  # then a topic that isn't there is said to be missing
            "error_cb": self._trouble.append,
            "log_level": 2,  # a broker that is down is told once a call, not at each new try to connect
        }
        self._make_producer = make_producer
        self._idle: deque[Producer] = deque()

    def send(self, topic: str, messages: Sequence[Message], headers: Headers | None = None) -> None:
        if not messages:
            return
        failed: list[KafkaError] = []

        def report(error: KafkaError | None, _message: object) -> None:
            if error is not None:
                failed.append(error)

        producer = self._borrow(topic)
        try:
            for key, value in messages:
                producer.produce(topic, value, key, on_delivery=report, headers=headers)
            unanswered = producer.flush(FLUSH_SECONDS)
        except (KafkaException, BufferError) as error:
            _discard(producer)
            raise self._undelivered(topic, _reason(error)) from error
        if failed or unanswered:
            _discard(producer)
            why = failed[0].str() if failed else f"no answer within {FLUSH_SECONDS} s"
            why += "".join(f"; {error.str()}" for error in self._trouble)
            raise self._undelivered(topic, f"{len(failed) + unanswered} of {len(messages)} not acknowledged: {why}")
        self._trouble.clear()
        self._idle.append(producer)

    def close(self) -> None:
        """Close the idle producers; nothing is on its way in them."""
        while self._idle:
            self._idle.pop().close()

    def _borrow(self, topic: str) -> Producer:
        try:
            return self._idle.pop()
        except IndexError:
            pass
        try:
            return self._make_producer(self._settings)
        except KafkaException as error:
            raise self._undelivered(topic, _reason(error)) from error

    def _undelivered(self, topic: str, why: str) -> DeliveryError:
        return DeliveryError(
            f"Kafka at {self._brokers} did not take every message for {topic} ({why})",
            "check that the brokers are up and that the topic exists; the FlowFile waits and is sent again",
        )


def _discard(producer: Producer) -> None:
    """Forget what a producer still holds, and the producer: after an error its state is not to be trusted."""
    producer.purge()
    producer.close()


def _reason(error: Exception) -> str:
    first = error.args[0] if error.args else error
    return str(first.str() if isinstance(first, KafkaError) else first)
