"""Entering the project's own Python environment: which one, and in which Python."""

import ast
import fcntl
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from scripts import bootstrap
from tests.unit.bootstrap.environments import (
    LOCK,
    Steps,
    enter,
    furnish,
    of_the_lock,
    process_in,
    told,
)


@pytest.mark.parametrize("path", ["scripts/bootstrap.py", "scripts/run", "scripts/test", "scripts/pipeline"])
def test_an_old_python_can_read_it_far_enough_to_complain(path: str) -> None:
    tree = ast.parse(Path(bootstrap.ROOT, path).read_text(), feature_version=(3, 6))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert imported - sys.stdlib_module_names <= {"scripts.bootstrap"}
    assert os.access(Path(bootstrap.ROOT, path), os.X_OK) or path.endswith(".py")


def _as_python(monkeypatch: pytest.MonkeyPatch, *version: int) -> None:
    other = SimpleNamespace(
        version_info=version, argv=["./scripts/run", "--seed", "x"], stderr=sys.stderr, exit=sys.exit
    )
    monkeypatch.setattr(bootstrap, "sys", other)


def test_a_wrong_python_is_told_when_there_is_no_right_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _as_python(monkeypatch, 3, 13, 1)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SystemExit) as ended:
        bootstrap.enter("run")
    assert ended.value.code == 1
    assert told(capsys) == [
        "error: Python 3.11 is needed, this is Python 3.13",
        "  next: install python3.11 and put it on the PATH",
    ]
    assert not (tmp_path / ".venv").exists()


def test_a_wrong_python_hands_over_to_the_right_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right = tmp_path / "python3.11"
    right.write_text("#!/bin/sh\n")
    right.chmod(0o755)
    _as_python(monkeypatch, 3, 6, 15)
    monkeypatch.setenv("PATH", str(tmp_path))
    executed: list[Any] = []

    def execv(path: str, arguments: list[str]) -> None:
        executed.append((path, arguments))
        raise SystemExit

    monkeypatch.setattr(os, "execv", execv)
    with pytest.raises(SystemExit):
        bootstrap.enter("run")
    assert executed == [(str(right), [str(right), "./scripts/run", "--seed", "x"])]


def test_a_complete_environment_is_entered_as_it_is(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch, entered: list[Any]
) -> None:
    folder = furnish(of_the_lock(), bootstrap._fingerprint())
    monkeypatch.setattr(bootstrap, "_make", lambda *arguments: pytest.fail("it was complete"))
    enter("status", "--output", "json")
    ((path, arguments, environment),) = entered
    assert path == str(folder / "bin" / "python"), "through the link it would change under the process"
    assert arguments == [path, "-m", "scripts.commands", "status", "--output", "json"]
    assert environment["PYTHONPATH"] == bootstrap.ROOT
    assert environment["PATH"] == os.environ["PATH"]
    assert (elsewhere / ".venv").resolve() == folder


def test_a_complete_environment_does_not_wait_for_the_making_of_another(elsewhere: Path, entered: list[Any]) -> None:
    furnish(of_the_lock(), bootstrap._fingerprint())
    with (elsewhere / ".venvs" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        enter("run")
    assert len(entered) == 1


def test_ctrl_c_while_it_is_made_ends_in_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*arguments: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(bootstrap, "_make", interrupted)
    monkeypatch.setattr(os, "execve", lambda *arguments: pytest.fail("there is nothing to enter"))
    with pytest.raises(SystemExit) as ended:
        bootstrap.enter("run")
    assert ended.value.code == 130
    assert len(told(capsys)) == 2


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("uv", ["uv==0.1.2 ; sys_platform != 'x' \\", "    --hash=sha256:bb \\", "    --hash=sha256:cc"]),
        ("uvloop", ["uvloop==9.9 \\", "    --hash=sha256:dd"]),
        ("nonesuch", []),
    ],
)
def test_the_lines_of_one_package_are_taken_from_the_lock(name: str, lines: list[str]) -> None:
    assert bootstrap._requirement(LOCK, name).splitlines() == (lines or [""])


def test_the_projects_lock_pins_the_installer_with_hashes() -> None:
    lines = bootstrap._requirement(Path(bootstrap.ROOT, "requirements.lock").read_text(), "uv").splitlines()
    assert lines[0].startswith("uv==")
    assert len(lines) > 1
    assert all(line.startswith("    --hash=sha256:") for line in lines[1:])
    assert not lines[-1].endswith("\\")


