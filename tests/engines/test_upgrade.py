"""A lock that changes under a running stack: what runs keeps the environment that it was started in."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from scripts.bootstrap import ROOT
from scripts.stack.supervise import Supervisor
from tests.engines.conftest import LocalStack, Outcome, place, until

_NOT_COPIED = shutil.ignore_patterns(
    ".git", ".venv*", ".pipeline", ".*_cache", "__pycache__", ".hypothesis", ".coverage"
)
# A stack with its source alone: it takes seconds, and lives in the environment like all that is Python.
_START = """
from nifi_flows.pipeline import USERS
from scripts.stack import configuration, preflight, stack

preflight.check_memory = lambda: None
made, configured = stack.prepare(configuration.load(), USERS)
stack.start(made, configured.launches)
stack.start_engines(made, ["source"])
stack.wait_ready(made, ["source"], print)
"""


class Clone:
    """A copy of the project with a stack of its own."""

    def __init__(self, folder: Path, home: Path) -> None:
        shutil.copytree(ROOT, folder, ignore=_NOT_COPIED)
        self.folder = folder
        self.stack: LocalStack = place(home)

    def pipeline(self, *arguments: str) -> Outcome:
        return self._run([f"{self.folder}/scripts/pipeline", *arguments])

    def start(self) -> Outcome:
        return self._run([f"{self.current}/bin/python", "-c", _START])

    def environments(self) -> set[Path]:
        return {path for path in (self.folder / ".venvs").iterdir() if path.is_dir()}

    @property
    def current(self) -> Path:
        return (self.folder / ".venv").resolve()

    @property
    def supervisor(self) -> Supervisor:
        return Supervisor(self.stack.settings)

    def _run(self, command: list[str]) -> Outcome:
        environment = {**self.stack.environment, "PYTHONPATH": str(self.folder)}
        done = subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=300, check=False
        )
        return Outcome(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def clone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clone]:
    made = Clone(tmp_path_factory.mktemp("clone") / "project", tmp_path_factory.mktemp("h"))
    try:
        yield made
    finally:
        stopped = made.pipeline("down", "--wipe")
        left = made.stack.processes()
    assert stopped.code == 0, stopped.err
    assert not left, left


def test_an_upgrade_leaves_a_running_stack_its_environment(clone: Clone) -> None:
    assert clone.pipeline("flow", "lint").code == 0
    before = clone.current
    started = clone.start()
    assert started.code == 0, started.out + started.err

    with open(clone.folder / "requirements.lock", "a") as lock:
        lock.write("# another one\n")
    looked = clone.pipeline("status", "--output", "json")
    assert "using the earlier one" in looked.err
    assert next(engine for engine in looked.json["engines"] if engine["engine"] == "source")["ready"]
    assert clone.environments() == {before}, "to look makes none"

    assert clone.pipeline("flow", "lint").code == 0
    assert clone.current != before
    assert clone.environments() == {before, clone.current}, "the one that the stack lives in stays"

    killed = clone.supervisor.pid("source")
    os.kill(killed, signal.SIGKILL)
    again = until(lambda: (pid := clone.supervisor.pid("source")) not in (0, killed) and pid, 30)
    until(lambda: _runs_in(before, again), 30)
    until(lambda: clone.pipeline("source", "--output", "json").json["running"], 30)


def _runs_in(environment: Path, pid: int) -> bool:
    return any(str(environment) in word for word in psutil.Process(pid).cmdline())
