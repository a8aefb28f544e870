"""A stack that is not there."""

import os
import random
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from scripts.stack import configuration
from scripts.stack.engines import PORTS
from scripts.stack.settings import Settings

# Below those that Linux gives to whoever asks for any: what a test opens later must not get one of these. In no order,
# since another run of the tests may look for some as well.
_PORTS = range(20_000, 32_768)


def nowhere(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings of a stack that is not there, in a folder of its own, on ports where nothing listens."""
    for name in list(os.environ):
        if name.startswith("PIPELINE_"):
            monkeypatch.delenv(name)
    unused = _unused()
    for port in PORTS:
        monkeypatch.setenv(port.variable, str(next(unused)))
    monkeypatch.setenv("PIPELINE_HOME", str(folder / "home"))
    monkeypatch.setenv("PIPELINE_CACHE", str(folder / "cache"))
    return configuration.load()


def _unused() -> Iterator[int]:
    """Ports where nothing listens, each once."""
    for number in random.SystemRandom().sample(_PORTS, len(_PORTS)):
        with suppress(OSError), socket.create_server(("127.0.0.1", number)):
            yield number
