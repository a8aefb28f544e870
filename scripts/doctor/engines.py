"""Each engine's health: what its supervisor says, and what it answers itself. Asking changes nothing in an engine."""

import datetime
import logging
import re
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import requests
from confluent_kafka import KafkaException

from nifi_flows.errors import TerminalError, TransientError
from nifi_flows.wording import one_line
from scripts.doctor.finding import Finding, ok, problem, warning
from scripts.stack import usage
from scripts.stack.credentials import Credentials
from scripts.stack.engines import airflow, cassandra, kafka
from scripts.stack.launch import living_group
from scripts.stack.settings import LOOPBACK, Settings
from scripts.stack.stack import ending
from scripts.stack.supervise import Supervisor

_PATIENCE = 4  # seconds that an engine gets for an answer
_STARTING = 240  # seconds after its start in which an engine may still be silent
_LOG_END = 256 * 1024  # bytes of the supervisor's log that are read
_RECENT = datetime.timedelta(hours=1)
_OPTIONS = bytes([4, 0, 0, 0, 5, 0, 0, 0, 0])  # a CQL frame, version 4, with the request OPTIONS and no body
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
    return {
        "source": lambda: str(_get(f"http://{LOOPBACK}:{settings.source_port}/health")["status"]),
        "nifi": lambda: _nifi(settings, _known(credentials)),
        "kafka": lambda: _kafka(settings),
        "registry": lambda: f"{len(_get(f'{settings.registry}/subjects'))} subjects",
        "spark-master": lambda: _master(settings)[0],
        "spark-worker": lambda: _worker(settings),
        "consumer": lambda: _consumer(settings),
        "cassandra": lambda: _cassandra(settings, _known(credentials)),
        **{name: partial(_airflow, settings, name) for name in airflow.COMPONENTS},
    }


def _airflow(settings: Settings, name: str) -> str:
    health = _get(f"{airflow.url(settings)}/api/v2/monitor/health")
    return airflow.describe(health[airflow.COMPONENTS[name][2]], airflow.started(settings, name))


def _known(credentials: Credentials | None) -> Credentials:
    if credentials is None:
        raise TerminalError("the secrets to ask it with are missing")
    return credentials


def _get(url: str, **options: Any) -> Any:
    """The JSON at a URL; past any proxy, since it is on this machine."""
    with requests.Session() as session:
        session.trust_env = False
        try:
            response = session.get(url, timeout=_PATIENCE, **options)
        except requests.Timeout as error:
            raise TransientError(f"no answer within {_PATIENCE} s") from error
        except requests.ConnectionError as error:
            raise TransientError(_cause(error)) from error
    response.raise_for_status()
    return response.json()


def _cause(error: BaseException) -> str:
    """In a few words, without the layers of libraries around it."""
    while inner := error.__cause__ or error.__context__:
        error = inner
    return getattr(error, "strerror", None) or str(error)


def _nifi(settings: Settings, credentials: Credentials) -> str:
    certificate = (str(credentials.admin_certificate), str(credentials.admin_key))
    about = _get(f"{settings.nifi}/flow/about", cert=certificate, verify=str(credentials.ca))
    return f"version {about['about']['version']}"


def _kafka(settings: Settings) -> str:
    try:
        return kafka.answer(settings, _PATIENCE)
    except KafkaException as error:
        raise TransientError(error.args[0].str()) from error


def _master(settings: Settings) -> tuple[str, int]:
    """The master's status and the number of its workers."""
    state = _get(f"http://{LOOPBACK}:{settings.spark_master_ui_port}/json/")
    if state["status"] != "ALIVE":
        raise TransientError(f"its status is {state['status']}")
    return str(state["status"]).lower(), int(state["aliveworkers"])


def _worker(settings: Settings) -> str:
    _get(f"http://{LOOPBACK}:{settings.spark_worker_ui_port}/json/")
    workers = _master(settings)[1]
    if not workers:
        raise TransientError("it has not joined the Spark master")
    return "joined the master"


def _consumer(settings: Settings) -> str:
    base = f"http://{LOOPBACK}:{settings.consumer_ui_port}/api/v1/applications"
    application = _get(base)[0]["id"]
    executors = _get(f"{base}/{application}/executors")
    active = sum(executor["isActive"] and executor["id"] != "driver" for executor in executors)
    if not active:
        raise TransientError("it has no executor yet")
    return f"{application}, {active} executor"


def _cassandra(settings: Settings, credentials: Credentials) -> str:
    _speaks_cql(settings.cassandra_port)
    logging.getLogger("cassandra").setLevel(logging.CRITICAL)  # what it meets is told as a finding
    return cassandra.answer(settings, credentials)


def _speaks_cql(port: int) -> None:
    """Ask for the protocol's options first: the driver would wait much longer for one that hangs."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=_PATIENCE) as opened:
            opened.sendall(_OPTIONS)
            if not opened.recv(1):
                raise TransientError("it closes the connection")
    except TimeoutError as error:
        raise TransientError(f"no answer within {_PATIENCE} s") from error
