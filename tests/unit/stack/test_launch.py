"""Launching an engine and ending what an earlier one left, with real processes."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from scripts.bootstrap import ROOT
from scripts.stack import launch

# A leader with a child in its group; both names end up in files. IGNORE makes both deaf to SIGTERM.
_FAMILY = 'echo $$ > leader.part; sleep 60 & echo $! > child; mv leader.part leader; echo "$PIPELINE_RUN" > run; wait'
_DEAF = f"trap '' TERM; {_FAMILY}"


def until(met: Callable[[], Any], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.02)


def ended(pid: int) -> bool:
    return not launch.living(pid)


@dataclass
class Family:
    """A process group in `folder`, that of a stack in `run` if given."""

    folder: Path
    process: subprocess.Popen[bytes]

    @property
    def group(self) -> int:
        return self.process.pid

    @property
    def child(self) -> int:
        return int((self.folder / "child").read_text())

    def behead(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Callable[..., Family]]:
    """Start families; whatever is left of them at the end is killed."""
    started: list[subprocess.Popen[bytes]] = []

    def begin(script: str = _FAMILY, marker: Path | None = tmp_path) -> Family:
        folder = tmp_path / f"family{len(started)}"
        folder.mkdir()
        environment = {"PATH": os.environ["PATH"]} | ({"PIPELINE_RUN": str(marker)} if marker else {})
        process = subprocess.Popen(["/bin/sh", "-c", script], cwd=folder, env=environment, start_new_session=True)
        started.append(process)
        until((folder / "leader").exists)
        return Family(folder, process)

    yield begin
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def record(tmp_path: Path, group: int, boot: str | None = None) -> Path:
    file = tmp_path / "engine.group"
    file.write_text(f"{group} {boot or launch.boot_id()}")
    return file


def test_what_a_killed_leader_left_is_ended(tmp_path: Path, begin: Callable[..., Family]) -> None:
    family = begin()
    family.behead()
    assert launch.members(family.group) == [family.child]
    file = record(tmp_path, family.group)
    begun = time.monotonic()
    assert launch.end_group(file) is True
    assert ended(family.child)
    assert not file.exists()
    assert time.monotonic() - begun < 2, "who obeys is not waited for"


def test_a_living_leader_is_ended_with_its_children(tmp_path: Path, begin: Callable[..., Family]) -> None:
    family = begin()
    assert launch.end_group(record(tmp_path, family.group)) is True
    assert ended(family.group)
    assert ended(family.child)


def test_who_ignores_the_polite_signal_is_killed_after_a_while(tmp_path: Path, begin: Callable[..., Family]) -> None:
    family = begin(_DEAF)
    family.behead()
    begun = time.monotonic()
    assert launch.end_group(record(tmp_path, family.group), patience=0.3) is True
    assert time.monotonic() - begun >= 0.3
    assert ended(family.child)


def test_who_has_been_stopped_goes_on_to_its_end(tmp_path: Path, begin: Callable[..., Family]) -> None:
    family = begin()
    family.behead()
    os.kill(family.child, signal.SIGSTOP)
    begun = time.monotonic()
    assert launch.end_group(record(tmp_path, family.group), patience=30) is True
    assert ended(family.child)
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize("marker", [None, "longer"])
def test_a_group_of_somebody_else_is_left_alone(
    tmp_path: Path, begin: Callable[..., Family], marker: str | None
) -> None:
    family = begin(marker=tmp_path.with_name(tmp_path.name + marker) if marker else None)
    file = record(tmp_path, family.group)
    assert launch.end_group(file) is False
    assert launch.living(family.group)
    assert launch.living(family.child)
    assert not file.exists(), "the number means nothing to us any more"


def test_a_number_from_before_a_reboot_means_nothing(tmp_path: Path, begin: Callable[..., Family]) -> None:
    family = begin()
    file = record(tmp_path, family.group, boot="11111111-2222-3333-4444-555555555555")
    assert launch.end_group(file) is False
    assert launch.living(family.child)
    assert not file.exists()


def test_the_own_group_is_never_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "_ours", lambda group, file: True)
    assert launch.end_group(record(tmp_path, os.getpgrp())) is False


@pytest.mark.parametrize("text", [None, "", "12", "twelve of-some-boot", "1 2 3"])
def test_without_a_usable_record_there_is_nothing_to_end(tmp_path: Path, text: str | None) -> None:
    file = tmp_path / "engine.group"
    if text is not None:
        file.write_text(text)
    assert launch.end_group(file) is False


def test_a_group_that_ends_by_itself_meanwhile_is_fine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    process = subprocess.Popen(["true"], start_new_session=True)
    process.wait()
    monkeypatch.setattr(launch, "_ours", lambda group, file: True)  # it was, a moment ago
    file = record(tmp_path, process.pid)
    assert launch.end_group(file) is True
    assert not file.exists()


def test_a_zombie_does_not_count_as_living(tmp_path: Path) -> None:
    zombie = subprocess.Popen(["sleep", "60"], start_new_session=True, env={"PIPELINE_RUN": str(tmp_path)})
    try:
        assert launch.living(zombie.pid)
        assert launch.members(zombie.pid) == [zombie.pid]
        zombie.kill()
        until(lambda: ended(zombie.pid))
        assert Path("/proc", str(zombie.pid)).exists(), "nobody has asked for it yet"
        assert launch.members(zombie.pid) == []
        assert launch.end_group(record(tmp_path, zombie.pid)) is False
    finally:
        zombie.kill()
        zombie.wait()


@dataclass
class Plan:
    """A launch file in a folder of its own."""

    folder: Path

    @property
    def file(self) -> Path:
        return self.folder / "engine.json"

    def write(self, command: list[str], first: list[Any] | None = None, environment: Any = None) -> None:
        work = self.folder / "work"
        work.mkdir(exist_ok=True)
        plan = {
            "command": command,
            "environment": environment or {},
            "folder": str(work),
            "first": first or [],
            "secrets": False,
        }
        self.file.write_text(json.dumps(plan))

    def launch(self) -> subprocess.Popen[str]:
        """As supervisord does: a leader of its own, with the marker in its environment."""
        return subprocess.Popen(
            [sys.executable, "-m", "scripts.stack.launch", str(self.file)],
            cwd=ROOT,
            env={
                "PATH": os.environ["PATH"],
                "PIPELINE_RUN": str(self.folder),
                "KEPT": "kept",
                "CHANGED": "before",
                "AIRFLOW__X": "x",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def said(self) -> str:
        process = self.launch()
        out, _ = process.communicate(timeout=20)
        return out


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return Plan(tmp_path)


def test_the_engine_is_executed_in_its_folder_and_environment_under_the_number_that_was_recorded(plan: Plan) -> None:
    plan.write(
        ["/bin/sh", "-c", 'echo "$PWD|$KEPT$AIRFLOW__X|$CHANGED|$$|$#|$1"', "engine", "with space"],
        environment={"CHANGED": 'after\'s "\n" %d'},
    )
    process = plan.launch()
    out, _ = process.communicate(timeout=20)
    folder, kept, changed, pid, count, argument = out.rstrip("\n").split("|")
    assert (kept, changed) == ("kept", 'after\'s "\n" %d')
    assert Path(folder) == plan.folder / "work"
    assert (count, argument) == ("1", "with space")
    assert int(pid) == process.pid, "a signal for the engine must reach the engine"
    assert plan.file.with_suffix(".group").read_text() == f"{process.pid} {launch.boot_id()}"


def test_an_engine_gets_nothing_of_other_installations_and_secrets_only_if_it_needs_them() -> None:
    kept = {"PATH": "/bin", "HTTPS_PROXY": "http://proxy", "PIPELINE_HOME": "/here"}
    secret = {"PIPELINE_PARAMETER_SOURCE_TOKEN": "t0ken", "PIPELINE_ALERT_WEBHOOK": "https://hooks"}
    others = {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "theirs", "AIRFLOW_HOME": "/theirs", "SPARK_CONF_DIR": "/theirs"}
    assert launch.inherited({**kept, **secret, **others}, secrets=False) == kept
    assert launch.inherited({**kept, **secret, **others}, secrets=True) == {**kept, **secret}


def test_what_comes_first_is_done_once_and_in_the_engines_environment(plan: Plan) -> None:
    made = plan.folder / "work" / "made"
    first = [[str(made), ["/bin/sh", "-c", 'echo "first $CHANGED"; echo x >> made']]]
    plan.write(["/bin/sh", "-c", "echo engine; wc -l < made"], first, {"CHANGED": "after"})
    assert plan.said().split() == ["first", "after", "engine", "1"]
    assert plan.said().split() == ["engine", "1"]


def test_what_comes_first_without_a_path_is_done_before_each_start(plan: Plan) -> None:
    plan.write(["/bin/sh", "-c", "echo engine"], [[None, ["/bin/sh", "-c", "echo first"]]])
    assert [plan.said().split() for _ in range(2)] == [["first", "engine"]] * 2


def test_an_engine_does_not_start_when_what_comes_first_fails(plan: Plan) -> None:
    plan.write(["/bin/sh", "-c", "echo engine"], [[str(plan.folder / "never"), ["/bin/sh", "-c", "exit 3"]]])
    process = plan.launch()
    out, _ = process.communicate(timeout=20)
    assert process.returncode != 0
    assert "exit status 3" in out
    assert "engine\n" not in out


def test_a_successor_ends_the_orphans_of_its_predecessor_before_it_starts(
    plan: Plan, begin: Callable[..., Family]
) -> None:
    family = begin()
    family.behead()
    plan.file.with_suffix(".group").write_text(f"{family.group} {launch.boot_id()}")
    asks = f"from scripts.stack.launch import living; print('predecessor lives:', living({family.child}))"
    plan.write([sys.executable, "-c", asks], environment={"PYTHONPATH": ROOT})
    assert plan.said() == "predecessor lives: False\n"
