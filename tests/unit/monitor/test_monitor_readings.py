"""The monitor's readings: each area on its own, all of them at once with a deadline, from one look to the next."""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nifi_flows.canvas import Part
from nifi_flows.errors import TerminalError, TransientError
from nifi_flows.hold import Hold
from nifi_flows.pipeline import USERS
from scripts.deployment import state
from scripts.deployment.context import Context
from scripts.monitor import areas, deploys, monitor, readings
from scripts.monitor.area import ReadContext
from scripts.monitor.areas import dead_letters, drift, flow
from scripts.monitor.areas.dead_letters import DeadLetterMemory, DeadLetterReading
from scripts.monitor.areas.drift import DriftReading
from scripts.monitor.areas.flow import FlowReading, ill
from scripts.monitor.areas.nifi import NiFiReading
from scripts.monitor.deploys import Deploys
from scripts.monitor.missing import Missing
from scripts.observe import canvas, pull_run, records
from scripts.observe.canvas import Canvas
from scripts.observe.pull_run import RunCursor, RunState
from scripts.stack import configuration, credentials
from scripts.stack.settings import Settings
from tests.unit.monitor.well import FLOW, LETTERS, LIMITS, NOW, WELL, counted

HIDDEN = Missing("not known: NiFi does not answer", reported=True)


def fails(error: Exception) -> Any:
    raise error


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("PIPELINE_HOME", str(tmp_path))
    monkeypatch.delenv("PIPELINE_ALERT_WEBHOOK", raising=False)
    return configuration.load()


def read_by(monkeypatch: pytest.MonkeyPatch, **reads: Callable[[ReadContext[Any, Any]], Any]) -> None:
    """Let these areas be read so, and have nothing going on around the flow."""
    changed = {name: replace(area, read=reads.get(name, area.read)) for name, area in areas.AREAS.items()}
    monkeypatch.setattr(areas, "AREAS", changed)
    monkeypatch.setattr(deploys, "read", lambda settings: Deploys())


def well_but(monkeypatch: pytest.MonkeyPatch, **reads: Callable[[ReadContext[Any, Any]], Any]) -> None:
    """Let these areas be read so, and all others be well."""
    read_by(monkeypatch, **{name: lambda context, name=name: WELL.of[name] for name in areas.AREAS} | reads)


# All at once


