"""The liveness watch: a watchdog that asks all other engines and restarts one that runs and does not answer."""

from __future__ import annotations

import os
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
_HANGS = 90  # seconds that a start waits for a look of one that runs; nobody else starts the watch again


def log(settings: Settings) -> Path:
    """What it did, a line each."""
    return settings.logs / f"{NAME}.log"


def looked(settings: Settings) -> Path:
    """The file that it writes after each look, with its process id."""
    return settings.run / f"{NAME}.looked"


def note(settings: Settings) -> None:
    """Write that file. Raises OSError; on a full disk only for the first one of a process."""
    file, own = looked(settings), str(os.getpid())
    try:
        if file.read_text() == own:
            os.utime(file)
            return
    except OSError:  # there is none yet
        pass
    file.write_text(own)


def describe(settings: Settings) -> list[Engine]:
    return [
        Engine(
            name=NAME,
            title="Liveness watch",
            address=str(log(settings)),
            ports={},
            ask=partial(_ask, settings),
            patience=2 * _HANGS,
            hangs=_HANGS,
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
