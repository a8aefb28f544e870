"""A stack for the kills alone: others could not tell afterwards what is theirs."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scripts.bootstrap import ROOT
from tests.engines.conftest import CALM, LocalStack, placed
from tests.faults.kills.campaign import Campaign


@pytest.fixture(scope="session")
def stack() -> Iterator[LocalStack]:
    """A place for a stack, which the campaign starts; torn down to the last process."""
    with placed("kills") as made:  # its logs are beside those of the other tests' stack
        made.environment["CONSUMER_CALM_SECONDS"] = f"{CALM}"  # so that most kills strike the lane that is set
        yield made


@pytest.fixture
def say(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Tells whoever watches, past pytest's capturing."""
    reporter = request.config.pluginmanager.get_plugin("terminalreporter")
    capture = request.config.pluginmanager.get_plugin("capturemanager")
    assert reporter is not None and capture is not None

    def tell(line: str) -> None:
        with capture.global_and_fixture_disabled():
            reporter.write_line(line)

    return tell


@pytest.fixture
def campaign(stack: LocalStack, request: pytest.FixtureRequest, say: Callable[[str], None]) -> Iterator[Campaign]:
    seed = request.config.getoption("--faults-seed")
    folder = Path(ROOT, ".kills", str(seed))
    folder.mkdir(parents=True, exist_ok=True)
    say(f"\nkills of --faults-seed={seed}; the table is kept in {folder}")
    made = Campaign(stack, seed, say, folder, each=request.node.get_closest_marker("long") is not None)
    yield made
    if made.kills:
        say(f"\n{made.table()}")
