"""Dead letters: how many are new, for which reasons, and of how much that was fetched."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import msgspec

from nifi_flows.wording import one_line
from scripts.monitor.area import NAMED, Area, JudgeContext, Judgement, ReadContext
from scripts.monitor.ranges import Count, Rate, Share

if TYPE_CHECKING:
    from scripts.observe.records import NewLetters


class DeadLetterLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    per_minute: Rate
    share_of_fetched: Share
    most_read: Count
    per_minute_by_reason: dict[str, Rate]


@dataclass(frozen=True)
class DeadLetterMemory:
    """Where the next look begins, partition -> offset, and when this one was: UTC."""

    letters: dict[int, int]
    pages: dict[int, int]
    counted: Annotated[datetime, msgspec.Meta(tz=True)]


@dataclass(frozen=True)
class DeadLetterReading:
    """since: when the look before counted, None at the first look."""

    since: datetime | None
    letters: NewLetters


def read(context: ReadContext[DeadLetterLimits, DeadLetterMemory]) -> DeadLetterReading:
    """Raises TransientError when Kafka does not answer."""
    from scripts.observe import records

    memory, most = context.memory, context.limits.most_read
    begin, pages_begin = (memory.letters, memory.pages) if memory else (None, None)
    letters = records.new_letters(context.settings, context.pipeline, begin, pages_begin, most)
    return DeadLetterReading(memory.counted if memory else None, letters)


def judge(reading: DeadLetterReading, context: JudgeContext[DeadLetterLimits, DeadLetterMemory]) -> Judgement:
    limits, letters = context.limits, reading.letters
    held = sum(letters.ends.values())
    if reading.since is None:
        return Judgement(notes=["counted from now on"], figures={"in the topic": held})
    minutes = max(1.0, context.age(reading.since) / 60)  # a look right after the other shows no rate
    judgement = Judgement(
        figures={
            "in the topic": held,
            "new": letters.new,
            "per minute": round(letters.new / minutes, 1),
            "records fetched": letters.fetched,
        }
    )
    whole = letters.new / letters.read if letters.read else 0.0
    rates = {one_line(reason): count * whole / minutes for reason, count in letters.reasons.items()}
    highest = sorted(rates.items(), key=lambda item: -item[1])
    for reason, rate in highest[:NAMED]:
        judgement.figures[f"{reason} per minute"] = round(rate, 1)
    for reason, rate in highest:
        limit = limits.per_minute_by_reason.get(reason.partition(":")[0], limits.per_minute)
        if rate > limit:
            judgement.trouble.append(f"{rate:,.0f} dead letters a minute for {reason}, more than {limit:g}")
    if not highest and letters.new / minutes > limits.per_minute:  # their reasons are not known
        judgement.trouble.append(f"{letters.new / minutes:,.0f} dead letters a minute, more than {limits.per_minute:g}")
    if letters.fetched:
        share = letters.new / letters.fetched
        judgement.figures["share of the fetched"] = round(share, 4)
        if share > limits.share_of_fetched:
            judgement.trouble.append(f"{share:.1%} of what was fetched, more than {limits.share_of_fetched:.1%}")
    if letters.read < letters.new:
        judgement.notes.append(f"reasons by the newest {letters.read:,} of {letters.new:,} new ones")
    return judgement


def remember(reading: DeadLetterReading, now: datetime) -> DeadLetterMemory:
    return DeadLetterMemory(reading.letters.ends, reading.letters.page_ends, now)


AREA = Area(
    meaning="no more dead letters than usual, by reason and of what was fetched",
    order=50,
    after="consumer",
    limits=DeadLetterLimits,
    memory=DeadLetterMemory,
    read=read,
    judge=judge,
    remember=remember,
)
