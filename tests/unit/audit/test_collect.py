"""The audit waits for what is under way, and no longer than it says."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from nifi_flows.connection import NiFi
from nifi_flows.errors import TransientError
from nifi_flows.pipeline import USERS
from scripts.audit import collect
from scripts.observe import consumer, pull_run
from scripts.observe.pull_run import RunCursor, RunState
from scripts.stack.settings import Settings
from tests.unit.flows.fake_nifi import Clock

HERE = NiFi("https://127.0.0.1:1/nifi-api", Path("ca"), Path("certificate"), Path("key"))
DONE = RunState(RunCursor("a", 4), "a", 3, 0.0, {}, 0, [])
BUSY = RunState(RunCursor("a", 2), "a", 3, 0.0, {"page": 1}, 0, [])


def looks(monkeypatch: pytest.MonkeyPatch, states: list[tuple[RunState, int]]) -> Iterator[tuple[RunState, int]]:
    """Give these states one after the other, and the last one for ever; nobody really sleeps."""
    left = iter(states)
    state = states[0]

    def run(address: NiFi, pipeline: object) -> RunState:
        nonlocal state
        state = next(left, state)
        return state[0]

    monkeypatch.setattr(pull_run, "read", run)
    monkeypatch.setattr(consumer, "unfinished", lambda settings, pipeline: state[1])
    monkeypatch.setattr(collect, "time", Clock())
    return left


def test_what_is_under_way_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    left = looks(monkeypatch, [(BUSY, 0), (DONE, 5), (DONE, 0), (BUSY, 9)])
    collect.settle(Settings(), HERE, USERS)
    assert len(list(left)) == 1


def test_what_stays_under_way_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    looks(monkeypatch, [(BUSY, 7)])
    with pytest.raises(TransientError) as raised:
        collect.settle(Settings(), HERE, USERS)
    assert str(raised.value) == (
        "records are still under way after 60 s: 1 of 3 pages handed out, 1 FlowFiles in 'page', "
        "7 frames not yet consumed"
    )


def test_a_stack_that_is_down_is_not_audited(tmp_path: Path) -> None:
    with pytest.raises(TransientError, match="the stack is not running"):
        collect.collect(Settings(home=tmp_path), USERS)
