"""Making a Python environment: from hashes alone, once, complete only at the end."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from scripts import bootstrap
from tests.unit.bootstrap.environments import LOCK, Steps, enter, furnish, of_the_lock, process_in, stepping, told


def test_it_is_made_from_hashes_alone_and_complete_only_at_the_end(
    elsewhere: Path, steps: Steps, entered: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = of_the_lock()
    (folder / "half-made").mkdir(parents=True)
    enter("run")
    venv, pip, uv = steps.taken
    assert venv == [sys.executable, "-m", "venv", str(folder)]
    assert "--require-hashes" in pip
    assert Path(pip[-1]).read_text() == bootstrap._requirement(LOCK, "uv")
    assert "--require-hashes" in uv
    assert uv[-1] == bootstrap.LOCK
    assert bootstrap._complete(str(folder), bootstrap._fingerprint())
    assert os.readlink(elsewhere / ".venv") == f".venvs/{folder.name}"
    assert sorted(path.name for path in (elsewhere / ".venvs").iterdir()) == sorted([folder.name, "lock"])
    assert len(told(capsys)) == 1
    enter("run")
    assert len(steps.taken) == 3
    assert {path for path, _, _ in entered} == {str(folder / "bin" / "python")}


@pytest.mark.parametrize("fails", [1, 2, 3])
def test_a_step_that_fails_leaves_it_incomplete_and_the_one_of_before(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch, fails: int
) -> None:
    before = furnish(elsewhere / ".venvs" / "before", "of an older lock")
    (elsewhere / ".venv").symlink_to(".venvs/before")
    stepping(monkeypatch, Steps(fails))
    with pytest.raises(SystemExit):
        bootstrap.enter("run")
    assert not bootstrap._complete(str(of_the_lock()), bootstrap._fingerprint())
    assert (elsewhere / ".venv").resolve() == before


def test_a_lock_that_changes_meanwhile_is_not_taken_for_the_one_it_was_made_from(
    steps: Steps, capsys: pytest.CaptureFixture[str]
) -> None:
    fingerprint, folder = bootstrap._fingerprint(), str(of_the_lock())
    Path(folder, "bin").mkdir(parents=True)
    Path(bootstrap.LOCK).write_text(LOCK + "more==1\n")
    (Path(folder) / "installer.lock").touch()
    with pytest.MonkeyPatch.context() as kept:
        kept.setattr(bootstrap, "_remove", lambda path: None)
        with pytest.raises(SystemExit):
            bootstrap._make(folder, fingerprint)
    assert not bootstrap._complete(folder, fingerprint)
    assert "requirements.lock changed" in told(capsys)[-2]


def test_an_upgrade_leaves_a_running_process_its_environment(elsewhere: Path, steps: Steps, entered: list[Any]) -> None:
    enter("run")
    first = of_the_lock()
    with process_in(first):
        Path(bootstrap.LOCK).write_text(LOCK + "more==1\n")
        enter("test")
        second = of_the_lock()
        assert (elsewhere / ".venv").resolve() == second != first
        assert (first / "complete").exists()
    Path(bootstrap.LOCK).write_text(LOCK + "more==2\n")
    enter("run")
    assert not first.exists()
    assert not second.exists()
    assert (elsewhere / ".venv").resolve() == of_the_lock()


def test_two_commands_at_once_make_it_once(elsewhere: Path) -> None:
    """As processes: a lock holds between those, and a fake venv, pip and uv are what they find."""
    script = """
import os, sys, time
from scripts import bootstrap
root, bootstrap.sys = sys.argv[1], sys
for name, path in (("VENV", ".venv"), ("VENVS", ".venvs"), ("LOCK", "requirements.lock")):
    setattr(bootstrap, name, os.path.join(root, path))
def step(command, remedy, environment=None):
    with open(os.path.join(root, "taken"), "a") as taken:
        taken.write("step\\n")
    if "venv" in command:
        os.makedirs(os.path.join(command[-1], "bin"))
        time.sleep(1)
bootstrap._step, bootstrap._uv_environment = step, lambda python: {}
os.execve = lambda path, *rest: print(path)
bootstrap.enter("run")
"""
    command = [sys.executable, "-c", script, str(elsewhere)]
    environment = {**os.environ, "PYTHONPATH": bootstrap.ROOT}
    both = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    told = [process.communicate(timeout=60)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert told == [f"{of_the_lock()}/bin/python\n"] * 2
    assert (elsewhere / "taken").read_text() == "step\n" * 3


@pytest.mark.parametrize("command", [["/bin/sh", "-c", "exit 7"], ["/not/there"]])
def test_a_step_that_fails_is_named_with_what_to_do(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        bootstrap._step(command, "do this")
    assert ended.value.code == 1
    error, following = told(capsys)
    assert Path(command[0]).name in error
    assert following == "  next: do this"


def test_a_step_gets_its_environment(elsewhere: Path) -> None:
    bootstrap._step(["/bin/sh", "-c", f'echo "$X" > "{elsewhere}/out"'], "", environment={"X": "given"})
    assert (elsewhere / "out").read_text() == "given\n"
