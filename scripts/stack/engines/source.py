"""The embedded HTTP source: users in the shape of the randomuser.me API, without a network."""

import sys
from pathlib import Path
from typing import Any

import requests

from nifi_flows.errors import TerminalError
from nifi_flows.files import write_private
from scripts.bootstrap import ROOT
from scripts.source.behaviour import Behaviour
from scripts.stack.engine import Engine
from scripts.stack.settings import LOOPBACK, Settings


def define(settings: Settings) -> Engine:
    port = str(settings.source_port)
    return Engine(
        name="source",
        title="HTTP source",
        command=[sys.executable, "-m", "scripts.source", "--port", port, "--behaviour", str(_file(settings))],
        folder=settings.home,
        address=settings.source,
        ports={settings.source_port: "HTTP source"},
        ready=lambda: _ready(settings),
        environment={"PYTHONPATH": ROOT},
    )


def address(settings: Settings) -> str:
    """URL of a page of users, in the shape of the randomuser.me API."""
    return settings.source


def behaviour(settings: Settings) -> Behaviour:
    """What the source has been told to do wrong. Raises TerminalError when its file can't be read."""
    try:
        return Behaviour.parse(_file(settings).read_bytes())
    except FileNotFoundError:
        return Behaviour()
    except (OSError, ValueError) as error:
        raise TerminalError(
            f"{_file(settings)} is not read: {error}", "./scripts/pipeline source behave writes it anew"
        ) from error


def break_users(settings: Settings, invalid_share: float) -> None:
    """Have the source break this part of the users, 0 to 1, in any kind.

    What was set by `source misbehave` for faults and single kinds stays. Raises TerminalError when the two come to more
    than all users, or the behaviour can't be read.
    """
    misbehave(settings, _with_share(behaviour(settings), invalid_share))


def _with_share(told: Behaviour, invalid_share: float) -> Behaviour:
    try:
        # not msgspec's replace, which skips the checks
        return Behaviour(faults=told.faults, invalid=told.invalid, invalid_share=invalid_share)
    except ValueError as error:
        raise TerminalError(
            f"--invalid-share {invalid_share:g} can't be: {error}",
            "give a smaller share, or set the kinds anew with ./scripts/pipeline source misbehave",
        ) from error


def misbehave(settings: Settings, told: Behaviour) -> None:
    """Tell the source what to do wrong from the next request on, or once it runs."""
    write_private(_file(settings), told.json())


def stats(settings: Settings) -> dict[str, Any] | None:
    """What the source has answered since its start: pages, users, and fault -> how many; None when it doesn't run."""
    try:
        response = requests.get(f"http://{LOOPBACK}:{settings.source_port}/stats", timeout=2)
        response.raise_for_status()
        found: dict[str, Any] = response.json()
    except (requests.RequestException, ValueError):
        return None
    return found


def _file(settings: Settings) -> Path:
    return settings.conf / "source.json"


def _ready(settings: Settings) -> str:
    response = requests.get(f"http://{LOOPBACK}:{settings.source_port}/health", timeout=2)
    response.raise_for_status()
    return str(response.json()["status"])
