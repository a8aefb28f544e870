"""Sends the versions of a moving window of keys to Kafka, beside the flow, and remembers what was acknowledged."""

import threading
import time
from functools import partial
from types import TracebackType

from confluent_kafka import KafkaError, Message, Producer

from nifi_flows.pipeline import USERS
from tests.faults.kills.versions import MOST, Content, Sent

_TICK = 0.02  # seconds
_GAP = 1.0  # seconds between two versions of a key
_DELIVERY = 300.0  # seconds in which Kafka may be away
_END = 60.0  # seconds for what is left at the end
_UNSENT = 20_000  # messages that wait for Kafka; then the publisher waits as well


class Publisher:
    """A thread that publishes `rate` frames a second until it is left.

    A key gets its versions within seconds and rests then: what a kill took from it stays visible.
    """

    def __init__(self, brokers: str, content: Content, rate: int) -> None:
        self.sent = Sent(content)
        self._rate = rate
        self._gap = int(rate * _GAP / 2)  # keys; of two versions on average
        self._free = threading.Event()
        self._free.set()
        self._stop = threading.Event()
        self._abandoned = threading.Event()
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)
        self._producer = Producer(
            {
                "bootstrap.servers": brokers,
                "enable.idempotence": True,
                "acks": "all",
                "compression.type": "lz4",
                "linger.ms": 10,
                "delivery.timeout.ms": int(_DELIVERY * 1000),
                "queue.buffering.max.messages": _UNSENT,
                "log_level": 0,
            }
        )

    def __enter__(self) -> "Publisher":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, failure: BaseException | None, _: TracebackType | None
    ) -> None:
        if failure is None:
            self.finish()
        else:  # nobody is going to compare
            self._abandon()
            self._producer.purge()

    def hold(self, *, back: bool) -> None:
        """Wait, or go on: nobody learns more from a backlog that only grows."""
        (self._free.clear if back else self._free.set)()

    def finish(self) -> None:
        """Send what is left of the keys that were begun, and wait until Kafka has answered for all of it.

        Raises AssertionError when that takes too long, and what the thread ended by.
        """
        deadline = time.monotonic() + _END
        self._stop.set()
        self._free.set()
        if self._thread.is_alive():
            self._thread.join(_END)
        if self._failure is not None:
            raise self._failure
        if self._thread.is_alive():
            self._abandon()
            raise AssertionError(f"Kafka did not take what was left to send within {_END:g} s")
        left = self._producer.flush(max(0.0, deadline - time.monotonic()))
        assert not left, f"Kafka did not answer for {left} frames within {_END:g} s"

    def _abandon(self) -> None:
        """End the thread wherever it is, within a second."""
        self._abandoned.set()
        self._stop.set()
        self._thread.join(1.0)

    @property
    def complete(self) -> int:
        """Keys whose every version has been handed to the producer: those from 0 to before this one."""
        return len(self.sent.firsts) if self._done else max(0, len(self.sent.firsts) - (MOST - 1) * self._gap - 1)

    @property
    def _done(self) -> bool:
        return self._stop.is_set() and not self._thread.is_alive()

    def _run(self) -> None:
        try:
            due = time.monotonic()
            while not self._stop.is_set():
                if not self._free.wait(_TICK):
                    due = time.monotonic()
                    self._producer.poll(0)
                    continue
                for _ in range(int(self._rate * _TICK / 2)):
                    self._begin()
                due += _TICK
                self._producer.poll(0)
                time.sleep(max(0.0, due - time.monotonic()))
                due = max(due, time.monotonic() - 1)  # what could not be sent is not caught up with in one go
            begun = len(self.sent.firsts)
            for turn in range(1, MOST):
                for key in range(begun - turn * self._gap, begun):
                    self._send(key, turn)
        except Exception as error:  # noqa: BLE001 - told to whoever finishes it
            self._failure = error

    def _begin(self) -> None:
        newest = self.sent.begin(time.time_ns() // 1000)
        for turn in range(MOST):
            self._send(newest - turn * self._gap, turn)

    def _send(self, key: int, turn: int) -> None:
        if not 0 <= key < len(self.sent.firsts):
            return
        content, plan = self.sent.content, self.sent.content.plan(key)
        if turn >= len(plan.order):
            return
        version = plan.order[turn]
        value = content.rubbish(key) if plan.refused else content.frame(key, version, self.sent.firsts[key])
        delivered = partial(self._delivered, key, version, plan.refused)
        while not self._abandoned.is_set():
            try:
                self._producer.produce(USERS.topic, value, str(content.id(key)).encode(), on_delivery=delivered)
                return
            except BufferError:
                self._producer.poll(0.1)

    def _delivered(self, key: int, version: int, refused: bool, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            return
        self.sent.acknowledge(key, version)
        if refused:
            self.sent.places[key] = f"{USERS.topic}/{message.partition()}#{message.offset()}"
