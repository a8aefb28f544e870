"""Readings of a pipeline that is well, and what the monitor judges of readings that differ from them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from scripts.monitor import thresholds
from scripts.monitor.alerts import Deliveries
from scripts.monitor.areas.consumer import ConsumerReading
from scripts.monitor.areas.dead_letters import DeadLetterReading
from scripts.monitor.areas.drift import DriftReading
from scripts.monitor.areas.flow import FlowReading, Queue
from scripts.monitor.areas.freshness import FreshnessReading, NewestFrame
from scripts.monitor.areas.nifi import NiFiReading
from scripts.monitor.deploys import Deploys
from scripts.monitor.judge import judge
from scripts.monitor.parse import Batch
from scripts.monitor.readings import Readings
from scripts.monitor.record import Check, Record

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
LIMITS = thresholds.load()

FLOW = FlowReading(7, [], [Queue("stamped", 3, 40, 90, False)], [], "3 of endless pages handed out", False, 0.0)
CONSUMER = ConsumerReading("RUNNING", 71, {0: 5, 1: 7}, 0, Batch(9, 400, NOW - timedelta(seconds=2), 0.7))
LETTERS = DeadLetterReading(NOW - MINUTE, 0, 0, {}, 30_000, {0: 10}, {0: 30})
FRESH = FreshnessReading(
    NewestFrame("users/0#4", NOW, NOW - timedelta(seconds=1), True, False), NOW - timedelta(seconds=1)
)
WELL = Readings(
    {
        "nifi": NiFiReading("2.3.0"),
        "flow": FLOW,
        "drift": DriftReading([]),
        "consumer": CONSUMER,
        "dead_letters": LETTERS,
        "freshness": FRESH,
        "alerts": Deliveries(True, 0, "", "alerts.jsonl"),
    },
    Deploys(),
)


def well(deploys: Deploys = WELL.deploys, **read: Any) -> Readings:
    """These readings, all others being well."""
    return replace(WELL, of={**WELL.of, **read}, deploys=deploys)


def first(area: str, **read: Any) -> Check:
    """The check of one area at a first look, all others being well."""
    return judge(None, well(**read), LIMITS, NOW).checks[area]


def after(before: Record, minutes: int, **read: Any) -> Record:
    return judge(before, well(**read), LIMITS, NOW + minutes * MINUTE)
