"""What the monitor and the place of a deploy still take from here; see scripts/observe."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import requests
from confluent_kafka import Message

from nifi_flows.pipeline import USERS
from scripts.observe import consumer, pull_run, records, topics
from scripts.observe.pull_run import Cursor as Cursor
from scripts.observe.pull_run import PullRun as Flow
from scripts.observe.pull_run import at_rest as at_rest
from scripts.observe.pull_run import describe as describe
from scripts.observe.topics import Position
from scripts.observe.topics import length as length
from scripts.stack.settings import Settings

__all__ = ["Cursor", "Decoder", "Flow", "at_rest", "describe", "flow", "length", "positions", "read"]


def flow(name: str) -> Flow:
    return pull_run.on_canvas(replace(USERS, name=name))


def positions(settings: Settings) -> dict[int, Position]:
    return consumer.positions(settings, USERS)


class Decoder:
    def __init__(self, settings: Settings) -> None:
        self._decoder = records.decoder(settings)

    def decode(self, frame: bytes | None) -> dict[str, Any]:
        try:
            return self._decoder.decode(frame or b"")
        except records.RegistryAway as error:
            raise requests.RequestException(str(error)) from error


class _Read:
    """As the Kafka client has a message."""

    def __init__(self, message: topics.Message) -> None:
        self._message = message

    def value(self) -> bytes:
        return self._message.value

    def key(self) -> bytes:
        return self._message.key

    def partition(self) -> int:
        return self._message.partition

    def offset(self) -> int:
        return self._message.offset

    def timestamp(self) -> tuple[int, int]:
        return 1, self._message.at


def read(settings: Settings, topic: str, last: int) -> Iterator[Message]:
    for message in topics.newest(settings, topic, last):
        yield _Read(message)  # type: ignore[misc]
