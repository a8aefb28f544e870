from collections.abc import Iterator

import pytest

from tests.unit.canvas.harness import Admitted, Canvas, Loop, Upstream


@pytest.fixture(scope="module")
def loop() -> Iterator[Loop]:
    made = Loop()
    yield made
    made.end()


@pytest.fixture(scope="module")
def upstream(loop: Loop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upstream]:
    made = Upstream(loop, tmp_path_factory.mktemp("stack"))
    yield made
    made.stop()


@pytest.fixture
def fresh(loop: Loop, upstream: Upstream) -> Iterator[Canvas]:
    """A canvas whose link nobody has opened."""
    made = Canvas(loop, upstream)
    yield made
    made.stop()


@pytest.fixture(scope="module")
def admitted(loop: Loop, upstream: Upstream) -> Iterator[Admitted]:
    made = Canvas(loop, upstream)
    yield Admitted(made, made.enter())
    made.stop()
