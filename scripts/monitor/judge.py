"""From readings to a verdict: what is trouble, and since when. Changes nothing and asks nobody."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from nifi_flows.wording import one_line
from scripts.monitor.areas import AREAS
from scripts.monitor.facts import (
    Alerts,
    Consumer,
    DeadLetters,
    Drift,
    Flow,
    Freshness,
    NiFi,
    Readings,
    Surroundings,
    Unread,
)
from scripts.monitor.record import Check, Memory, Record, Verdict
from scripts.monitor.thresholds import Thresholds

_NAMED = 8  # differences, components or reasons that are named one by one
_DEPLOYED = ("flow", "drift")  # areas that a deploy under way disturbs


@dataclass
class _Opinion:
    """wrong: the trouble, empty when there is none. notes: what else should be known. known: it could be judged."""

    wrong: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    figures: dict[str, int | float | str] = field(default_factory=dict)
    healable: bool = False
    known: bool = True


@dataclass(frozen=True)
class _Look:
    before: Record | None
    readings: Readings
    thresholds: Thresholds
    now: datetime

    def ago(self, moment: datetime) -> float:
        """Seconds; none for what a clock that was set back calls the future."""
        return max(0.0, (self.now - moment).total_seconds())


def judge(before: Record | None, readings: Readings, thresholds: Thresholds, now: datetime) -> Record:
    """The record of this look. before: of the look before, None at the first. now: with a time zone."""
    look = _Look(before, readings, thresholds, now)
    checks = {
        area: _check(before.checks[area] if before else None, _opinion(look, area), thresholds.strikes, now)
        for area in AREAS
    }
    around = readings.surroundings
    return Record(
        at=now,
        verdict=_worst(checks),
        checks=checks,
        new_version=around.new_version,
        held=dict(around.held) if around.held else None,
        says=_general(around),
        memory=_memory(look),
    )


def _check(before: Check | None, found: _Opinion, strikes: int, now: datetime) -> Check:
    in_trouble = before is not None and before.strikes > 0
    if not found.known:
        # What nobody could look at is neither mended nor worse.
        same = before is not None and (in_trouble or before.verdict == "unknown")
        return Check(
            "unknown",
            before.since if same and before else now,
            before.strikes if before else 0,
            found.notes,
            found.figures,
        )
    if not found.wrong:
        since = before.since if before and before.verdict == "ok" else now
        return Check("ok", since, 0, found.notes, found.figures)
    count = (before.strikes if before else 0) + 1
    verdict: Verdict = "ill" if count >= strikes else "suspect"
    return Check(
        verdict,
        before.since if before and in_trouble else now,
        count,
        found.wrong + found.notes,
        found.figures,
        found.healable,
    )


def _worst(checks: Mapping[str, Check]) -> Literal["ok", "suspect", "ill"]:
    verdicts = {check.verdict for check in checks.values()}
    return "ill" if "ill" in verdicts else "suspect" if "suspect" in verdicts else "ok"


def _general(around: Surroundings) -> list[str]:
    says = []
    if around.held:
        says.append("held by {who} since {since}: {why}".format_map(around.held))
    if around.deploying:
        says.append(f"{around.deploying} deploys")
    if around.new_version:
        says.append(f"git has version {around.new_version}, which is not deployed yet")
    return [one_line(line) for line in (*says, *around.trouble)]


def _memory(look: _Look) -> Memory:
    kept = look.before.memory if look.before else Memory()
    letters, consumer = look.readings.dead_letters, look.readings.consumer
    pid = kept.pid if isinstance(consumer, Unread) else consumer.pid
    if isinstance(letters, Unread):
        return Memory(kept.dead_letters, kept.pages, kept.counted, pid)
    return Memory(letters.ends, letters.page_ends, look.now, pid)


def _opinion(look: _Look, area: str) -> _Opinion:
    deploying = look.readings.surroundings.deploying
    if deploying and area in _DEPLOYED:
        return _Opinion(notes=[one_line(f"not judged while {deploying} deploys")], known=False)
    found = look.readings.of(area)
    if isinstance(found, Unread):
        if found.told:
            return _Opinion(notes=[one_line(found.why)], known=False)
        return _Opinion(wrong=[one_line(found.why)])
    match found:
        case None:
            return _Opinion(wrong=["the flow is not on the canvas"], healable=True)
        case NiFi():
            return _Opinion(figures={"version": one_line(found.version)})
        case Flow():
            return _flow(look, found)
        case Drift():
            return _drift(look, found)
        case Consumer():
            return _consumer(look, found)
        case DeadLetters():
            return _dead_letters(look, found)
        case Freshness():
            return _freshness(look, found)
        case Alerts():
            return _alerts(found)
        case _:
            raise AssertionError(f"{area} has no readings of the kind {type(found).__name__}")


def _flow(look: _Look, flow: Flow) -> _Opinion:
    limits = look.thresholds.flow
    fullest = max(flow.queues, key=lambda queue: queue.percent, default=None)
    opinion = _Opinion(
        figures={
            "components": flow.parts,
            "not running": len(flow.ill),
            "FlowFiles queued": sum(queue.queued for queue in flow.queues),
            "fullest queue %": fullest.percent if fullest else 0,
            "bulletins": len(flow.bulletins),
        },
        healable=bool(flow.ill),
    )
    if flow.run:
        opinion.notes.append(one_line(flow.run))
    opinion.wrong += [one_line(words) for words in flow.ill[:_NAMED]]
    if len(flow.ill) > _NAMED:
        opinion.wrong.append(f"and {len(flow.ill) - _NAMED} more")
    for queue in flow.queues:
        told = one_line(f"queue {queue.name!r} is {queue.percent} % full with {queue.queued} FlowFiles")
        if queue.percent >= limits.queue_percent and not queue.moved:
            opinion.wrong.append(f"{told}, and nothing has left it for five minutes")
        elif queue.retries and queue.queued:
            opinion.notes.append(one_line(f"{queue.queued} FlowFiles wait in {queue.name!r} to be tried again"))
    # One that the look before has seen is no second strike.
    recent = min(limits.bulletin_seconds, look.ago(look.before.at) if look.before else limits.bulletin_seconds)
    loud = [b for b in flow.bulletins if b.level in limits.bulletin_levels and b.age <= recent]
    last = {(b.source, b.level): b for b in sorted(loud, key=lambda b: -b.age)}
    for bulletin in list(last.values())[:_NAMED]:
        opinion.wrong.append(one_line(f"{bulletin.level} from {bulletin.source}: {bulletin.message}"))
    return opinion


def _drift(look: _Look, drift: Drift) -> _Opinion:
    told = [one_line(words) for words in drift.differences[:_NAMED]]
    if len(drift.differences) > _NAMED:
        told.append(f"and {len(drift.differences) - _NAMED} more")
    figures: dict[str, int | float | str] = {"differences": len(drift.differences)}
    held = look.readings.surroundings.held
    if told and held:
        return _Opinion(
            notes=[one_line(f"meant, since {held['who']} holds the flow: {held['why']}"), *told], figures=figures
        )
    return _Opinion(wrong=told, figures=figures, healable=bool(told))


def _consumer(look: _Look, consumer: Consumer) -> _Opinion:
    limits = look.thresholds.consumer
    lag = sum(consumer.lags.values())
    opinion = _Opinion(figures={"state": consumer.state, "lag in frames": lag})
    if len(consumer.lags) > 1:
        each = ", ".join(f"{partition}: {frames}" for partition, frames in sorted(consumer.lags.items()))
        opinion.figures["lag by partition"] = each
    before = look.before.memory.pid if look.before else 0
    if consumer.state != "RUNNING":
        opinion.wrong.append(f"the consumer's state is {consumer.state}")
    elif before and consumer.pid != before:
        opinion.wrong.append("the consumer has been started anew since the look before")
    if lag > limits.lag_frames:
        opinion.wrong.append(f"{lag:,} frames behind, more than {limits.lag_frames:,}")
    if consumer.lost:
        opinion.wrong.append(f"Kafka has removed {consumer.lost:,} frames that were not read")
    batch = consumer.batch
    if batch is None:
        if lag:
            opinion.wrong.append("there are frames to read, and its log shows no batch")
        return opinion
    age = look.ago(batch.ended)
    opinion.figures |= {
        "last batch": batch.number,
        "its frames": batch.frames,
        "its seconds": round(batch.seconds, 2),
        "seconds since": round(age),
    }
    if age > limits.last_batch_seconds:
        if lag:
            opinion.wrong.append(f"{lag:,} frames to read, and the last batch ended {age:,.0f} s ago")
    elif batch.seconds > limits.batch_seconds:
        opinion.wrong.append(f"the last batch took {batch.seconds:.1f} s, more than {limits.batch_seconds:g}")
    return opinion


def _dead_letters(look: _Look, letters: DeadLetters) -> _Opinion:
    limits = look.thresholds.dead_letters
    held = sum(letters.ends.values())
    if letters.since is None:
        return _Opinion(notes=["counted from now on"], figures={"in the topic": held})
    minutes = max(1.0, look.ago(letters.since) / 60)  # a look right after the other shows no rate
    opinion = _Opinion(
        figures={
            "in the topic": held,
            "new": letters.new,
            "per minute": round(letters.new / minutes, 1),
            "records fetched": letters.fetched,
        }
    )
    whole = letters.new / letters.read if letters.read else 0.0
    rates = {one_line(reason): count * whole / minutes for reason, count in letters.reasons.items()}
    named = sorted(rates.items(), key=lambda item: -item[1])
    for reason, rate in named[:_NAMED]:
        opinion.figures[f"{reason} per minute"] = round(rate, 1)
    for reason, rate in named:
        limit = limits.per_minute_by_reason.get(reason.partition(":")[0], limits.per_minute)
        if rate > limit:
            opinion.wrong.append(f"{rate:,.0f} dead letters a minute for {reason}, more than {limit:g}")
    if not named and letters.new / minutes > limits.per_minute:  # nothing told their reasons
        opinion.wrong.append(f"{letters.new / minutes:,.0f} dead letters a minute, more than {limits.per_minute:g}")
    if letters.fetched:
        share = letters.new / letters.fetched
        opinion.figures["share of the fetched"] = round(share, 4)
        if share > limits.share_of_fetched:
            opinion.wrong.append(f"{share:.1%} of what was fetched, more than {limits.share_of_fetched:.1%}")
    if letters.read < letters.new:
        opinion.notes.append(f"reasons by the newest {letters.read:,} of {letters.new:,} new ones")
    return opinion


def _freshness(look: _Look, fresh: Freshness) -> _Opinion:
    limits = look.thresholds.freshness
    opinion = _Opinion()
    newest = fresh.newest
    if newest is None:
        opinion.notes.append("there are no frames yet")
    elif newest.arrived:
        opinion.figures["newest row, age in s"] = round(look.ago(newest.received))
    elif newest.refused:
        opinion.notes.append(f"the newest frame, {newest.place}, became a dead letter")
    else:
        waited = look.ago(newest.sent)
        opinion.figures["newest frame waits, s"] = round(waited)
        if waited > limits.row_seconds:
            opinion.wrong.append(f"frame {newest.place} is no row yet, {waited:,.0f} s after it was published")
    if fresh.page is not None:
        opinion.figures["newest page, age in s"] = round(look.ago(fresh.page))
    flow = look.readings.flow
    if not isinstance(flow, Flow) or flow.at_rest is None:
        opinion.notes.append("pages not judged: the pull run's state is not known")
    elif flow.at_rest:
        opinion.notes.append("the pull run is finished and rests")
    else:
        limit = limits.page_seconds + flow.interval
        if fresh.page is None:
            opinion.wrong.append("no page has come in yet")
        elif look.ago(fresh.page) > limit:
            opinion.wrong.append(f"the last page came in {look.ago(fresh.page):,.0f} s ago, more than {limit:g}")
    return opinion


def _alerts(alerts: Alerts) -> _Opinion:
    opinion = _Opinion(figures={"undelivered": alerts.undelivered})
    if not alerts.webhook:
        opinion.notes.append(f"no webhook: alerts are only recorded in {alerts.file}")
    elif alerts.undelivered:
        opinion.wrong.append(one_line(f"{alerts.undelivered} not delivered: {alerts.why}"))
    return opinion
