"""What all tests share: the marker of each is the name of its folder, and one real stack for those that need one.

Those that kill have `kills` instead, and long ones `long` alone.
"""

from __future__ import annotations

import contextlib
import random
import subprocess
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from tests.engines.conftest import LocalStack

_TESTS = Path(__file__).parent

# how busy the machine is, is no fault of what is tested
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


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
            folder, *deeper = item.path.relative_to(_TESTS).parts
            item.add_marker("kills" if deeper[:1] == ["kills"] else folder)


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
    from tests.engines.conftest import CALM, placed  # the unit tests need nothing of it

    with placed() as made:
        made.environment["CONSUMER_CALM_SECONDS"] = f"{CALM}"  # a minute for users
        made.run("--seed", "first", "--pages", "4", "--page-size", "250", "--invalid-share", "0.05")
        yield made
