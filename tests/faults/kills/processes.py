"""The processes of a stack that can be killed, found by what they are, and how."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from scripts.stack.supervise import Supervisor
from tests.engines.conftest import LocalStack, until

STOPPED = (8.0, 20.0)  # seconds, at least and at most, that a stopped process gets
_THERE = 120.0  # seconds in which a process has to be there to be killed

Find = Callable[[LocalStack], int]  # process id, 0 when there is none now


def _engine(name: str) -> Find:
    return lambda stack: Supervisor(stack.settings).pid(name)


def _running(marker: str) -> Find:
    """The newest process of the stack with this in its command line."""

    def look(process: psutil.Process) -> tuple[bool, float, int]:
        there = marker in " ".join(process.cmdline()) and process.status() != psutil.STATUS_ZOMBIE
        return there, process.create_time(), process.pid

    def find(stack: LocalStack) -> int:
        found = [(created, pid) for there, created, pid in stack.of_processes(look) if there]
        return max(found, default=(0.0, 0))[1]

    return find


def _python_of_nifi(*, controller: bool) -> Find:
    """Of NiFi's Python processes the one that lists the processors, or the oldest one that runs one.

    A killed one comes back as the newest, so one kill after the other strikes each of them.
    """

    def look(process: psutil.Process) -> tuple[int, str, float, int]:
        return process.ppid(), process.environ().get("ENV_HOME", ""), process.create_time(), process.pid

    def find(stack: LocalStack) -> int:
        nifi = Supervisor(stack.settings).pid("nifi")
        found = [
            (created, pid)
            for parent, home, created, pid in stack.of_processes(look)
            if parent == nifi and home and (Path(home).name == "controller") is controller
        ]
        return min(found, default=(0.0, 0))[1]

    return find


PROCESSES: dict[str, Find] = {
    "source": _engine("source"),
    "nifi": _engine("nifi"),
    "nifi's python": _python_of_nifi(controller=False),
    "nifi's python controller": _python_of_nifi(controller=True),
    "kafka": _engine("kafka"),
    "registry": _engine("registry"),
    "spark-master": _engine("spark-master"),
    "spark-worker": _engine("spark-worker"),
    "executor": _running("CoarseGrainedExecutorBackend"),
    "driver": _running("org.apache.spark.deploy.SparkSubmit"),
    "stream": _running("spark_consumer.worker"),
    "consumer": _engine("consumer"),
    "cassandra": _engine("cassandra"),
}


@dataclass(frozen=True)
class Kind:
    """stop: SIGSTOP for a while and SIGCONT, instead of kill -9."""

    process: str
    stop: bool

    def __str__(self) -> str:
        return f"{self.process} {'stopped' if self.stop else 'killed'}"


KINDS = [Kind(process, stop) for stop in (False, True) for process in PROCESSES]


def strike(stack: LocalStack, kind: Kind, seconds: float) -> float:
    """Kill it, or stop it for so many seconds. Returns when it struck, in seconds since 1970.

    Its process may be starting just now: it is waited for.
    """
    pid = until(lambda: PROCESSES[kind.process](stack), _THERE, f"a process of {kind.process}")
    if not kind.stop:
        os.kill(pid, signal.SIGKILL)
        return time.time()
    with _stopped(pid):
        struck = time.time()
        time.sleep(seconds)
    return struck


@contextmanager
def _stopped(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with suppress(ProcessLookupError):  # its engine may have been restarted for not answering
            os.kill(pid, signal.SIGCONT)
