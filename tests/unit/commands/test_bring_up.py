"""`run` waits for rows as long as somebody can bring them."""

import contextlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from nifi_flows.errors import TerminalError, TransientError
from nifi_flows.pipeline import USERS
from scripts.commands import bring_up
from scripts.observe import consumer, pull_run, rows
from scripts.observe.pull_run import RunCursor, RunState
from scripts.stack.engines import cassandra, kafka
from scripts.stack.settings import Settings
from scripts.stack.stack import Stack
from scripts.stack.supervise import Standing, Supervisor
from tests.unit.flows.fake_nifi import Clock

UNDER_WAY = RunState(None, "run", 10, 0.0, {}, 0, [])
ENDLESS = replace(UNDER_WAY, pages=0)
AT_REST = replace(UNDER_WAY, cursor=RunCursor("run", 11))
SILENT = TransientError("the stack's supervisor does not answer", "wait")


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Wait for rows beside a supervisor that has the consumer in these states, one a second; returns those left.

    run: what NiFi says of the pull run. arrived: the look, one a second, that finds the first row.
    """
    clock = Clock()
    settings = Settings(home=tmp_path)
    settings.logs.mkdir(parents=True)

    def watched(run: RunState, *states: str | TransientError, arrived: int = 0) -> list[str]:
        left = list(states)

        def standing(self: Supervisor, name: str) -> Standing:
            state = left.pop(0)
            if isinstance(state, TransientError):
                raise state
            return Standing(state, 0, 0)

        monkeypatch.setattr(Supervisor, "standing", standing)
        monkeypatch.setattr(pull_run, "read", lambda *arguments: run)
        monkeypatch.setattr(rows, "any_row", lambda *arguments: clock.now >= arrived)
        made = SimpleNamespace(settings=settings, credentials=None, nifi=None, supervisor=Supervisor(settings))
        bring_up._watch(cast(Stack, cast(Any, made)), USERS, 0.0)
        return [str(state) for state in left]

    monkeypatch.setattr(bring_up, "time", clock)
    monkeypatch.setattr(cassandra, "session", lambda *arguments: contextlib.nullcontext())
    monkeypatch.setattr(consumer, "unfinished", lambda *arguments: 0)
    monkeypatch.setattr(bring_up, "wait_ready", lambda *arguments: None)
    return watched


@pytest.mark.parametrize("run", [UNDER_WAY, ENDLESS, AT_REST])
@pytest.mark.parametrize("state", ["EXITED", "FATAL"])
@pytest.mark.parametrize(
    ("log", "why"),
    [("2026-03-01 12:00:00,000 ERROR spark_consumer: no column age\n", "no column age"), ("", "see its log")],
)
def test_a_consumer_that_ended_for_good_meanwhile_is_told_with_its_error(
    tmp_path: Path, watched: Callable[..., list[str]], run: RunState, state: str, log: str, why: str
) -> None:
    (Settings(home=tmp_path).logs / "consumer.log").write_text(log)
    with pytest.raises(TerminalError, match=f"^the consumer has ended: {why}$"):
        watched(run, "RUNNING", "BACKOFF", state, arrived=2)


def test_a_consumer_that_somebody_stops_for_a_while_is_told_once_and_waited_for(
    watched: Callable[..., list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert watched(AT_REST, "RUNNING", *["STOPPED"] * 200, *["RUNNING"] * 100, arrived=300) == []
    assert capsys.readouterr().err.count("the consumer is stopped: ./scripts/pipeline consumer start\n") == 1


def test_rows_that_do_not_come_are_not_waited_for(watched: Callable[..., list[str]]) -> None:
    with pytest.raises(TransientError, match=r"^no row after 120 s: 10 of 10 pages handed out"):
        watched(AT_REST, *["RUNNING"] * 130, arrived=1000)


def test_a_supervisor_that_is_silent_for_a_while_is_waited_for(watched: Callable[..., list[str]]) -> None:
    assert watched(AT_REST, "RUNNING", *[SILENT] * 100, "RUNNING", arrived=100) == []
    with pytest.raises(TransientError, match="supervisor does not answer"):
        watched(AT_REST, "RUNNING", *[SILENT] * 130, arrived=1000)


@pytest.mark.parametrize("state", ["RUNNING", "DOWN"])
def test_partitions_that_cannot_be_had_are_refused_before_anything_is_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    class PreparedError(Exception):
        pass

    def prepare(*_: Any) -> Any:
        raise PreparedError

    def check(*_: Any) -> None:
        raise TerminalError("topic t has 3 partitions")

    monkeypatch.setattr(Supervisor, "state", lambda self, name: state)
    monkeypatch.setattr(bring_up, "prepare", prepare)
    monkeypatch.setattr(kafka, "check_partitions", check)
    with pytest.raises(TerminalError if state == "RUNNING" else PreparedError):
        bring_up.bring_up(Settings(home=tmp_path), USERS, {}, None, airflow=False)


def test_a_kafka_that_does_not_answer_is_left_to_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepared: list[Any] = []

    def prepare(*asked: Any) -> Any:
        prepared.append(asked)
        raise TerminalError("enough")

    def check(*_: Any) -> None:
        raise TransientError("no answer")

    monkeypatch.setattr(Supervisor, "state", lambda self, name: "RUNNING")
    monkeypatch.setattr(bring_up, "prepare", prepare)
    monkeypatch.setattr(kafka, "check_partitions", check)
    with pytest.raises(TerminalError, match="enough"):
        bring_up.bring_up(Settings(home=tmp_path), USERS, {}, None, airflow=False)
    assert prepared
