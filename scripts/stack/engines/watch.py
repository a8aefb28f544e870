"""The liveness watch, which asks all other engines and starts one again that lives and says nothing."""

from __future__ import annotations

import sys
import time
from functools import partial
from pathlib import Path

from nifi_flows.errors import TransientError
from scripts.bootstrap import ROOT
from scripts.stack.credentials import Credentials
from scripts.stack.engine import Configuration, Engine, Launch, Local
from scripts.stack.launch import living
from scripts.stack.layout import Artifacts
from scripts.stack.settings import Port, Settings

NAME = "watch"
PORTS: tuple[Port, ...] = ()
ARTIFACTS: tuple[Artifacts, ...] = ()  # it is Python of this project

INTERVAL = 15.0  # seconds from one look at the engines to the next
_LATE = 120.0  # seconds after which the next look is late: one at which an engine is started again takes its time


def log(settings: Settings) -> Path:
    """What it did, a line each."""
    return settings.logs / f"{NAME}.log"


def looked(settings: Settings) -> Path:
    """The file that it writes after each look, with its process id."""
    return settings.run / f"{NAME}.looked"


def describe(settings: Settings) -> list[Engine]:
    return [
        Engine(
            name=NAME,
            title="Liveness watch",
            address=str(log(settings)),
            ports={},
            ask=partial(_ask, settings),
        )
    ]


def configure(local: Local) -> Configuration:
    launch = Launch(
        command=[sys.executable, "-m", "scripts.stack.watch"],
        folder=local.settings.home,
        environment={**local.settings.variables, "PYTHONPATH": ROOT, "MALLOC_ARENA_MAX": "2"},
    )
    return Configuration({NAME: launch})


def _ask(settings: Settings, credentials: Credentials | None, patience: float) -> str:
    """Raises TransientError when it does not run, or has not looked for too long."""
    file = looked(settings)
    try:
        pid, age = int(file.read_text()), time.time() - file.stat().st_mtime
    except (OSError, ValueError) as error:
        raise TransientError("it has not looked yet") from error
    if not living(pid):
        raise TransientError("it does not run")
    if age > _LATE:
        raise TransientError(f"its last look was {age:.0f} s ago")
    return f"looks every {INTERVAL:.0f} s"
