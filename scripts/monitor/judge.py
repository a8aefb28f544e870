"""From readings to a record: the verdict on each area, since when, and on all. Changes nothing and asks nobody."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from nifi_flows.wording import one_line
from scripts.monitor import areas
from scripts.monitor.area import JudgeContext, Judgement
from scripts.monitor.deploys import Deploys
from scripts.monitor.missing import Missing
from scripts.monitor.readings import Readings
from scripts.monitor.record import AreaCheck, Record, Verdict
from scripts.monitor.thresholds import Thresholds


def judge(before: Record | None, readings: Readings, limits: Thresholds, now: datetime) -> Record:
    """The record of this look. before: of the look before, None at the first. now: with a time zone."""
    checks = {}
    for name in areas.AREAS:
        found = _judgement(name, before, readings, limits, now)
        checks[name] = _check(before.checks[name] if before else None, found, limits.strikes, now)
    deploys = readings.deploys
    return Record(
        at=now,
        verdict=_worst(checks),
        checks=checks,
        new_version=deploys.new_version,
        held=dict(deploys.held) if deploys.held else None,
        says=_general(deploys),
        memory=_memory(before, readings, now),
    )


def _judgement(name: str, before: Record | None, readings: Readings, limits: Thresholds, now: datetime) -> Judgement:
    area, deploying = areas.AREAS[name], readings.deploys.deploying
    if deploying and area.paused_by_deploys:
        return Judgement(notes=[one_line(f"not judged while {deploying} deploys")], known=False)
    reading = readings.of[name]
    if isinstance(reading, Missing):
        if reading.reported:
            return Judgement(notes=[one_line(reading.why)], known=False)
        return Judgement(trouble=[one_line(reading.why)])
    context: JudgeContext[Any, Any] = JudgeContext(
        now=now,
        before=before.at if before else None,
        limits=limits.areas.get(name),
        memory=area.recalled(before.memory.get(name)) if before else None,
        readings=readings.of,
        deploys=readings.deploys,
    )
    return area.judge(reading, context)


def _check(before: AreaCheck | None, found: Judgement, strikes: int, now: datetime) -> AreaCheck:
    in_trouble = before is not None and before.strikes > 0
    if not found.known:
        # What nobody could look at is neither mended nor worse.
        same = before is not None and (in_trouble or before.verdict == "unknown")
        return AreaCheck(
            "unknown",
            before.since if same and before else now,
            before.strikes if before else 0,
            found.notes,
            found.figures,
        )
    if not found.trouble:
        since = before.since if before and before.verdict == "ok" else now
        return AreaCheck("ok", since, 0, found.notes, found.figures)
    count = (before.strikes if before else 0) + 1
    verdict: Verdict = "ill" if count >= strikes else "suspect"
    return AreaCheck(
        verdict,
        before.since if before and in_trouble else now,
        count,
        found.trouble + found.notes,
        found.figures,
        found.healable,
    )


def _worst(checks: Mapping[str, AreaCheck]) -> Literal["ok", "suspect", "ill"]:
    verdicts = {check.verdict for check in checks.values()}
    return "ill" if "ill" in verdicts else "suspect" if "suspect" in verdicts else "ok"


def _general(deploys: Deploys) -> list[str]:
    says = []
    if deploys.held:
        says.append("held by {who} since {since}: {why}".format_map(deploys.held))
    if deploys.deploying:
        says.append(f"{deploys.deploying} deploys")
    if deploys.new_version:
        says.append(f"git has version {deploys.new_version}, which is not deployed yet")
    return [one_line(line) for line in (*says, *deploys.trouble)]


def _memory(before: Record | None, readings: Readings, now: datetime) -> dict[str, Any]:
    """Of an area that could not be read, what it remembered before."""
    memory = {}
    for name, area in areas.AREAS.items():
        reading = readings.of[name]
        if isinstance(reading, Missing):
            kept = before.memory.get(name) if before else None
        else:
            kept = area.remembered(reading, now)
        if kept is not None:
            memory[name] = kept
    return memory
