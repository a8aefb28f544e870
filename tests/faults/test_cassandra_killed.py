"""Cassandra dies under load: what it acknowledged is there when it comes back, and the rest follows."""

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor

from nifi_flows.pipeline import USERS
from scripts.observe import consumer
from scripts.stack import credentials, engines
from scripts.stack.supervise import Supervisor
from tests.engines.conftest import LocalStack, until

PAGES, SIZE = 60, 500


def test_no_row_is_lost_when_cassandra_is_killed_in_mid_run(stack: LocalStack) -> None:
    supervisor = Supervisor(stack.settings)
    before = finished(stack)
    seed, pages, size = f"cassandra killed {time.time_ns()}", str(PAGES), str(SIZE)
    run = ("--source", "embedded", "--seed", seed, "--pages", pages, "--page-size", size, "--interval", "0")
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(stack.run, *run, timeout=180)
        until(lambda: finished(stack) > before + 10 * SIZE, 90, "a sixth of the run's rows")
        pid = supervisor.pid("cassandra")
        os.kill(pid, signal.SIGKILL)
        assert finished(stack) < before + PAGES * SIZE * 0.9, "it was killed when all was written"
        until(lambda: supervisor.pid("cassandra") not in (0, pid), 30, "a new process of Cassandra")
        until(lambda: answers(stack), 60, "an answer from the new Cassandra")
        until(running.done, 120, "the end of the run, with a row for each of its frames")
        running.result()
    assert stack.audit()["findings"] == []


def finished(stack: LocalStack) -> int:
    """Frames that the consumer has finished since the beginning."""
    return consumer.committed(consumer.positions(stack.settings, USERS))


def answers(stack: LocalStack) -> bool:
    [engine] = (one for one in engines.describe(stack.settings) if one.name == "cassandra")
    try:
        return bool(engine.ask(credentials.require(stack.settings.secrets), 5))
    except Exception:  # noqa: BLE001 - whatever its client raises means: not yet
        return False
