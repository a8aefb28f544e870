"""The engines: what each says of itself, and as their supervisor has them."""

import datetime
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial

from nifi_flows.errors import TransientError
from nifi_flows.wording import one_line
from scripts.observe import usage
from scripts.observe.gather import ReadStep
from scripts.stack.credentials import Credentials
from scripts.stack.engine import Engine
from scripts.stack.engines import watch
from scripts.stack.launch import living_group
from scripts.stack.settings import Settings
from scripts.stack.stack import ending
from scripts.stack.supervise import Supervisor

_LOG_END = 256 * 1024  # bytes of a log that are read
DOWN = ("EXITED", "FATAL", "BACKOFF")  # states of an engine that has ended by itself and may have said why
_ERROR = re.compile(r"^\S+ \S+ ERROR (?:([\w.$]+): )?(.+)$", re.MULTILINE)
_OURS = "spark_consumer"  # logger of the process that says why it ends; Spark goes on complaining after it
_RESTARTED = re.compile(r"^(\S+ \S+),\d+ WARNING (\S+) did not answer for (\d+) s and was started again", re.MULTILINE)
_EXITED = re.compile(r"^(\S+ \S+),\d+ \w+ exited: (\S+) \((.*); not expected\)$", re.MULTILINE)


@dataclass(frozen=True)
class Process:
    """state: supervisord's word, such as RUNNING or STOPPED. uptime: seconds. memory: resident bytes of its group.

    error: for one that has ended by itself, the last error that its log tells, on one line and with its remedy; or "".
    """

    state: str
    uptime: int
    memory: int
    error: str = ""


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
    state = supervisor.state(name)
    why = error(settings, name) if state in DOWN else ""
    return Process(state, supervisor.uptime(name), usage.memory(supervisor.pid(name)), why)


def error(settings: Settings, name: str) -> str:
    """The last error that an engine's log tells, with its remedy, on one line; "" where it tells of none."""
    return last_error(ending(settings.logs / f"{name}.log", _LOG_END))


def last_error(log: str) -> str:
    """The last error of a log, on one line: of the consumer's own where there is one, else of whatever logs into it."""
    errors = _ERROR.findall(log)
    ours = [said for logger, said in errors if logger.partition(".")[0] == _OURS]
    said = ours or [said for _, said in errors]
    return one_line(said[-1]) if said else ""


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


@dataclass(frozen=True)
class Restart:
    """at: the machine's local time. silent: seconds that the engine had not answered for."""

    at: datetime.datetime
    silent: int


def restarts(settings: Settings, since: datetime.datetime) -> dict[str, list[Restart]]:
    """Engine -> when the liveness watch started it again since then, the last time last; by the end of its log."""
    return restarts_of(ending(watch.log(settings), _LOG_END), since)


def unwatched(settings: Settings) -> str:
    """Why the liveness watch is not at work; "" when it is."""
    [own] = watch.describe(settings)
    try:
        own.ask(None, 0)
    except TransientError as error:
        return str(error)
    return ""


def restarts_of(log: str, since: datetime.datetime) -> dict[str, list[Restart]]:
    found: dict[str, list[Restart]] = {}
    for at, name, silent in _RESTARTED.findall(log):
        moment = datetime.datetime.fromisoformat(at)
        if moment >= since:
            found.setdefault(name, []).append(Restart(moment, int(silent)))
    return found


def told(name: str, restart: Restart) -> str:
    """A restart in words."""
    return (
        f"{name} did not answer for {restart.silent} s and was started again at {restart.at:%H:%M:%S}; "
        f"what its threads waited for is in logs/{name}.log"
    )


def exits_of(log: str, since: datetime.datetime) -> dict[str, list[Exit]]:
    found: dict[str, list[Exit]] = {}
    for at, name, how in _EXITED.findall(log):
        moment = datetime.datetime.fromisoformat(at)
        if moment >= since:
            found.setdefault(name, []).append(Exit(moment, how))
    return found
