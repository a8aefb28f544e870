from pathlib import Path

import pytest

from scripts.stack.settings import Settings
from tests.unit.nowhere import nowhere


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    return nowhere(tmp_path, monkeypatch)
