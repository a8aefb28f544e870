"""Python environments as the tests of `scripts.bootstrap` see them: furnished, entered, made; none is a real one."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from scripts import bootstrap

LOCK = """\
# made by a tool
uuid7==1.0 \\
    --hash=sha256:aa
uv==0.1.2 ; sys_platform != 'x' \\
    --hash=sha256:bb \\
    --hash=sha256:cc
    # via -r requirements.in
uvloop==9.9 \\
    --hash=sha256:dd
"""


def told(capsys: pytest.CaptureFixture[str]) -> list[str]:
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err.splitlines()


class Entered(Exception):
    """Instead of becoming another process."""


def enter(*arguments: str) -> None:
    with pytest.raises(Entered):
        bootstrap.enter(*arguments)


def furnish(folder: Path, stamp: str) -> Path:
    """A complete environment, as far as one can tell from outside."""
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").symlink_to("/bin/sh")
    (folder / "complete").write_text(stamp)
    return folder


def of_the_lock() -> Path:
    return Path(bootstrap._folder(bootstrap._fingerprint()))


@contextmanager
def process_in(folder: Path) -> Iterator[None]:
    """A process that runs in the environment."""
    command = [str(folder / "bin" / "python"), "-c", "echo; read line; :"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield
        process.communicate()


class Steps:
    """Stands in for the steps of making an environment. fails: number of the step that does."""

    def __init__(self, fails: int | None = None) -> None:
        self.taken: list[list[str]] = []
        self._fails = fails

    def __call__(self, command: list[str], remedy: str, environment: dict[str, str] | None = None) -> None:
        assert remedy
        folder = of_the_lock()
        assert not (folder / "complete").exists(), "whoever stops us here must find it incomplete"
        self.taken.append(command)
        if len(self.taken) == self._fails:
            raise SystemExit(1)
        if command[1:3] == ["-m", "venv"]:
            assert not folder.exists(), "half-made"
            (folder / "bin").mkdir(parents=True)
            (folder / "bin" / "python").symlink_to("/bin/sh")


def stepping(monkeypatch: pytest.MonkeyPatch, steps: Steps) -> Steps:
    monkeypatch.setattr(bootstrap, "_step", steps)
    monkeypatch.setattr(bootstrap, "_uv_environment", lambda python: {})
    return steps