def test_areas_are_read_at_once_and_each_fails_on_its_own(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    met = threading.Barrier(2)

    def meet(context: Any) -> int:
        return met.wait(5)

    well_but(monkeypatch, nifi=meet, flow=lambda context: fails(ValueError("odd")), alerts=meet)
    found = readings.read(settings, USERS, LIMITS, {}).of
    assert list(found) == list(areas.AREAS)
    assert {found["nifi"], found["alerts"]} == {0, 1}
    assert (found["flow"], found["drift"]) == (Missing("cannot be read: ValueError: odd"), WELL.of["drift"])


def test_an_engine_that_is_down_is_told_once(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    down = TransientError("NiFi at https://x does not answer:\nrefused")
    well_but(monkeypatch, nifi=lambda context: fails(down))
    found = readings.read(settings, USERS, LIMITS, {}).of
    assert found["nifi"] == Missing("NiFi at https://x does not answer: refused")
    assert found["flow"] == found["drift"] == HIDDEN


def test_an_engine_that_hangs_does_not_keep_the_look_waiting(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = threading.Event()
    begun = time.monotonic()
    hangs = {name: lambda context: release.wait(20) for name in ("nifi", "dead_letters")}
    well_but(monkeypatch, **hangs)
    monkeypatch.setattr(deploys, "read", lambda settings: release.wait(20))
    seen = readings.read(settings, USERS, replace(LIMITS, look_seconds=0.2), {})
    assert time.monotonic() - begun < 5
    release.set()
    late = Missing("no answer within 0.2 s")
    assert seen.of["nifi"] == seen.of["dead_letters"] == late
    assert seen.of["flow"] == seen.of["drift"] == HIDDEN
    assert seen.of["freshness"] == Missing("not known: it was not reached in time", reported=True)
    assert (seen.of["consumer"], seen.of["alerts"]) == (WELL.of["consumer"], WELL.of["alerts"])
    assert seen.deploys == Deploys(trouble=("hold, deploys and git: no answer within 0.2 s",))


# An area by itself


def context(settings: Settings, area: str, memory: Any = None, **read: Any) -> ReadContext[Any, Any]:
    return ReadContext(settings, USERS, LIMITS.areas.get(area), memory, read)


def test_a_component_is_ill_unless_it_is_valid_and_runs() -> None:
    well = Part("1", "processor", "Fetch page", "RUNNING", "VALID", [])
    assert ill(well) == ""
    assert ill(replace(well, kind="controller service", state="ENABLED")) == ""
    assert ill(replace(well, state="STOPPED")) == "processor 'Fetch page' is stopped"
    assert ill(replace(well, state="DISABLED")) == "", "the flow has taken it out"
    assert "disabled" in ill(replace(well, kind="controller service", state="DISABLED"))
    assert "no URL" in ill(replace(well, validation="INVALID", state="STOPPED", errors=["no URL"]))
    assert "validated" in ill(replace(well, validation="VALIDATING"))
    assert "no code" in ill(replace(well, ghost=True))


@pytest.fixture
def nifi(monkeypatch: pytest.MonkeyPatch) -> None:
    """Access to a NiFi that is only pretended."""
    access = SimpleNamespace(ca=Path(), admin_certificate=Path(), admin_key=Path())
    monkeypatch.setattr(credentials, "require", lambda secrets: access)


@pytest.mark.usefixtures("nifi")
def test_the_flow_is_read_with_its_run(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = Canvas([Part("1", "processor", "Fetch page", "STOPPED", "VALID", [])], FLOW.queues, [])
    run = RunState(RunCursor("embedded/a/5", 4), "embedded/a/5", 3, 60.0, {}, 0, [])
    monkeypatch.setattr(canvas, "read", lambda address, pipeline: seen)
    monkeypatch.setattr(pull_run, "read", lambda address, pipeline: run)
    stopped = ["processor 'Fetch page' is stopped"]
    expected = FlowReading(1, stopped, FLOW.queues, [], "3 of 3 pages handed out", at_rest=True, interval=60.0)
    assert flow.read(context(settings, "flow")) == expected
    monkeypatch.setattr(pull_run, "read", lambda address, pipeline: fails(KeyError("run")))
    unknown = replace(expected, run="", at_rest=None, interval=0.0)
    assert flow.read(context(settings, "flow")) == unknown, "a flow that pulls no run is read all the same"
    monkeypatch.setattr(canvas, "read", lambda address, pipeline: None)
    assert flow.read(context(settings, "flow")) is None


def test_dead_letters_are_read_from_where_the_look_before_ended(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def new_letters(settings: Settings, *given: Any) -> Any:
        asked.append(given)
        return LETTERS

    monkeypatch.setattr(records, "new_letters", new_letters)
    most = LIMITS.areas["dead_letters"].most_read
    assert dead_letters.read(context(settings, "dead_letters")) == counted(None)
    memory = DeadLetterMemory({0: 1}, {0: 2}, NOW)
    assert dead_letters.read(context(settings, "dead_letters", memory)) == counted(NOW)
    assert asked == [(USERS, None, None, most), (USERS, {0: 1}, {0: 2}, most)]


def test_a_flow_that_is_not_on_the_canvas_is_no_drift(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "drift", lambda context: ["changed"])
    gone = drift.read(context(settings, "drift", flow=None))
    assert gone == Missing("not known: the flow is not on the canvas", reported=True)
    for other in (FLOW, Missing("no answer")):
        assert drift.read(context(settings, "drift", flow=other)) == DriftReading(["changed"])


# What goes on around the flow


def test_what_goes_on_around_the_flow_is_read(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {"held": Hold("ann", "trying", NOW), "deploying": "bob", "new_version": "v7"}
    for name, answer in answers.items():
        monkeypatch.setattr(state, name, lambda settings, answer=answer: answer)
    held = {"who": "ann", "why": "trying", "since": str(NOW)}
    assert deploys.read(Context(settings, USERS)) == Deploys(held, "bob", "v7")
    monkeypatch.setattr(state, "held", lambda settings: fails(TerminalError("no hold")))
    monkeypatch.setattr(state, "deploying", lambda settings: None)
    assert deploys.read(Context(settings, USERS)) == Deploys(None, None, "v7", ("hold: no hold",))


# From look to look


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[DeadLetterMemory | None]:
    """What each look remembered of dead letters; its readings say that somebody changed the flow."""
    memories: list[DeadLetterMemory | None] = []

    def letters(context: ReadContext[Any, DeadLetterMemory]) -> DeadLetterReading:
        memories.append(context.memory)
        since = context.memory.counted if context.memory else None
        return counted(since, ends={0: 5 * len(memories)})

    read_by(
        monkeypatch,
        **{name: lambda context: Missing("not read", reported=True) for name in areas.AREAS}
        | {
            "drift": lambda context: DriftReading(["changed"]),
            "dead_letters": letters,
            "alerts": lambda context: WELL.of["alerts"],
        },
    )
    return memories


def test_a_look_goes_on_from_the_one_before(settings: Settings, seen: list[DeadLetterMemory | None]) -> None:
    assert monitor.last(settings) is None
    first, second = monitor.look(settings, USERS), monitor.look(settings, USERS)
    assert (first.verdict, second.verdict) == ("suspect", "ill")
    assert [memory and memory.letters for memory in seen] == [None, {0: 5}]
    assert monitor.last(settings) == second
    assert (settings.home / "monitor" / "record.json").stat().st_mode & 0o777 == 0o600
    assert datetime.now(UTC) - second.at < timedelta(minutes=1)


@pytest.mark.parametrize("garbage", [b"", b"{", b"[]", b"\xff", b'{"at": 1}', b"[" * 100_000])
def test_a_record_that_is_none_counts_for_none_and_is_told(
    settings: Settings, seen: list[DeadLetterMemory | None], garbage: bytes
) -> None:
    monitor.look(settings, USERS)
    (settings.home / "monitor" / "record.json").write_bytes(garbage)
    assert monitor.last(settings) is None
    record = monitor.look(settings, USERS)
    assert record.checks["drift"].strikes == 1
    assert "could not be read" in record.says[-1]
    assert json.loads((settings.home / "monitor" / "record.json").read_bytes()) == record.as_json()


def test_looks_at_the_same_time_wait_for_each_other(settings: Settings, seen: list[DeadLetterMemory | None]) -> None:
    threads = [threading.Thread(target=monitor.look, args=(settings, USERS)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    record = monitor.last(settings)
    assert record is not None
    assert record.checks["drift"].strikes == 4


def test_a_look_without_a_stack_is_ill_without_an_error(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    read_by(
        monkeypatch,
        **{engine: lambda context: fails(TerminalError("nothing is set up")) for engine in ("nifi", "consumer")},
    )
    monkeypatch.setattr(deploys, "read", lambda settings: fails(TerminalError("no ledger")))
    record = monitor.look(settings, USERS)
    verdicts = {area: check.verdict for area, check in record.checks.items()}
    assert {verdicts[area] for area in ("flow", "drift", "dead_letters", "freshness")} == {"unknown"}
    assert {verdicts[area] for area in ("nifi", "consumer")} == {"suspect"}
    assert verdicts["alerts"] == "ok"
    assert any("no ledger" in said for said in record.says)


def test_an_area_knows_what_was_read_before_it(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also that it could not be read."""
    known: list[Any] = []

    def drifts(context: ReadContext[Any, Any]) -> DriftReading:
        known.append(dict(context.readings))
        return DriftReading([])

    well_but(monkeypatch, nifi=lambda context: NiFiReading("2"), flow=lambda context: fails(ValueError()), drift=drifts)
    readings.read(settings, USERS, LIMITS, {})
    assert (known[0]["nifi"], known[0]["flow"]) == (NiFiReading("2"), Missing("cannot be read: ValueError:"))
