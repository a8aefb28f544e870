"""The embedded HTTP source: users in the shape of the randomuser.me API, without a network."""

import json
import sys

import requests

from scripts.bootstrap import ROOT
from scripts.stack.engine import Engine
from scripts.stack.settings import LOOPBACK, Settings


def define(settings: Settings, invalid_share: float | None) -> Engine:
    """invalid_share: part of the users, 0 to 1, that the source breaks on purpose; None leaves it as it was."""
    kept = settings.conf / "source.json"
    if invalid_share is None:
        invalid_share = json.loads(kept.read_text())["invalid_share"] if kept.exists() else 0.0
    kept.write_text(json.dumps({"invalid_share": invalid_share}))
    port = str(settings.source_port)
    return Engine(
        name="source",
        title="HTTP source",
        command=[sys.executable, "-m", "scripts.source", "--port", port, "--invalid-share", str(invalid_share)],
        folder=settings.home,
        address=settings.source,
        ports={settings.source_port: "HTTP source"},
        ready=lambda: _ready(settings),
        environment={"PYTHONPATH": ROOT},
    )


def _ready(settings: Settings) -> str:
    response = requests.get(f"http://{LOOPBACK}:{settings.source_port}/health", timeout=2)
    response.raise_for_status()
    return str(response.json()["status"])