def test_whatever_the_environment_depends_on_makes_it_stale(monkeypatch: pytest.MonkeyPatch) -> None:
    first = bootstrap._fingerprint()
    assert bootstrap._fingerprint() == first
    folder = str(of_the_lock())
    assert not bootstrap._complete(folder, first)
    furnish(Path(folder), first)
    assert bootstrap._complete(folder, first)
    assert not bootstrap._complete(folder, first[:16] + "another")
    with monkeypatch.context() as moved:
        moved.setattr(bootstrap, "VENVS", "/somewhere/else/.venvs")
        assert bootstrap._fingerprint() != first
    with monkeypatch.context() as upgraded:
        upgraded.setattr(bootstrap, "sys", SimpleNamespace(version="3.11.99 (main)"))
        assert bootstrap._fingerprint() != first
    Path(bootstrap.LOCK).write_text(LOCK + "more==1\n")
    assert bootstrap._fingerprint() != first


@pytest.mark.parametrize("command", ["down", "status", "doctor", "logs"])
@pytest.mark.parametrize("linked", [True, False])
def test_what_looks_or_stops_takes_the_environment_of_before(
    elsewhere: Path, steps: Steps, entered: list[Any], capsys: pytest.CaptureFixture[str], command: str, linked: bool
) -> None:
    before = furnish(elsewhere / (".venvs/before" if linked else ".venv"), "of an older lock")
    if linked:
        (elsewhere / ".venv").symlink_to(".venvs/before")
    (elsewhere / ".venvs").mkdir(exist_ok=True)
    with (elsewhere / ".venvs" / "lock").open("w") as lock:  # somebody is making the new one
        fcntl.flock(lock, fcntl.LOCK_EX)
        enter(command, "-x")
    assert [path for path, _, _ in entered] == [str(before / "bin" / "python")]
    assert steps.taken == []
    (line,) = told(capsys)
    assert "has no Python environment yet" in line
    assert "./scripts/run" in line


@pytest.mark.parametrize("lacks", ["complete", "bin/python"])
def test_what_looks_or_stops_makes_one_where_there_is_none(
    elsewhere: Path, steps: Steps, entered: list[Any], lacks: str
) -> None:
    (furnish(elsewhere / ".venv", "of an older lock") / lacks).unlink()
    enter("down")
    assert len(steps.taken) == 3


def test_an_environment_in_the_links_place_stays_while_it_is_in_use(
    elsewhere: Path, steps: Steps, entered: list[Any]
) -> None:
    old = furnish(elsewhere / ".venv", "of an older lock")
    with process_in(old):
        enter("run")
        assert (old / "complete").read_text() == "of an older lock"
        assert not old.is_symlink()
    assert [path for path, _, _ in entered] == [str(of_the_lock() / "bin" / "python")]
    enter("run")
    assert old.is_symlink()
    assert old.resolve() == of_the_lock()
    assert len(steps.taken) == 3


def test_without_a_list_of_processes_everything_counts_as_used(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(path: str) -> list[str]:
        raise FileNotFoundError(path)

    monkeypatch.setattr(os, "listdir", nothing)
    assert bootstrap._used(["/a", "/b"]) == {"/a", "/b"}


@pytest.mark.parametrize(
    ("environment", "folder"),
    [
        ({"PIPELINE_CACHE": "/mine", "XDG_CACHE_HOME": "/xdg"}, "/mine"),
        ({"XDG_CACHE_HOME": "/xdg"}, "/xdg/nifi-users-pipeline"),
        ({"PIPELINE_CACHE": "", "XDG_CACHE_HOME": ""}, "/home/me/.cache/nifi-users-pipeline"),
        ({}, "/home/me/.cache/nifi-users-pipeline"),
    ],
)
def test_the_cache_lies_outside_the_clone(
    environment: dict[str, str], folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert bootstrap.cache_folder() == folder


def test_the_scripts_find_the_project_from_any_folder(tmp_path: Path) -> None:
    """Through a link, too, and in a process that stops before it would make or enter anything."""
    link = tmp_path / "run"
    link.symlink_to(Path(bootstrap.ROOT, "scripts", "run"))
    stop = "import runpy, sys; sys.version_info = (2, 7); runpy.run_path(sys.argv[1], run_name='__main__')"
    for script in (Path(bootstrap.ROOT, "scripts", "run"), link):
        done = subprocess.run(
            [sys.executable, "-S", "-c", stop, str(script)],
            cwd=tmp_path,
            env={"PATH": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stderr.startswith("error: Python 3.11 is needed, this is Python 2.7"), (script, done.stderr)
        assert done.returncode == 1
