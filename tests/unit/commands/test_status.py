"""`status`: what it says of engines that answer or not, and of a flow that cannot be read."""

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest

from nifi_flows.errors import TransientError
from scripts.commands import status
from scripts.observe import consumer, engines, pull_run
from scripts.observe.engines import Process
from scripts.observe.pull_run import RunCursor, RunState
from scripts.observe.topics import Position
from scripts.stack import configuration, credentials
from scripts.stack.credentials import Credentials
from scripts.stack.engine import Engine
from scripts.stack.supervise import Supervisor
from tests.unit.commands.command_line import Pipeline

RUN = RunState(RunCursor("embedded/users/10", 4), "embedded/users/10", 10, 0.0, {"retry": 2}, 1, [])


def fine(credentials: Credentials | None, patience: float) -> str:
    return "fine"


@pytest.fixture
def up(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """A stack of these engines, with the pull run RUN and a lag of 5."""
    monkeypatch.setattr(Supervisor, "require", lambda self: None)
    credentials.ensure(configuration.load().secrets)
    monkeypatch.setattr(pull_run, "read", lambda address, pipeline: RUN)
    monkeypatch.setattr(consumer, "positions", lambda settings, pipeline: {0: Position(0, 9, 4, lane="micro-batch")})

    def up(*described: Engine, state: str = "RUNNING", error: str = "") -> None:
        monkeypatch.setattr(status, "describe", lambda settings: described)
        monkeypatch.setattr(engines, "process", lambda settings, name: Process(state, 7, 3 * 1024**2, error))

    return up


@pytest.mark.parametrize("ready", [True, False])
def test_a_status_fails_unless_every_engine_answers(pipeline: Pipeline, up: Callable[..., None], ready: bool) -> None:
    def ask(known: Credentials | None, patience: float) -> str:
        assert known is not None
        if not ready:
            raise RuntimeError("connection refused\nby the kernel")
        return "version 1"

    address = "http://127.0.0.1:1/with/a/long/address"
    up(Engine("one", "One", address, {}, fine), Engine("two", "Two", "127.0.0.1:2", {}, ask))
    shown = pipeline("status")
    assert (shown.code, shown.err) == (0 if ready else 75, "")
    assert address in shown.out
    assert "memory in all: 0.0 GiB" in shown.out
    assert (
        "flow users: 3 of 10 pages handed out, 2 FlowFiles in 'retry'; 5 frames not yet consumed; "
        "the consumer's lane is micro-batch\n"
    ) in shown.out
    read = pipeline("status", "--output", "json")
    assert read.code == shown.code
    told = json.loads(read.out)
    assert told["engines"][1] == {
        "engine": "two",
        "state": "running",
        "ready": ready,
        "detail": "version 1" if ready else "connection refused",
        "memory": 3 * 1024**2,
        "uptime": 7,
        "address": "127.0.0.1:2",
    }
    assert told["flow"] == {
        "cursor": {"run": "embedded/users/10", "next_page": 4, "first_page": 1},
        "run": "embedded/users/10",
        "pages": 10,
        "queued": {"retry": 2},
        "active": 1,
        "ill": [],
        "summary": "3 of 10 pages handed out, 2 FlowFiles in 'retry'",
        "lag": 5,
        "lane": "micro-batch",
    }


@pytest.mark.parametrize(("optional", "code"), [(True, 0), (False, 75)])
def test_an_engine_may_be_stopped_only_where_nothing_is_amiss_then(
    pipeline: Pipeline, up: Callable[..., None], optional: bool, code: int
) -> None:
    def refused(known: Credentials | None, patience: float) -> str:
        raise TransientError("Connection refused")

    up(Engine("airflow-api", "Airflow", "here", {}, refused, optional=optional), state="STOPPED")
    assert pipeline("status").code == code


def test_an_engine_that_has_ended_says_why(pipeline: Pipeline, up: Callable[..., None]) -> None:
    def refused(known: Credentials | None, patience: float) -> str:
        raise TransientError("Connection refused")

    up(Engine("consumer", "Consumer", "here", {}, refused), state="EXITED", error="no table (make it)")
    read = pipeline("status", "--output", "json")
    (told,) = json.loads(read.out)["engines"]
    assert (read.code, told["state"], told["detail"]) == (75, "exited", "no table (make it)")


@pytest.mark.parametrize("ready", [True, False])
def test_an_engine_that_answers_runs_however_short(pipeline: Pipeline, up: Callable[..., None], ready: bool) -> None:
    def ask(known: Credentials | None, patience: float) -> str:
        if not ready:
            raise TransientError("Connection refused")
        return "fine"

    up(Engine("watch", "Watch", "here", {}, ask), state="STARTING")
    (told,) = json.loads(pipeline("status", "--output", "json").out)["engines"]
    assert told["state"] == ("running" if ready else "starting")


@pytest.mark.parametrize("away", ["NiFi", "Kafka"])
def test_a_flow_that_cannot_be_read_is_told_in_its_place(
    pipeline: Pipeline, up: Callable[..., None], monkeypatch: pytest.MonkeyPatch, away: str
) -> None:
    def fails(*arguments: Any) -> Any:
        raise TransientError(f"{away} does not answer")

    up(Engine("one", "One", "here", {}, fine))
    monkeypatch.setattr(*((pull_run, "read") if away == "NiFi" else (consumer, "positions")), fails)
    read = pipeline("status", "--output", "json")
    assert (read.code, json.loads(read.out)["flow"]) == (0, {"summary": f"{away} does not answer"})


def test_what_hangs_is_not_waited_for(
    pipeline: Pipeline, up: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    release = threading.Event()

    def hangs(*arguments: Any) -> Any:
        release.wait(20)

    up(Engine("one", "One", "here", {}, fine), Engine("two", "Two", "there", {}, hangs))
    monkeypatch.setattr(pull_run, "read", hangs)
    monkeypatch.setattr(status, "_PATIENCE", 0.5)
    read = pipeline("status", "--output", "json")
    release.set()
    told = json.loads(read.out)
    assert read.code == 75
    assert [engine["detail"] for engine in told["engines"]] == ["fine", "two gave no answer in 0.5 s"]
    assert told["flow"] == {"summary": "NiFi gave no answer in 0.5 s"}


def test_what_nobody_expects_is_no_word_of_the_flow(
    pipeline: Pipeline, up: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*arguments: Any) -> Any:
        raise ZeroDivisionError

    up(Engine("one", "One", "here", {}, fine))
    monkeypatch.setattr(pull_run, "read", fails)
    ended = pipeline("status")
    assert ended.code == 1
    assert "ZeroDivisionError" in ended.err
