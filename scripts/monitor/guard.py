"""Whether the flow may be deployed again by itself: for an illness that a deploy heals, or a new version in git."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from nifi_flows.errors import TerminalError
from nifi_flows.ledger import Event
from nifi_flows.wording import one_line
from scripts.monitor import record as records
from scripts.monitor import thresholds as limits
from scripts.monitor.record import Record

if TYPE_CHECKING:
    from scripts.deployment.context import Context

ACTOR = "airflow"  # by whom what is deployed without being asked for is, in the flow's history
_ROLLBACK = "rollback"


@dataclass(frozen=True)
class Decision:
    """go: deploy. why: or why not. revision: of git, None to make what was deployed run again.

    save: somebody has changed the canvas, it shall not be healed now, and what they changed is not saved yet.
    """

    go: bool
    why: str
    revision: str | None = None
    save: bool = False


def decide(context: "Context", record_json: Any) -> Decision:
    """Decide by a record as `Record.as_json` gave it.

    Raises PipelineError when hold or history cannot be read, or NiFi does not tell what was changed on its canvas.
    """
    from scripts.deployment import edits, state

    try:
        record = records.from_json(record_json)
    except TerminalError as error:
        return Decision(go=False, why=str(error))
    held, deploying = state.held(context), state.deploying(context)
    busy = f"{held.who} holds the flow: {held.why}" if held else f"{deploying} deploys now" if deploying else None
    unfinished = state.unfinished(context)
    cut = f"the deploy of {unfinished.version} by {unfinished.by} did not end" if unfinished else None
    history, heals = state.history(context), state.heals(context)
    judged = decision(record, history, limits.load().guard, datetime.now(UTC), busy=busy, heals=heals, cut=cut)
    drifted = record.checks["drift"]
    if judged.go or busy or drifted.verdict != "ill" or not drifted.healable:
        return judged
    return replace(judged, save=edits.unsaved_edit(context))


def decision(
    record: Record,
    history: Sequence[Event],
    thresholds: limits.GuardLimits,
    now: datetime,
    *,
    busy: str | None,
    heals: bool,
    cut: str | None = None,
) -> Decision:
    """history: the oldest first. now: with a time zone. busy: who holds or deploys the flow, None when nobody does.

    heals: the environment allows that it is deployed by itself. cut: which deploy was begun and did not end, None when
    all did; it may have left NiFi stopped.
    """
    ill = {area: check for area, check in record.checks.items() if check.verdict == "ill"}
    healable = {area: check for area, check in ill.items() if check.healable}
    if not healable and not record.new_version and not cut:
        named = f"; ill, but not to be healed by a deploy: {', '.join(ill)}" if ill else ""
        return Decision(go=False, why=f"nothing that a deploy would heal, no new version in git{named}")
    if busy:
        return Decision(go=False, why=one_line(busy))
    if not heals:
        manual = "this environment is not deployed by itself; ./scripts/pipeline flow deploy does it"
        return Decision(go=False, why=manual)
    if record.checks["nifi"].verdict != "ok" and not cut:
        return Decision(go=False, why="NiFi does not answer, so nothing can be deployed")
    if history and _at(history[-1]) >= record.at:
        return Decision(go=False, why=f"the last {history[-1].what} is newer than this look: look again first")
    window = timedelta(minutes=thresholds.window_minutes)
    own = [event for event in history if event.by == ACTOR and now - _at(event) <= window]
    if len(own) >= thresholds.heals:
        often = f"{len(own)} times in the last {thresholds.window_minutes:g} minutes"
        return Decision(go=False, why=f"deployed by itself {often}, and that has to do: somebody must look")
    if cut:
        return Decision(go=True, why=one_line(cut))
    refused = ""
    if record.new_version:
        refused = _refused(record.new_version, history)
        if not refused:
            return Decision(go=True, why=f"git has the new version {record.new_version}", revision="HEAD")
    if not healable:
        return Decision(go=False, why=refused)
    began = min(check.since for check in healable.values())
    failed = [event for event in own if not event.ok and not event.passing and _at(event) >= began]
    if failed:
        last = failed[-1]
        return Decision(
            go=False, why=one_line(f"not tried again so soon, since the last {last.what} failed: {last.says}")
        )
    illnesses = "; ".join(
        f"{area} is ill since {check.since:%H:%M:%S} UTC: {'; '.join(check.says)}" for area, check in healable.items()
    )
    return Decision(go=True, why=one_line(illnesses))


def _refused(version: str, history: Sequence[Event]) -> str:
    """Why a version must not be deployed by itself; empty when it may."""
    verified = [place for place, event in enumerate(history) if event.ok and event.what != "redeploy"]
    last = verified[-1] if verified else -1
    for event in history[last + 1 :]:
        if event.version == version and not event.ok and not event.passing:
            return one_line(f"version {version} of git was tried already and failed: {event.says}")
    if last >= 0 and history[last].what == _ROLLBACK and len(verified) > 1 and history[verified[-2]].version == version:
        return f"version {version} of git was rolled back by {history[last].by}: only a person deploys it again"
    return ""


def _at(event: Event) -> datetime:
    """The past before everything for a moment that cannot be read."""
    try:
        return datetime.fromisoformat(event.at).astimezone(UTC)
    except (ValueError, TypeError, OverflowError):
        return datetime.min.replace(tzinfo=UTC)
