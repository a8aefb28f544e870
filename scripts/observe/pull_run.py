"""The pull run: which pages NiFi has handed out, and what of them is under way in the flow."""

import re
from dataclasses import dataclass

from nipyapi import canvas as states
from nipyapi import nifi

from nifi_flows import canvas, connection
from nifi_flows.connection import NiFi
from nifi_flows.errors import TransientError
from nifi_flows.pipeline import Pipeline
from nifi_processors.pull_run import run_key, url_digest

_SOURCE = "PullRun"  # type of the processor that hands out the pages
_RUN = ("source.name", "source.url", "run.seed", "run.page.size")  # parameters that make a run
_DURATION = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-z]+)\s*", re.IGNORECASE)
_UNITS = {"n": 1e-9, "ms": 1e-3, "mil": 1e-3, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


@dataclass(frozen=True)
class RunCursor:
    """The run as NiFi's state has it. run: its key. next_page: not known as handed over.

    first_page: the first one under this key; earlier ones had that of before the URL was part of it.
    """

    run: str
    next_page: int
    first_page: int = 1


@dataclass(frozen=True)
class RunState:
    """run, pages, interval: what the flow's parameters ask for; interval: seconds between two pages.

    cursor: None before the first page, and of a flow that pulls no run. active: threads at work.
    queued: connection name -> FlowFiles, only where there are any. ill: processors that are invalid or don't run.
    """

    cursor: RunCursor | None
    run: str
    pages: int
    interval: float
    queued: dict[str, int]
    active: int
    ill: list[str]


def read(address: NiFi, pipeline: Pipeline) -> RunState:
    """Raises PipelineError when NiFi does not answer or refuses, TransientError when the flow is not deployed."""
    with connection.connected(address):
        return on_canvas(pipeline)


def on_canvas(pipeline: Pipeline) -> RunState:
    """As `read`, where nipyapi is connected already; see `connection.connected`."""
    group = canvas.find_group(pipeline.name)
    if group is None:
        raise TransientError(f"NiFi has no flow {pipeline.name!r} on its canvas", "run ./scripts/run")
    status = nifi.FlowApi().get_process_group_status(group, recursive=True).process_group_status
    snapshot = status.aggregate_snapshot
    queued = {
        connection.name: connection.flow_files_queued
        for connection in canvas.connection_statuses(snapshot)
        if connection.flow_files_queued
    }
    listed = canvas.processors(group)
    ill = [
        f"{p.component.name}: {p.component.validation_status.lower()}, {p.component.state.lower()}"
        for p in listed
        if p.component.validation_status != "VALID" or p.component.state != "RUNNING"
    ]
    cursor = next((_cursor(p) for p in listed if p.component.type == _SOURCE), None)
    asked = canvas.parameters(group)
    source, url, seed, size = (asked.get(name) or "" for name in _RUN)
    run = run_key(source, url_digest(url), seed, size)
    interval = seconds_of(asked.get("run.interval") or "")
    pages = int(asked.get("run.pages") or 0)
    return RunState(cursor, run, pages, interval, queued, snapshot.active_thread_count, ill)


def _cursor(source: nifi.ProcessorEntity) -> RunCursor | None:
    state = states.get_processor_state(source).component_state
    entries = {
        entry.key: entry.value
        for scope in (state.local_state, state.cluster_state)
        for entry in getattr(scope, "state", None) or []
    }
    if "run" not in entries:
        return None
    return RunCursor(entries["run"], int(entries["next_page"]), int(entries.get("first_page") or 1))


def at_rest(found: RunState) -> bool:
    """Whether a finite run has handed out its last page and nothing is under way in the flow."""
    if found.cursor is None or not found.pages or found.queued or found.active:
        return False
    return found.cursor.run == found.run and found.cursor.next_page > found.pages


def describe(found: RunState) -> str:
    """The run in a few words, such as `3 of 10 pages handed out, 2 FlowFiles in 'retry'`."""
    handed = found.cursor.next_page - 1 if found.cursor and found.cursor.run == found.run else 0
    parts = [f"{handed} of {found.pages or 'endless'} pages handed out"]
    parts += [f"{count} FlowFiles in {name!r}" for name, count in found.queued.items()]
    return ", ".join(parts + found.ill)


def seconds_of(duration: str) -> float:
    """A duration as NiFi words it, such as `500 ms` or `5 mins`, in seconds; 0 for what is none."""
    found = _DURATION.fullmatch(duration)
    if not found:
        return 0.0
    count, unit = float(found[1]), found[2].lower()
    start = max((known for known in _UNITS if unit.startswith(known)), key=len, default="")
    return count * _UNITS.get(start, 0.0)
