"""The embedded HTTP source: users in the shape of the randomuser.me API, without a network."""

import sys
from functools import partial
from pathlib import Path
from typing import Any

from nifi_flows.errors import TerminalError, TransientError
from nifi_flows.files import write_private
from scripts.bootstrap import ROOT
from scripts.source.behaviour import Behaviour
from scripts.stack.credentials import Credentials
from scripts.stack.engine import Configuration, Engine, Launch, Local
from scripts.stack.http import get_json
from scripts.stack.layout import Artifacts
from scripts.stack.settings import LOOPBACK, Port, Settings

NAME = "source"
PORT = Port("source", 8000, "HTTP source")
PORTS = (PORT,)
ARTIFACTS: tuple[Artifacts, ...] = ()  # it is Python of this project


def address(settings: Settings) -> str:
    """URL of a page of users, in the shape of the randomuser.me API."""
    return f"{_root(settings)}/api/"


def describe(settings: Settings) -> list[Engine]:
    return [
        Engine(
            name="source",
            title="HTTP source",
            address=address(settings),
            ports={settings.port(PORT): PORT.purpose},
            ask=partial(_ask, settings),
        )
    ]


def configure(local: Local) -> Configuration:
    port, behaviour = str(local.settings.port(PORT)), str(_file(local.settings))
    launch = Launch(
        command=[sys.executable, "-m", "scripts.source", "--port", port, "--behaviour", behaviour],
        folder=local.settings.home,
        environment={"PYTHONPATH": ROOT},
    )
    return Configuration({"source": launch})


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


def _with_share(current: Behaviour, invalid_share: float) -> Behaviour:
    try:
        # not msgspec's replace, which skips the checks
        return Behaviour(faults=current.faults, invalid=current.invalid, invalid_share=invalid_share)
    except ValueError as error:
        raise TerminalError(
            f"--invalid-share {invalid_share:g} can't be: {error}",
            "give a smaller share, or set the kinds anew with ./scripts/pipeline source misbehave",
        ) from error


def misbehave(settings: Settings, wanted: Behaviour) -> None:
    """Tell the source what to do wrong from the next request on, or once it runs."""
    write_private(_file(settings), wanted.json())


def stats(settings: Settings) -> dict[str, Any] | None:
    """What the source has answered since its start: pages, users, and fault -> how many; None when it doesn't run."""
    import requests

    try:
        found: dict[str, Any] = get_json(f"{_root(settings)}/stats", 2)
    except (TransientError, requests.RequestException, ValueError):
        return None
    return found


def _root(settings: Settings) -> str:
    return f"http://{LOOPBACK}:{settings.port(PORT)}"


def _ask(settings: Settings, credentials: Credentials | None, patience: float) -> str:
    return str(get_json(f"{_root(settings)}/health", patience)["status"])


def _file(settings: Settings) -> Path:
    return settings.conf / "source.json"
