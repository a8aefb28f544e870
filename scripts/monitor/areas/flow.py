"""The flow on the canvas: its components, queues and bulletins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import msgspec

from nifi_flows.wording import one_line
from scripts.monitor.area import NAMED, Area, JudgeContext, Judgement, ReadContext, listed
from scripts.monitor.ranges import Percent, Positive

if TYPE_CHECKING:
    from nifi_flows.canvas import Part
    from scripts.observe.canvas import Bulletin, Queue


class FlowLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    queue_percent: Percent
    bulletin_levels: list[Literal["DEBUG", "INFO", "WARN", "WARNING", "ERROR"]]
    bulletin_seconds: Positive


@dataclass(frozen=True)
class FlowReading:
    """components: how many can run. ill: those that don't, in words.

    run: the pull run in words, empty when it cannot be told. at_rest: it is finished; None when that cannot be told.
    interval: seconds that the run leaves between two pages.
    """

    components: int
    ill: list[str]
    queues: list[Queue]
    bulletins: list[Bulletin]
    run: str
    at_rest: bool | None
    interval: float


def read(context: ReadContext[FlowLimits, None]) -> FlowReading | None:
    """None when the flow is not on the canvas. Raises PipelineError when NiFi does not answer or refuses."""
    from scripts.observe import canvas, pull_run
    from scripts.stack import credentials
    from scripts.stack.stack import nifi_of

    address = nifi_of(context.settings, credentials.require(context.settings.secrets))
    seen = canvas.read(address, context.pipeline)
    if seen is None:
        return None
    try:
        found = pull_run.read(address, context.pipeline)
        run, at_rest, interval = pull_run.describe(found), pull_run.at_rest(found), found.interval
    except Exception:  # noqa: BLE001 - its components are judged; what has no pull run is drift
        run, at_rest, interval = "", None, 0.0
    troubles = [trouble for part in seen.parts if (trouble := ill(part))]
    return FlowReading(len(seen.parts), troubles, seen.queues, seen.bulletins, run, at_rest, interval)


def ill(part: Part) -> str:
    """What is wrong with a component, in words; empty when nothing is."""
    if not part.meant_to_run:
        return ""
    if part.ghost:
        return f"{part} has no code: NiFi does not know its type"
    if part.validation == "VALIDATING":
        return f"{part} is still being validated"
    if part.validation != "VALID":
        return f"{part} is invalid: {'; '.join(part.errors) or 'NiFi gives no reason'}"
    return "" if part.running else f"{part} is {part.state.lower()}"


def judge(flow: FlowReading | None, context: JudgeContext[FlowLimits, None]) -> Judgement:
    if flow is None:
        return Judgement(trouble=["the flow is not on the canvas"], healable=True)
    fullest = max(flow.queues, key=lambda queue: queue.percent, default=None)
    judgement = Judgement(
        trouble=listed(flow.ill),
        notes=[one_line(flow.run)] if flow.run else [],
        figures={
            "components": flow.components,
            "not running": len(flow.ill),
            "FlowFiles queued": sum(queue.queued for queue in flow.queues),
            "fullest queue %": fullest.percent if fullest else 0,
            "bulletins": len(flow.bulletins),
        },
        healable=bool(flow.ill),
    )
    for queue in flow.queues:
        if queue.percent >= context.limits.queue_percent and not queue.moved:
            full = f"queue {queue.name!r} is {queue.percent} % full with {queue.queued} FlowFiles"
            judgement.trouble.append(f"{one_line(full)}, and nothing has left it for five minutes")
        elif queue.retries and queue.queued:
            judgement.notes.append(one_line(f"{queue.queued} FlowFiles wait in {queue.name!r} to be tried again"))
    judgement.trouble += _complaints(flow.bulletins, context)
    return judgement


def _complaints(bulletins: list[Bulletin], context: JudgeContext[FlowLimits, None]) -> list[str]:
    """The last new bulletin of each component and level that counts, in words."""
    limits = context.limits
    # One that the look before has seen is no second strike.
    recent = min(limits.bulletin_seconds, context.age(context.before) if context.before else limits.bulletin_seconds)
    loud = [b for b in bulletins if b.level in limits.bulletin_levels and b.age <= recent]
    last = {(b.source, b.level): b for b in sorted(loud, key=lambda b: -b.age)}
    return [one_line(f"{b.level} from {b.source}: {b.message}") for b in list(last.values())[:NAMED]]


AREA = Area(
    meaning="the flow is on the canvas, all of it valid and running, and its queues move",
    order=20,
    after="nifi",
    limits=FlowLimits,
    read=read,
    judge=judge,
    paused_by_deploys=True,
)
