"""A project in an empty folder; what would replace this process, or make an environment, is only noted."""

import os
from pathlib import Path
from typing import Any

import pytest

from scripts import bootstrap
from tests.unit.bootstrap.environments import LOCK, Entered, Steps, stepping


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The module as if the project lay in an empty folder, with a user who has configured nothing."""
    venv = tmp_path / ".venv"
    paths = {
        "VENV": venv,
        "VENVS": tmp_path / ".venvs",
        "PYTHON": venv / "bin" / "python",
        "LOCK": tmp_path / "requirements.lock",
    }
    for name, path in paths.items():
        monkeypatch.setattr(bootstrap, name, str(path))
    (tmp_path / "requirements.lock").write_text(LOCK)
    for name in list(os.environ):
        if name.startswith(("UV_", "PIP_", "PIPELINE_", "XDG_")) or name.endswith("_CA_BUNDLE") or "SSL" in name:
            monkeypatch.delenv(name)
    return tmp_path


@pytest.fixture
def entered(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was executed, in place of this process: path, arguments, environment."""
    executed: list[Any] = []

    def execve(*arguments: Any) -> None:
        executed.append(arguments)
        raise Entered

    monkeypatch.setattr(os, "execve", execve)
    return executed


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Steps:
    return stepping(monkeypatch, Steps())
