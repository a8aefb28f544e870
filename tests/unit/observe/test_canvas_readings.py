"""What NiFi shows of the flow, from answers as its REST API gives them."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from nipyapi import canvas as states
from nipyapi import nifi

from nifi_flows import canvas as flows
from nifi_flows import connection
from nifi_flows.canvas import Part
from nifi_flows.connection import NiFi
from nifi_flows.errors import TransientError
from nifi_flows.pipeline import USERS
from scripts.observe import canvas, pull_run
from scripts.observe.canvas import Canvas, Queue, age_of
from scripts.observe.pull_run import RunCursor, RunState

HERE = NiFi("https://127.0.0.1:1/nifi-api", Path("ca"), Path("certificate"), Path("key"))
NOW = datetime(2026, 3, 1, 12, 0, 5, tzinfo=UTC)
PARTS = [
    Part("1", "processor", "Pull run", "RUNNING", "VALID", []),
    Part("2", "port", "out", "RUNNING", "VALID", []),
]


def status(**changed: Any) -> Any:
    queue = {
        "name": "page",
        "source_name": "Pull run",
        "destination_name": "Fetch pages",
        "flow_files_queued": 0,
        "flow_files_out": 0,
        "percent_use_count": None,
        "percent_use_bytes": None,
    }
    return SimpleNamespace(connection_status_snapshot=SimpleNamespace(**{**queue, **changed}))


def processor(name: str, kind: str, state: str = "RUNNING", validation: str = "VALID") -> Any:
    return SimpleNamespace(
        id=name, component=SimpleNamespace(name=name, type=kind, state=state, validation_status=validation)
    )


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """What the canvas has, to be changed by a test."""
    told = SimpleNamespace(
        groups={USERS.name: "g"},
        queues=[status()],
        active=0,
        bulletins=[],
        processors=[processor("Pull run", "PullRun"), processor("Fetch pages", "InvokeHTTP")],
        parameters={},
        state=None,
    )

    @contextmanager
    def connected(address: NiFi) -> Iterator[None]:
        assert address is HERE
        yield

    def group_status(group: str, recursive: bool) -> Any:
        snapshot = SimpleNamespace(
            connection_status_snapshots=told.queues,
            process_group_status_snapshots=[],
            active_thread_count=told.active,
        )
        return SimpleNamespace(process_group_status=SimpleNamespace(aggregate_snapshot=snapshot))

    def board(limit: int) -> Any:
        return SimpleNamespace(bulletin_board=SimpleNamespace(bulletins=told.bulletins))

    def state_of(source: Any) -> Any:
        assert source.component.type == "PullRun"
        local, cluster = SimpleNamespace(state=told.state and entries(told.state)), SimpleNamespace(state=None)
        return SimpleNamespace(component_state=SimpleNamespace(local_state=local, cluster_state=cluster))

    api = SimpleNamespace(get_process_group_status=group_status, get_bulletin_board=board)
    monkeypatch.setattr(connection, "connected", connected)
    monkeypatch.setattr(nifi, "FlowApi", lambda: api)
    monkeypatch.setattr(states, "get_processor_state", state_of)
    monkeypatch.setattr(flows, "find_group", told.groups.get)
    monkeypatch.setattr(flows, "parts", lambda group: PARTS)
    monkeypatch.setattr(flows, "processors", lambda group: told.processors)
    monkeypatch.setattr(flows, "parameters", lambda group: told.parameters)
    return told


def entries(state: Mapping[str, str]) -> list[Any]:
    return [SimpleNamespace(key=key, value=value) for key, value in state.items()]


def read() -> Canvas:
    found = canvas.read(HERE, USERS)
    assert found is not None
    return found


def test_a_flow_that_is_not_there_is_none(shown: SimpleNamespace) -> None:
    shown.groups.clear()
    assert canvas.read(HERE, USERS) is None
    with pytest.raises(TransientError, match="NiFi has no flow 'users' on its canvas"):
        pull_run.read(HERE, USERS)


def test_the_components_are_there_and_the_processors_among_them(shown: SimpleNamespace) -> None:
    found = read()
    assert found.parts == PARTS
    assert found.processors == PARTS[:1]


def test_queues_are_told_by_their_fuller_side(shown: SimpleNamespace) -> None:
    shown.queues = [
        status(flow_files_queued=3, percent_use_count=4, percent_use_bytes=90, flow_files_out=7),
        status(name="", destination_name="Pull run", flow_files_queued=None, percent_use_count=5),
    ]
    assert read().queues == [Queue("page", 3, 90, 7, False), Queue("Pull run to Pull run", 0, 5, 0, True)]


def test_bulletins_that_may_be_read_are(shown: SimpleNamespace) -> None:
    told = SimpleNamespace(timestamp="12:00:00 UTC", level="ERROR", source_name=None, message=None)
    shown.bulletins = [SimpleNamespace(bulletin=None), SimpleNamespace(bulletin=told)]
    (found,) = read().bulletins
    assert (found.at, found.level, found.source, found.message) == ("12:00:00 UTC", "ERROR", "NiFi", "")
    assert 0 <= found.age < 86_400
    shown.bulletins = None
    assert read().bulletins == []


def test_the_age_of_a_bulletin_is_told_by_its_time_of_day() -> None:
    assert age_of("11:59:05 UTC", NOW) == 60
    assert age_of("23:59:55 UTC", NOW.replace(hour=0)) == 10
    assert age_of("", NOW) == 0


def test_the_pull_run_is_read_with_what_was_asked_for_and_what_is_under_way(shown: SimpleNamespace) -> None:
    shown.parameters = {
        "source.name": "embedded",
        "source.url": "http://s.test/api/",
        "run.seed": "users",
        "run.page.size": "10",
        "run.pages": "3",
        "run.interval": "2 sec",
        "source.token": None,
    }
    shown.state = {"run": "embedded@325265a0/users/10", "next_page": "4", "first_page": "2"}
    shown.queues = [status(flow_files_queued=2), status(name="retry")]
    shown.active = 1
    shown.processors.append(processor("Fetch pages", "InvokeHTTP", "STOPPED", "INVALID"))
    assert pull_run.read(HERE, USERS) == RunState(
        RunCursor("embedded@325265a0/users/10", 4, first_page=2),
        "embedded@325265a0/users/10",
        3,
        2.0,
        {"page": 2},
        1,
        ["Fetch pages: invalid, stopped"],
    )


def test_the_cursor_of_an_earlier_version_is_read_too(shown: SimpleNamespace) -> None:
    shown.state = {"run": "embedded/users/10", "next_page": "4"}
    assert pull_run.read(HERE, USERS).cursor == RunCursor("embedded/users/10", 4)


def test_before_the_first_page_there_is_no_cursor(shown: SimpleNamespace) -> None:
    assert pull_run.read(HERE, USERS) == RunState(None, "@e3b0c442//", 0, 0.0, {}, 0, [])
    shown.processors = [processor("Fetch pages", "InvokeHTTP")]
    assert pull_run.read(HERE, USERS).cursor is None, "it pulls no run"
