"""Stands in for `scripts.stack.engines.describe` until it is there."""

import logging
import socket
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import requests
from confluent_kafka import KafkaException

from nifi_flows.errors import TerminalError, TransientError
from scripts.stack.credentials import Credentials
from scripts.stack.engines import airflow, cassandra, kafka, nifi, registry
from scripts.stack.settings import LOOPBACK, Settings

_PATIENCE = 4  # seconds that an engine gets for an answer
_OPTIONS = bytes([4, 0, 0, 0, 5, 0, 0, 0, 0])  # a CQL frame, version 4, with the request OPTIONS and no body


@dataclass(frozen=True)
class Engine:
    name: str
    optional: bool
    ask: Callable[[Credentials | None, float], str]


def describe(settings: Settings) -> list[Engine]:
    def ask(name: str, credentials: Credentials | None, patience: float) -> str:
        return askers(settings, credentials)[name]()

    return [Engine(name, name in airflow.COMPONENTS, partial(ask, name)) for name in askers(settings, None)]


def askers(settings: Settings, credentials: Credentials | None) -> dict[str, Callable[[], str]]:
    """How to ask each engine, by its name: returns what it says, raises anything when it is not ready."""
    return {
        "source": lambda: str(_get(f"http://{LOOPBACK}:{settings.source_port}/health")["status"]),
        "nifi": lambda: _nifi(settings, _known(credentials)),
        "kafka": lambda: _kafka(settings),
        "registry": lambda: f"{len(_get(f'{registry.address(settings)}/subjects'))} subjects",
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
    about = _get(f"{nifi.address(settings)}/flow/about", cert=certificate, verify=str(credentials.ca))
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
