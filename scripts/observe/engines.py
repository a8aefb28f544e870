"""The engines: what each says of itself, and as their supervisor has them."""

import datetime
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial

from scripts.observe import usage
from scripts.observe.gather import ReadStep
from scripts.stack.credentials import Credentials
from scripts.stack.engine import Engine
from scripts.stack.launch import living_group
from scripts.stack.settings import Settings
from scripts.stack.stack import ending
from scripts.stack.supervise import Supervisor

_LOG_END = 256 * 1024  # bytes of the supervisor's log that are read
_EXITED = re.compile(r"^(\S+ \S+),\d+ \w+ exited: (\S+) \((.*); not expected\)$", re.MULTILINE)


@dataclass(frozen=True)
class Process:
    """state: supervisord's word, such as RUNNING or STOPPED. uptime: seconds. memory: resident bytes of its group."""

    state: str
    uptime: int
    memory: int


@dataclass(frozen=True)
class Supervised:
    """The stack as its supervisor has it. running: whether the supervisor does. processes: engine -> process.

    leftovers: engines that run although their supervisor does not.
    """

    running: bool
    processes: Mapping[str, Process] = field(default_factory=dict)
    leftovers: list[str] = field(default_factory=list)


def supervised(settings: Settings, names: Iterable[str]) -> Supervised:
    """names: of the engines."""
    supervisor = Supervisor(settings)
    if supervisor.running():
        return Supervised(running=True, processes={name: process(settings, name) for name in names})
    left = sorted(file.stem for file in settings.run.glob("*.group") if living_group(file) is not None)
    return Supervised(running=False, leftovers=left)


def process(settings: Settings, name: str) -> Process:
    """One engine; its state is DOWN when the supervisor itself is."""
    supervisor = Supervisor(settings)
    return Process(supervisor.state(name), supervisor.uptime(name), usage.memory(supervisor.pid(name)))


def asks(engines: Iterable[Engine], credentials: Credentials | None, patience: float) -> dict[str, ReadStep[str]]:
    """Engine's name -> the step that asks it in its own protocol, for so many seconds at most."""
    return {e.name: ReadStep(e.name, partial(e.ask, credentials, patience), needed=True) for e in engines}


@dataclass(frozen=True)
class Exit:
    """at: the machine's local time. how: in the supervisor's words."""

    at: datetime.datetime
    how: str


def exits(settings: Settings, since: datetime.datetime) -> dict[str, list[Exit]]:
    """Engine -> how it ended unasked since then, the last time last; by the end of the supervisor's log."""
    return exits_of(ending(settings.logs / "supervisor.log", _LOG_END), since)


def exits_of(log: str, since: datetime.datetime) -> dict[str, list[Exit]]:
    found: dict[str, list[Exit]] = {}
    for at, name, how in _EXITED.findall(log):
        moment = datetime.datetime.fromisoformat(at)
        if moment >= since:
            found.setdefault(name, []).append(Exit(moment, how))
    return found
