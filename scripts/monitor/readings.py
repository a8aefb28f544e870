"""The readings of one look: all areas at once, each on its own."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nifi_flows.pipeline import Pipeline
from scripts.deployment.context import Context
from scripts.monitor import areas, deploys
from scripts.monitor.area import ReadContext
from scripts.monitor.deploys import Deploys
from scripts.monitor.missing import Missing, reason
from scripts.monitor.thresholds import Thresholds
from scripts.observe.gather import Failed, Late, ReadStep, Skipped, gather
from scripts.stack.settings import Settings


@dataclass(frozen=True)
class Readings:
    """of: area -> its reading, or Missing."""

    of: Mapping[str, Any]
    deploys: Deploys


def read(settings: Settings, pipeline: Pipeline, limits: Thresholds, memory: Mapping[str, Any]) -> Readings:
    """Take all readings, in `look_seconds` at most; whatever goes wrong in one is what that one says.

    memory: area -> what it remembered, as the record of the look before has it.
    """
    read_so_far: dict[str, Any] = {}

    def step(name: str) -> ReadStep[Any]:
        area = areas.AREAS[name]
        context: ReadContext[Any, Any] = ReadContext(
            settings, pipeline, limits.areas.get(name), area.recalled(memory.get(name)), read_so_far
        )

        def take() -> Any:
            try:
                read_so_far[name] = area.read(context)
            except Exception as error:
                read_so_far[name] = Missing(reason(error))
                raise
            return read_so_far[name]

        return ReadStep(name, take, needed=bool(area.engine))

    chains = [[step(name) for name in chain] for chain in areas.chains()]
    around = ReadStep("hold, deploys and git", lambda: deploys.read(Context(settings, pipeline)))
    found = gather([*chains, [around]], limits.look_seconds)
    deploying = _reading(found.of(around))
    if isinstance(deploying, Missing):
        deploying = Deploys(trouble=(f"{around.name}: {deploying.why}",))
    return Readings({step.name: _reading(found.of(step)) for chain in chains for step in chain}, deploying)


def _reading(outcome: Any) -> Any:
    """What is not known for want of another reading is that one's trouble, and not reported again."""
    match outcome:
        case Failed(error):
            return Missing(reason(error))
        case Late(seconds):
            return Missing(f"no answer within {seconds:g} s")
        case Skipped(after) if after.needed:
            return Missing(f"not known: {areas.AREAS[after.name].engine} does not answer", reported=True)
        case Skipped():
            return Missing("not known: it was not reached in time", reported=True)
        case _:
            return outcome
