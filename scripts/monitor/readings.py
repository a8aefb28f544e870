"""The readings of one look: all areas at once, each on its own."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nifi_flows.pipeline import Pipeline
from scripts.monitor import areas, deploys
from scripts.monitor.area import ReadContext
from scripts.monitor.deploys import Deploys
from scripts.monitor.gather import Step, Unread, gather, words
from scripts.monitor.thresholds import Thresholds
from scripts.stack.settings import Settings

_DEPLOYS = "hold, deploys and git"


@dataclass(frozen=True)
class Readings:
    """of: area -> its reading, or Unread."""

    of: Mapping[str, Any]
    deploys: Deploys


def read(settings: Settings, pipeline: Pipeline, limits: Thresholds, memory: Mapping[str, Any]) -> Readings:
    """Take all readings, in `look_seconds` at most; whatever goes wrong in one is what that one says.

    memory: area -> what it remembered, as the record of the look before has it.
    """
    read_so_far: dict[str, Any] = {}

    def step(name: str) -> Step:
        area = areas.AREAS[name]
        context: ReadContext[Any, Any] = ReadContext(
            settings, pipeline, limits.areas.get(name), area.recalled(memory.get(name)), read_so_far
        )

        def take() -> Any:
            try:
                read_so_far[name] = area.read(context)
            except Exception as error:
                read_so_far[name] = Unread(words(error))
                raise
            return read_so_far[name]

        return Step(name, take, area.engine)

    chains = [[step(name) for name in chain] for chain in areas.chains()]
    found = gather([*chains, [Step(_DEPLOYS, lambda: deploys.read(settings))]], limits.look_seconds)
    around = found.pop(_DEPLOYS)
    if isinstance(around, Unread):
        around = Deploys(trouble=(f"{_DEPLOYS}: {around.why}",))
    return Readings(found, around)
