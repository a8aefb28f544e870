"""The command line in a home of its own, where no stack is."""

import runpy
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.commands.command_line import Ended, Pipeline
from tests.unit.nowhere import nowhere


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home of a stack that is not there, on ports where nothing listens."""
    settings = nowhere(tmp_path, monkeypatch)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return settings.home


@pytest.fixture
def pipeline(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Pipeline]:
    """Run `./scripts/pipeline ARGUMENTS` in this process."""
    before = {number: signal.signal(number, signal.SIG_DFL) for number in (signal.SIGTERM, signal.SIGHUP)}

    def pipeline(*arguments: str) -> Ended:
        monkeypatch.setattr(sys, "argv", ["pipeline", *arguments])
        with pytest.raises(SystemExit) as ended:
            runpy.run_module("scripts.commands", run_name="__main__")
        captured = capsys.readouterr()
        assert "Traceback" not in captured.out + captured.err
        return Ended(int(ended.value.code or 0), captured.out, captured.err)

    yield pipeline
    for number, handler in before.items():
        signal.signal(number, handler)
