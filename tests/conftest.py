"""What all tests share: the marker of each is the name of its folder, and one real stack for those that need one.

Long ones have the marker `long` alone.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import subprocess
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.engines.conftest import LocalStack

_TESTS = Path(__file__).parent


def pytest_addoption(parser: pytest.Parser) -> None:
    kills = parser.getgroup("kills", "tests/faults/kills")
    kills.addoption("--minutes", type=float, default=20, help="how long -m long kills at random (20)")
    kills.addoption("--faults-seed", type=int, help="of the kills, as a run before printed it (random)")


def pytest_configure(config: pytest.Config) -> None:
    if config.option.faults_seed is None:
        config.option.faults_seed = random.SystemRandom().randrange(2**32)


@pytest.hookimpl(tryfirst=True)  # before -m selects
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("long") is None:  # or -m faults would take hours
            item.add_marker(item.path.relative_to(_TESTS).parts[0])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With a test that fails on the stack, tell what the doctor says of it, and NiFi."""
    report = yield
    stack = getattr(item, "funcargs", {}).get("stack")
    if report.failed and stack is not None:
        for command in (["doctor"], ["logs", "nifi", "--lines", "15"]):
            with contextlib.suppress(subprocess.TimeoutExpired):
                said = stack.pipeline(*command)
                report.sections.append((" ".join(command), said.out + said.err))
    return report


@pytest.fixture(scope="session")
def stack() -> Iterator[LocalStack]:
    """A running stack whose embedded source breaks a twentieth of the users, torn down to the last process."""
    from tests.engines.conftest import place  # the unit tests need nothing of it

    home = Path(tempfile.mkdtemp(prefix="pipeline-"))  # short, for the supervisor's socket
    made = place(home)
    try:
        made.run("--seed", "first", "--pages", "4", "--page-size", "250", "--invalid-share", "0.05")
        yield made
    finally:
        if os.environ.get("PIPELINE_KEEP_LOGS"):
            shutil.copytree(made.settings.logs, os.environ["PIPELINE_KEEP_LOGS"], dirs_exist_ok=True)
        stopped = made.pipeline("down", "--wipe")
        left = made.processes()
        shutil.rmtree(home, ignore_errors=True)
    assert stopped.code == 0, stopped.err
    assert not left, left
    assert not home.exists()
