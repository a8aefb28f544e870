"""The processes of a stack that can be killed, found by what they are, and how."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

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

    def find(stack: LocalStack) -> int:
        found = []
        for process in stack.processes():
            with suppress(psutil.Error):
                if marker in " ".join(process.cmdline()) and process.status() != psutil.STATUS_ZOMBIE:
                    found.append((process.create_time(), process.pid))
        return max(found, default=(0.0, 0))[1]

    return find


def _python_of_nifi(stack: LocalStack) -> int:
    pid = Supervisor(stack.settings).pid("nifi")
    with suppress(psutil.Error):
        return (
            next((child.pid for child in psutil.Process(pid).children() if "python" in child.name()), 0) if pid else 0
        )
    return 0


PROCESSES: dict[str, Find] = {
    "source": _engine("source"),
    "nifi": _engine("nifi"),
    "nifi's python": _python_of_nifi,
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
