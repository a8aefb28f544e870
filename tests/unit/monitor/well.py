"""Readings of a pipeline that is well, and what the monitor judges of readings that differ from them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from scripts.monitor import thresholds
from scripts.monitor.alerts import Deliveries
from scripts.monitor.areas import AREAS
from scripts.monitor.areas.dead_letters import DeadLetterReading
from scripts.monitor.areas.drift import DriftReading
from scripts.monitor.areas.engines import EngineReading
from scripts.monitor.areas.flow import FlowReading
from scripts.monitor.areas.nifi import NiFiReading
from scripts.monitor.deploys import Deploys
from scripts.monitor.judge import judge
from scripts.monitor.missing import Missing
from scripts.monitor.readings import Readings
from scripts.monitor.record import AreaCheck, Record
from scripts.observe.canvas import Queue
from scripts.observe.consumer import Batch, ConsumerState
from scripts.observe.machine import Disk
from scripts.observe.newest import Newest, NewestFrame
from scripts.observe.records import NewLetters
from scripts.observe.topics import Position

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
LIMITS = thresholds.load()

DISK = Disk(
    "PIPELINE_HOME", Path("/home/data"), Path("/home"), is_folder=True, writable=True, device=1, free=9 * 1024**3
)
FLOW = FlowReading(
    components=7,
    ill=[],
    queues=[Queue("stamped", 3, 40, 90, retries=False)],
    bulletins=[],
    run="3 of endless pages handed out",
    at_rest=False,
    interval=0.0,
)
CONSUMER = ConsumerState("RUNNING", 71, {}, Batch(9, 400, NOW - timedelta(seconds=2), 0.7))
LETTERS = NewLetters(0, 0, {}, 30_000, {0: 10}, {0: 30})
FRAME = NewestFrame("users/0#4", NOW, NOW - timedelta(seconds=1), arrived=True, refused=False)
FRESH = Newest(FRAME, NOW - timedelta(seconds=1))


def behind(*lags: int, lost: int = 0, **differs: Any) -> ConsumerState:
    """A consumer that is so far behind in each partition, and in the first has lost so many frames."""
    positions = {p: Position(lost if p == 0 else 0, lag + lost, 0) for p, lag in enumerate(lags)}
    return replace(CONSUMER, positions=positions, **differs)


def counted(since: datetime | None = NOW - MINUTE, **differs: Any) -> DeadLetterReading:
    """Dead letters since then."""
    return DeadLetterReading(since, replace(LETTERS, **differs))


WELL = Readings(
    {name: Missing("not read in these tests", reported=True) for name in AREAS}
    | {
        "engines": EngineReading({"kafka": "RUNNING", "airflow-api": "STOPPED"}, {}, {}, ""),
        "disk": DISK,
        "nifi": NiFiReading("2.3.0"),
        "flow": FLOW,
        "drift": DriftReading([]),
        "consumer": behind(5, 7),
        "dead_letters": counted(),
        "freshness": FRESH,
        "alerts": Deliveries(webhook=True, undelivered=0, why="", file="alerts.jsonl"),
    },
    Deploys(),
)


def well(deploys: Deploys = WELL.deploys, **read: Any) -> Readings:
    """These readings, all others being well."""
    return replace(WELL, of={**WELL.of, **read}, deploys=deploys)


def first(area: str, **read: Any) -> AreaCheck:
    """The check of one area at a first look, all others being well."""
    return judge(None, well(**read), LIMITS, NOW).checks[area]


def after(before: Record, minutes: int, **read: Any) -> Record:
    return judge(before, well(**read), LIMITS, NOW + minutes * MINUTE)
