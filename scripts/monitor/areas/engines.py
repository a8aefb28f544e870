"""The engines as their supervisor and their liveness watch have them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import msgspec

from scripts.monitor.area import Area, JudgeContext, Judgement, ReadContext
from scripts.monitor.ranges import Positive

if TYPE_CHECKING:
    from scripts.observe.engines import Restart


class EngineLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    restarted_seconds: Positive


@dataclass(frozen=True)
class EngineReading:
    """states: engine -> supervisord's word. errors: engine that is down by itself -> its last error, or "".

    restarts: engine -> its last restart by the liveness watch, of those that are new enough to be told. unwatched: why
    that watch is not at work, "" when it is.
    """

    states: Mapping[str, str]
    errors: Mapping[str, str]
    restarts: Mapping[str, Restart]
    unwatched: str


def read(context: ReadContext[EngineLimits, None]) -> EngineReading:
    """Raises TransientError when the supervisor does not answer."""
    from scripts.observe import engines
    from scripts.stack.supervise import Supervisor

    supervisor = Supervisor(context.settings)
    supervisor.require()
    states = {name: standing.state for name, standing in supervisor.standings().items()}
    since = datetime.now() - timedelta(seconds=context.limits.restarted_seconds)
    return EngineReading(
        states,
        {name: engines.error(context.settings, name) for name, state in states.items() if state in engines.DOWN},
        {name: times[-1] for name, times in engines.restarts(context.settings, since).items()},
        engines.unwatched(context.settings),
    )


def judge(found: EngineReading, context: JudgeContext[EngineLimits, None]) -> Judgement:
    from scripts.observe.engines import told
    from scripts.stack.engines import watch

    judgement = Judgement(figures={"running": sum(state == "RUNNING" for state in found.states.values())})
    for name, error in found.errors.items():
        what = "needs somebody to act" if found.states[name] == "EXITED" else "ends right after each start"
        judgement.trouble.append(
            f"{name} {what}: {error}" if error else f"{name} {what}: ./scripts/pipeline logs {name}"
        )
    judgement.trouble += [told(name, restart) for name, restart in found.restarts.items()]
    if found.unwatched and watch.NAME not in found.errors:
        judgement.trouble.append(f"the liveness watch is not at work: {found.unwatched}; ./scripts/run starts it")
    return judgement


AREA = Area(
    meaning="every engine that was started runs, and none hangs",
    order=5,
    limits=EngineLimits,
    read=read,
    judge=judge,
)
