"""What the canvas means: processors that do not run, queues that wait, and what NiFi complains of."""

from collections.abc import Iterator

from nifi_flows.canvas import Part
from nifi_flows.pipeline import Pipeline
from nifi_flows.wording import one_line
from scripts.doctor.diagnosis import Diagnosis, ok, problem, warning
from scripts.observe.canvas import Canvas, Queue

_FULL = 80  # percent of its back-pressure threshold
_BULLETINS = 5  # the last ones count


def check_flow(canvas: Canvas | None, pipeline: Pipeline) -> Iterator[Diagnosis]:
    if canvas is None:
        yield problem("flow", f"flow {pipeline.name} is not on the canvas", "./scripts/run deploys it")
        return
    yield from _check_processors(canvas.processors)
    yield from _check_queues(canvas.queues)
    for bulletin in canvas.bulletins[-_BULLETINS:]:
        if bulletin.level in ("WARN", "WARNING", "ERROR"):
            what = one_line(f"{bulletin.at} {bulletin.level} from {bulletin.source}: {bulletin.message}")
            yield warning("flow", what, "./scripts/pipeline logs nifi")


def _check_processors(processors: list[Part]) -> Iterator[Diagnosis]:
    found = [finding for processor in processors if (finding := _check_processor(processor))]
    yield from found or [ok("flow", f"{len(processors)} processors are valid and running")]


def _check_processor(processor: Part) -> Diagnosis | None:
    name = repr(one_line(processor.name))
    if processor.validation == "VALIDATING":
        return problem("flow", f"processor {name} is being validated", "wait, then ask again", passing=True)
    if processor.validation != "VALID":
        why = one_line("; ".join(processor.errors or ["NiFi gives no reason"]))
        remedy = "mend it on the canvas, or ./scripts/run to deploy anew"
        return problem("flow", f"processor {name} is invalid: {why}", remedy)
    if processor.state == "DISABLED":
        return problem("flow", f"processor {name} is disabled", "enable it on the canvas, then ./scripts/run")
    if processor.state != "RUNNING":
        return problem("flow", f"processor {name} is {processor.state.lower()}", "./scripts/run starts it")
    return None


def _check_queues(queues: list[Queue]) -> Iterator[Diagnosis]:
    found = [finding for queue in queues if (finding := _check_queue(queue))]
    yield from found or [ok("flow", f"{sum(queue.queued for queue in queues)} FlowFiles in its queues")]


def _check_queue(queue: Queue) -> Diagnosis | None:
    name = repr(one_line(queue.name))
    if queue.retries and queue.queued:
        return warning(
            "flow",
            f"{queue.queued} FlowFiles wait in {name} to be tried again",
            "./scripts/pipeline logs nifi says why; the flow goes on by itself once the cause is gone",
        )
    if queue.percent >= _FULL:
        return warning(
            "flow",
            f"queue {name} is {queue.percent} % full with {queue.queued} FlowFiles: what follows it is slower",
            "usual in a run; if it stays, see what follows it: ./scripts/pipeline status, lag below",
        )
    return None
