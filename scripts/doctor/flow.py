"""The flow on the canvas: processors that do not run, queues that wait, and what NiFi complains of."""

from collections.abc import Iterator
from dataclasses import dataclass

from nipyapi import nifi

from nifi_flows import canvas, connection
from nifi_flows.connection import NiFi
from nifi_flows.pipeline import USERS
from nifi_flows.wording import one_line
from scripts.doctor.finding import Finding, ok, problem, warning

_FULL = 80  # percent of its back-pressure threshold
_BULLETINS = 5  # the last ones that are told


@dataclass(frozen=True)
class Queue:
    """retries: it leads back to where it comes from. percent: of its back-pressure threshold, by count or bytes."""

    name: str
    queued: int
    percent: int
    retries: bool


@dataclass(frozen=True)
class Processor:
    """state and validation as NiFi words them; errors: why it is invalid."""

    name: str
    state: str
    validation: str
    errors: list[str]


@dataclass(frozen=True)
class Bulletin:
    at: str
    level: str
    source: str
    message: str


@dataclass(frozen=True)
class Canvas:
    """bulletins: of the last minutes, as long as NiFi keeps them, the newest last."""

    queues: list[Queue]
    processors: list[Processor]
    bulletins: list[Bulletin]


def read(address: NiFi) -> Canvas | None:
    """None when the flow is not on the canvas. Raises PipelineError when NiFi does not answer or refuses."""
    with connection.connected(address):
        group = canvas.find_group(USERS.name)
        if group is None:
            return None
        status = nifi.FlowApi().get_process_group_status(group, recursive=True).process_group_status
        queues = [
            Queue(
                queue.name or f"{queue.source_name} to {queue.destination_name}",
                queue.flow_files_queued,
                max(queue.percent_use_count or 0, queue.percent_use_bytes or 0),
                queue.source_name == queue.destination_name,
            )
            for queue in canvas.connection_statuses(status.aggregate_snapshot)
        ]
        processors = [
            Processor(p.component.name, p.component.state, p.component.validation_status, p.component.validation_errors)
            for p in canvas.processors(group)
        ]
        listed = nifi.FlowApi().get_bulletin_board(limit=_BULLETINS).bulletin_board.bulletins
        readable = [entity.bulletin for entity in listed if entity.bulletin]
        bulletins = [Bulletin(b.timestamp, b.level, b.source_name or "NiFi", b.message or "") for b in readable]
    return Canvas(queues, processors, bulletins)


def check(canvas: Canvas | None) -> Iterator[Finding]:
    if canvas is None:
        yield problem("flow", f"flow {USERS.name} is not on the canvas", "./scripts/run deploys it")
        return
    yield from _check_processors(canvas.processors)
    yield from _check_queues(canvas.queues)
    for bulletin in canvas.bulletins[-_BULLETINS:]:
        if bulletin.level in ("WARN", "WARNING", "ERROR"):
            said = one_line(f"{bulletin.at} {bulletin.level} from {bulletin.source}: {bulletin.message}")
            yield warning("flow", said, "./scripts/pipeline logs nifi")


def _check_processors(processors: list[Processor]) -> Iterator[Finding]:
    wrong = False
    for processor in processors:
        name = repr(one_line(processor.name))
        finding = None
        if processor.validation == "VALIDATING":
            finding = problem("flow", f"processor {name} is being validated", "wait, then ask again", passing=True)
        elif processor.validation != "VALID":
            why = one_line("; ".join(processor.errors or ["NiFi gives no reason"]))
            finding = problem(
                "flow", f"processor {name} is invalid: {why}", "mend it on the canvas, or ./scripts/run to deploy anew"
            )
        elif processor.state == "DISABLED":
            finding = problem("flow", f"processor {name} is disabled", "enable it on the canvas, then ./scripts/run")
        elif processor.state != "RUNNING":
            finding = problem("flow", f"processor {name} is {processor.state.lower()}", "./scripts/run starts it")
        if finding:
            wrong = True
            yield finding
    if not wrong:
        yield ok("flow", f"{len(processors)} processors are valid and running")


def _check_queues(queues: list[Queue]) -> Iterator[Finding]:
    wrong = False
    for queue in queues:
        name = repr(one_line(queue.name))
        if queue.retries and queue.queued:
            what = f"{queue.queued} FlowFiles wait in {name} to be tried again"
            remedy = "./scripts/pipeline logs nifi says why; the flow goes on by itself once the cause is gone"
        elif queue.percent >= _FULL:
            what = f"queue {name} is {queue.percent} % full with {queue.queued} FlowFiles: what follows it is slower"
            remedy = "usual in a run; if it stays, see what follows it: ./scripts/pipeline status, lag below"
        else:
            continue
        wrong = True
        yield warning("flow", what, remedy)
    if not wrong:
        yield ok("flow", f"{sum(queue.queued for queue in queues)} FlowFiles in its queues")
