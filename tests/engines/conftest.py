"""A real stack on ports and in a folder of its own, used as its user would; the fixture `stack` runs one."""

import contextlib
import json
import os
import random
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import psutil
import pytest
from playwright.sync_api import Browser, sync_playwright

from nifi_processors.pull_run import run_key, url_digest
from scripts.bootstrap import ROOT
from scripts.stack import configuration
from scripts.stack.engines import PORTS, source
from scripts.stack.settings import Settings

Found = TypeVar("Found")
Answer = TypeVar("Answer")

CALM = 2.0  # seconds that the stream of the tests' stack goes in micro-batches after a refused frame
# Below those that the kernel gives to outgoing connections, which could take one before its engine starts.
_FREE = range(20_000, 32_000)


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class LocalStack:
    """A stack as its user has it: through the command line, in an environment that places it."""

    environment: dict[str, str]

    @property
    def settings(self) -> Settings:
        return configuration.read(self.environment)

    def run(self, *arguments: str, timeout: float = 400) -> Outcome:
        """./scripts/run without Airflow, which would heal what a test breaks; it has to succeed."""
        outcome = self.call("run", "--no-airflow", *arguments, timeout=timeout)
        assert outcome.code == 0, outcome.out + outcome.err
        return outcome

    def pipeline(self, *arguments: str, timeout: float = 200) -> Outcome:
        return self.call("pipeline", *arguments, timeout=timeout)

    def call(self, script: str, *arguments: str, timeout: float) -> Outcome:
        done = subprocess.run(
            [f"{ROOT}/scripts/{script}", *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        return Outcome(done.returncode, done.stdout, done.stderr)

    def run_key(self, seed: str, page_size: int) -> str:
        """What the names of the pages begin with that a run has of the embedded source."""
        return run_key("embedded", url_digest(source.address(self.settings)), seed, page_size)

    def audit(self) -> dict[str, Any]:
        """What `audit` counts; it has to add up."""
        outcome = self.pipeline("audit", "--output", "json")
        assert outcome.code == 0, outcome.out + outcome.err
        audited: dict[str, Any] = outcome.json
        return audited

    def processes(self) -> list[psutil.Process]:
        """Whatever runs that this stack has started, whoever its parent is now."""
        return self.of_processes(lambda process: process)

    def of_processes(self, ask: Callable[[psutil.Process], Answer]) -> list[Answer]:
        """What each of them answers; engines start short-lived ones, and what is gone meanwhile is left out."""
        marker = f"{self.settings.run}"
        answers = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get("PIPELINE_RUN") == marker:
                    answers.append(ask(process))
        return answers


@pytest.fixture(scope="session")
def found_browser() -> Iterator[Browser | None]:
    """A headless Chromium, None on a machine that has none."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        yield None
        return
    with sync_playwright() as playwright:
        # Chromium's sandbox refuses to run as root.
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        launched = playwright.chromium.launch(executable_path=found, args=arguments)
        yield launched
        launched.close()


@pytest.fixture(scope="session")
def browser(found_browser: Browser | None) -> Browser:
    if found_browser is None:
        pytest.skip("no Chromium to open pages in: install the Debian package chromium")
    return found_browser


def until(look: Callable[[], Found | None], seconds: float, awaited: str = "what was awaited") -> Found:
    """What a look finds, at most so many seconds from now. awaited: what that is, for whoever reads the failure."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"{awaited} is not there within {seconds:.0f} s"
        time.sleep(0.5)
    return found


def place(home: Path) -> LocalStack:
    """A stack in `home` on ports that are free now."""
    sockets = [_free() for _ in PORTS]
    ports = {port.variable: str(s.getsockname()[1]) for port, s in zip(PORTS, sockets, strict=True)}
    for opened in sockets:
        opened.close()
    return LocalStack({**os.environ, **ports, "PIPELINE_HOME": str(home)})


@contextlib.contextmanager
def placed(logs: str = "") -> Iterator[LocalStack]:
    """A place for a stack in a folder of its own; what runs there is torn down to the last process.

    logs: folder below $PIPELINE_KEEP_LOGS that its logs are kept in.
    """
    home = Path(tempfile.mkdtemp(prefix="pipeline-"))  # short, for the supervisor's socket
    made = place(home)
    try:
        yield made
    finally:
        try:
            if kept := os.environ.get("PIPELINE_KEEP_LOGS"):
                shutil.copytree(made.settings.logs, Path(kept, logs), dirs_exist_ok=True)
        finally:  # a log may go while it is copied
            stopped = made.pipeline("down", "--wipe")
            left = made.processes()
            shutil.rmtree(home, ignore_errors=True)
    assert stopped.code == 0, stopped.err
    assert not left, left
    assert not home.exists()


def _free() -> socket.socket:
    for port in random.SystemRandom().sample(_FREE, 100):
        with contextlib.suppress(OSError):
            return socket.create_server(("127.0.0.1", port))
    raise RuntimeError(f"no free port found from {_FREE.start} to {_FREE.stop}")
