"""Drift: what runs is not what was deployed."""

from dataclasses import dataclass

from nifi_flows.wording import one_line
from scripts.monitor.area import Area, JudgeContext, Judgement, ReadContext, listed
from scripts.monitor.missing import Missing


@dataclass(frozen=True)
class DriftReading:
    """differences: in words, between what runs and what was deployed."""

    differences: list[str]


def read(context: ReadContext[None, None]) -> DriftReading | Missing:
    """Raises PipelineError when what runs cannot be compared with what was deployed."""
    from scripts.deployment import state
    from scripts.deployment.context import Context

    if context.readings["flow"] is None:  # then there is nothing to compare
        return Missing("not known: the flow is not on the canvas", reported=True)
    return DriftReading(state.drift(Context(context.settings, context.pipeline)))


def judge(drift: DriftReading, context: JudgeContext[None, None]) -> Judgement:
    differences = listed(drift.differences)
    figures: dict[str, int | float | str] = {"differences": len(drift.differences)}
    held = context.deploys.held
    if differences and held:
        meant = one_line(f"meant, since {held['who']} holds the flow: {held['why']}")
        return Judgement(notes=[meant, *differences], figures=figures)
    return Judgement(trouble=differences, figures=figures, healable=bool(differences))


AREA = Area(
    meaning="what runs is what was deployed",
    order=30,
    after="flow",
    read=read,
    judge=judge,
    paused_by_deploys=True,
)
