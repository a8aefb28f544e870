"""The flow as NiFi's canvas shows it: its components, its queues, and what NiFi complains of."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from nipyapi import nifi

from nifi_flows import canvas, connection
from nifi_flows.canvas import Part
from nifi_flows.connection import NiFi
from nifi_flows.pipeline import Pipeline

_BULLETINS = 50  # that NiFi is asked for
_TIME_OF_DAY = re.compile(r"(\d\d):(\d\d):(\d\d)")


@dataclass(frozen=True)
class Queue:
    """percent: of its back-pressure threshold, by count or bytes. moved: FlowFiles that left it in five minutes.

    retries: it leads back to where it comes from.
    """

    name: str
    queued: int
    percent: int
    moved: int
    retries: bool


@dataclass(frozen=True)
class Bulletin:
    """at: the time of day as NiFi words it. age: seconds since then."""

    at: str
    age: float
    level: str
    source: str
    message: str


@dataclass(frozen=True)
class Canvas:
    """parts: processors, ports and controller services. bulletins: of the last minutes, the newest last."""

    parts: list[Part]
    queues: list[Queue]
    bulletins: list[Bulletin]

    @property
    def processors(self) -> list[Part]:
        return [part for part in self.parts if part.kind == "processor"]


def version(address: NiFi) -> str:
    """NiFi's own. Raises PipelineError when NiFi does not answer or refuses."""
    with connection.connected(address):
        return str(nifi.FlowApi().get_about_info().about.version)


def read(address: NiFi, pipeline: Pipeline) -> Canvas | None:
    """None when the flow is not on the canvas. Raises PipelineError when NiFi does not answer or refuses."""
    with connection.connected(address):
        group = canvas.find_group(pipeline.name)
        if group is None:
            return None
        parts = canvas.parts(group)
        status = nifi.FlowApi().get_process_group_status(group, recursive=True).process_group_status
        board = nifi.FlowApi().get_bulletin_board(limit=_BULLETINS).bulletin_board
    now = datetime.now().astimezone()
    return Canvas(
        parts,
        [_queue(queue) for queue in canvas.connection_statuses(status.aggregate_snapshot)],
        [_bulletin(entity.bulletin, now) for entity in board.bulletins or [] if entity.bulletin],
    )


def _queue(status: Any) -> Queue:
    return Queue(
        status.name or f"{status.source_name} to {status.destination_name}",
        status.flow_files_queued or 0,
        max(status.percent_use_count or 0, status.percent_use_bytes or 0),
        status.flow_files_out or 0,
        status.source_name == status.destination_name,  # NiFi 2.3 leaves the ids out here
    )


def _bulletin(bulletin: Any, now: datetime) -> Bulletin:
    at = bulletin.timestamp or ""
    return Bulletin(at, age_of(at, now), bulletin.level, bulletin.source_name or "NiFi", bulletin.message or "")


def age_of(timestamp: str, now: datetime) -> float:
    """Seconds since a bulletin's time of day, such as `14:03:12 UTC`, in the time zone of `now`; 0 when it says none.

    NiFi keeps bulletins for some minutes, so what seems to come is of yesterday.
    """
    found = _TIME_OF_DAY.search(timestamp)
    if not found:
        return 0.0
    hours, minutes, seconds = map(int, found.groups())
    passed = (now.hour - hours) * 3600 + (now.minute - minutes) * 60 + now.second - seconds
    return float(passed % 86_400)
