"""A stack that is not there."""

import os
import socket
from pathlib import Path

import pytest

from scripts.stack.settings import Settings


def nowhere(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings of a stack that is not there, in a folder of its own, on ports where nothing listens."""
    for name in list(os.environ):
        if name.startswith("PIPELINE_"):
            monkeypatch.delenv(name)
    fields = [field for field in Settings.model_fields if field.endswith("_port")]
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in fields]
    for field, opened in zip(fields, sockets, strict=True):
        monkeypatch.setenv(f"PIPELINE_{field}".upper(), str(opened.getsockname()[1]))
        opened.close()
    monkeypatch.setenv("PIPELINE_HOME", str(folder / "home"))
    monkeypatch.setenv("PIPELINE_CACHE", str(folder / "cache"))
    return Settings()
