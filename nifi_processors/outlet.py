"""The way out: messages to Kafka, all acknowledged or an error, and schema ids from the registry."""

import json
import threading
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from confluent_kafka import KafkaError, KafkaException, Producer

from nifi_processors.contract import contract
from nifi_processors.errors import ContractError, DeliveryError, RegistryError

Message = tuple[bytes, bytes]  # key, value
Headers = list[tuple[str, str | bytes | None]]

DELIVERY_SECONDS = 25
FLUSH_SECONDS = 30  # more than a delivery may take, so that a flush ends with every message's fate known
REGISTRY_SECONDS = 5


class Outlet(Protocol):
    """What publishing needs. Safe to use from several threads at once."""

    def schema_id(self, topic: str, name: str) -> int:
        """The id of the contract `name` under `{topic}-value`; raises ContractError or RegistryError."""

    def send(self, topic: str, messages: Sequence[Message], headers: Headers | None = None) -> None:
        """Returns once every message is acknowledged; raises DeliveryError otherwise."""


class KafkaOutlet:
    """An outlet on a Kafka cluster and a schema registry with Confluent's API.

    A call borrows a producer of its own: then a flush waits for just that call's messages, and needs no bookkeeping
    shared between threads. There are as many producers as calls at once.
    """

    def __init__(
        self,
        brokers: str,
        registry: str,
        largest_message: int = 1_000_000,
        make_producer: Callable[[dict[str, Any]], Producer] = Producer,
    ) -> None:
        """brokers: host:port, comma-separated. registry: base URL. largest_message: bytes."""
        self._brokers = brokers
        self._registry = registry.rstrip("/")
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
        self._ids: dict[tuple[str, str], int] = {}
        self._asking = threading.Lock()

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
            raise self._undelivered(topic, _told(error)) from error
        if failed or unanswered:
            _discard(producer)
            why = failed[0].str() if failed else f"no answer within {FLUSH_SECONDS} s"
            why += "".join(f"; {error.str()}" for error in self._trouble)
            raise self._undelivered(topic, f"{len(failed) + unanswered} of {len(messages)} not acknowledged: {why}")
        self._trouble.clear()
        self._idle.append(producer)

    def schema_id(self, topic: str, name: str) -> int:
        subject = f"{topic}-value"
        with self._asking:
            if (subject, name) not in self._ids:
                self._ids[subject, name] = self._look_up(subject, name)
            return self._ids[subject, name]

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
            raise self._undelivered(topic, _told(error)) from error

    def _undelivered(self, topic: str, why: str) -> DeliveryError:
        return DeliveryError(
            f"Kafka at {self._brokers} did not take every message for {topic} ({why})",
            "check that the brokers are up and that the topic exists; the FlowFile waits and is sent again",
        )

    def _look_up(self, subject: str, name: str) -> int:
        """Asks for the exact schema, and never registers one: that is the deploy's work."""
        request = urllib.request.Request(
            f"{self._registry}/subjects/{subject}",
            data=json.dumps({"schema": contract(name).text}).encode(),
            headers={"Content-Type": "application/vnd.schemaregistry.v1+json"},
        )
        try:
            with _direct.open(request, timeout=REGISTRY_SECONDS) as answer:
                return int(json.load(answer)["id"])
        except urllib.error.HTTPError as error:
            with error:
                if error.code == 404:
                    raise ContractError(
                        f"the registry at {self._registry} does not hold {name}.avsc under {subject}",
                        "deploy the pipeline: it registers the schemas that this processor was bundled with",
                    ) from error
                raise self._unanswered(f"HTTP {error.code}") from error
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise self._unanswered(str(error) or type(error).__name__) from error

    def _unanswered(self, why: str) -> RegistryError:
        return RegistryError(
            f"the schema registry at {self._registry} gives no schema id ({why})",
            "check that it is up and that the URL is its Confluent API; the FlowFile waits and is tried again",
        )


# The registry is a neighbour: a proxy for the world outside has no business between.
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def _discard(producer: Producer) -> None:
    """Forget what a producer still holds, and the producer: after an error its state is not to be trusted."""
    producer.purge()
    producer.close()


def _told(error: Exception) -> str:
    first = error.args[0] if error.args else error
    return str(first.str() if isinstance(first, KafkaError) else first)
