"""Each engine's health: what its supervisor says, and what it answers itself. Asking changes nothing in an engine."""

import datetime
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from nifi_flows.wording import one_line
from scripts.doctor.finding import Finding, ok, problem, warning
from scripts.stack import usage
from scripts.stack.credentials import Credentials
from scripts.stack.engines import airflow, describe
from scripts.stack.launch import living_group
from scripts.stack.settings import Settings
from scripts.stack.stack import ending
from scripts.stack.supervise import Supervisor

_PATIENCE = 4  # seconds that an engine gets for an answer
_STARTING = 240  # seconds after its start in which an engine may still be silent
_LOG_END = 256 * 1024  # bytes of the supervisor's log that are read
_RECENT = datetime.timedelta(hours=1)
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
    processes: Mapping[str, Process]
    leftovers: list[str]


def read_supervised(settings: Settings, names: Iterable[str]) -> Supervised:
    supervisor = Supervisor(settings)
    if supervisor.running():
        pids = {name: supervisor.pid(name) for name in names}
        processes = {
            name: Process(supervisor.state(name), supervisor.uptime(name), usage.memory(pid))
            for name, pid in pids.items()
        }
        return Supervised(True, processes, [])
    return Supervised(
        False, {}, sorted(file.stem for file in settings.run.glob("*.group") if living_group(file) is not None)
    )


def check_supervised(found: Supervised, set_up: bool) -> Iterator[Finding]:
    if found.leftovers:
        yield problem(
            "engines",
            f"{', '.join(found.leftovers)} run, but the supervisor that started them is gone",
            "./scripts/run starts them anew, ./scripts/pipeline down ends them",
        )
    elif not found.running:
        yield ok("engines", "the stack is not running" if set_up else "nothing is set up yet; ./scripts/run does it")


def check_engine(name: str, process: Process | None, answer: str | Exception) -> Finding:
    """process: None when the supervisor did not tell. answer: the engine's own, or why there is none."""
    logs = f"./scripts/pipeline logs {name}"
    state = process.state if process else ""
    if state == "STOPPED" and name in airflow.COMPONENTS:
        return ok("engines", f"{name} is left out; ./scripts/run starts it")
    if state == "STOPPED":
        return problem("engines", f"{name} is stopped", "./scripts/run starts it")
    if state in ("EXITED", "FATAL"):
        return problem("engines", f"{name} has given up starting", f"{logs}; ./scripts/run tries again")
    if state == "BACKOFF":
        return problem("engines", f"{name} ends right after each start", logs)
    if isinstance(answer, str):
        return ok("engines", f"{name}: {one_line(answer)}")
    why = one_line(str(answer)) or type(answer).__name__
    if process and process.uptime < _STARTING and state != "STOPPING":
        what = f"{name} was started {process.uptime} s ago and is not ready yet: {why}"
        return problem("engines", what, "wait, then ask again", passing=True)
    return problem(
        "engines", f"{name} does not answer: {why}", f"{logs}; ./scripts/pipeline down and ./scripts/run restart it"
    )


def read_exits(log: Path, now: datetime.datetime) -> dict[str, list[str]]:
    """Engine -> how it ended unasked, each time within the last hour, by the end of the supervisor's log."""
    exits: dict[str, list[str]] = {}
    for at, name, how in _EXITED.findall(ending(log, _LOG_END)):
        if now - datetime.datetime.fromisoformat(at) <= _RECENT:
            exits.setdefault(name, []).append(f"at {at[11:]}, {how}")
    return exits


def check_exits(exits: Mapping[str, list[str]]) -> Iterator[Finding]:
    for name, times in exits.items():
        what = f"{name} ended by itself {len(times)} times in the last hour, the last time {one_line(times[-1])}"
        yield warning("engines", what, f"./scripts/pipeline logs {name}")


def askers(settings: Settings, credentials: Credentials | None) -> dict[str, Callable[[], str]]:
    """How to ask each engine, by its name: returns what it says, raises anything when it is not ready."""
    return {engine.name: partial(engine.ask, credentials, _PATIENCE) for engine in describe(settings)}
