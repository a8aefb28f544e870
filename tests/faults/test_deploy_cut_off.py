"""Deploys that end in the middle: killed, or with NiFi killed under them. The next one ends well; nothing is lost."""

import multiprocessing
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from nifi_flows.errors import PipelineError, TransientError
from scripts.deployment import service, state
from scripts.stack.supervise import Supervisor
from tests.engines import versions
from tests.engines.conftest import LocalStack
from tests.engines.test_deploy import as_it_was, canvas_of, load, stop  # noqa: F401 - as_it_was is a fixture

# What is deployed, and the line of the step at which the deploying process dies.
CUTS = [
    ([versions.other_comment], "replaced in place"),
    ([versions.other_comment], "set flow.version"),
    ([versions.other_comment, versions.other_code], "loading the processors"),
]


def test_the_next_deploy_ends_one_whose_process_was_killed(stack: LocalStack, tmp_path: Path) -> None:
    with load(stack, f"killed {time.time_ns()}"):
        for number, (changes, step) in enumerate(CUTS):
            tree = versions.tree(tmp_path / str(number), *changes)
            process = multiprocessing.get_context("spawn").Process(target=_deploy_until, args=(stack, tree, step))
            process.start()
            process.join(180)
            assert process.exitcode == -signal.SIGKILL, step
            assert state.unfinished(versions.context(stack)) is not None

            said: list[str] = []
            done = service.deploy(versions.context(stack, tree, said.append))
            assert any("took the lock over" in line for line in said)
            assert any("did not end; this one ends it" in line for line in said)
            assert state.unfinished(versions.context(stack)) is None
            assert state.deployed(versions.context(stack)).version == done.version  # type: ignore[union-attr]
            assert state.drift(versions.context(stack)) == []


def _deploy_until(stack: LocalStack, tree: Path, step: str) -> None:
    def report(line: str) -> None:
        if line.startswith("loading") and step.startswith("loading"):  # it dies while NiFi is being stopped
            threading.Timer(3, os.kill, (os.getpid(), signal.SIGKILL)).start()
        elif line.startswith(step):
            os.kill(os.getpid(), signal.SIGKILL)

    service.deploy(versions.context(stack, tree, report))


def test_a_deploy_survives_a_nifi_that_is_killed_under_it(stack: LocalStack, tmp_path: Path) -> None:
    supervisor = Supervisor(stack.settings)
    tree = versions.tree(tmp_path / "tree", versions.other_comment)
    killed: list[int] = []

    def report(line: str) -> None:
        if line.startswith("replaced") and not killed:
            killed.append(supervisor.pid("nifi"))
            os.kill(killed[0], signal.SIGKILL)

    with load(stack, f"nifi killed {time.time_ns()}"):
        done = service.deploy(versions.context(stack, tree, report))
        assert killed and supervisor.pid("nifi") != killed[0]
        assert state.deployed(versions.context(stack)).version == done.version  # type: ignore[union-attr]
        assert state.drift(versions.context(stack)) == []


def test_a_queue_that_does_not_drain_stops_the_deploy_and_the_sources_run_again(
    stack: LocalStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nifi_flows.drain._DRAIN", 5.0)
    tree = versions.tree(tmp_path / "tree", versions.other_queue)
    with load(stack, f"undrained {time.time_ns()}"):
        before = state.deployed(versions.context(stack))
        with canvas_of(stack) as group:
            stop(group, "Publish users")
        time.sleep(3)
        with pytest.raises(TransientError, match="does not drain") as refused:
            service.deploy(versions.context(stack, tree))
        assert "FlowFiles" in str(refused.value)
        assert state.deployed(versions.context(stack)) == before
        assert state.drift(versions.context(stack)) == ["processor 'Publish users' is stopped"]
        service.redeploy(versions.context(stack))


def test_a_nifi_that_is_down_is_said_and_nothing_is_changed(stack: LocalStack, tmp_path: Path) -> None:
    supervisor = Supervisor(stack.settings)
    before = state.deployed(versions.context(stack))
    supervisor.stop_engine("nifi")
    try:
        with pytest.raises(PipelineError, match="does not answer"):
            service.deploy(versions.context(stack, versions.tree(tmp_path / "tree", versions.other_comment)))
        told = stack.pipeline("flow", "drift")
        assert told.code == 75 and "does not answer" in told.err
        assert state.deployed(versions.context(stack)) == before
        assert state.unfinished(versions.context(stack)) is None
    finally:
        stack.run()
    assert state.drift(versions.context(stack)) == []
