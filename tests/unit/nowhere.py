"""A stack that is not there."""

import os
import socket
from pathlib import Path

import pytest

from scripts.stack import configuration
from scripts.stack.engines import PORTS
from scripts.stack.settings import Settings


def nowhere(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings of a stack that is not there, in a folder of its own, on ports where nothing listens."""
    for name in list(os.environ):
        if name.startswith("PIPELINE_"):
            monkeypatch.delenv(name)
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in PORTS]
    for port, opened in zip(PORTS, sockets, strict=True):
        monkeypatch.setenv(port.variable, str(opened.getsockname()[1]))
        opened.close()
    monkeypatch.setenv("PIPELINE_HOME", str(folder / "home"))
    monkeypatch.setenv("PIPELINE_CACHE", str(folder / "cache"))
    return configuration.load()
