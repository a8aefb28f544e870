"""Dead letters: how many are new, for which reasons, and of how much that was fetched."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

import msgspec

from scripts.monitor.area import NAMED, Area, JudgeContext, Judgement, ReadContext
from scripts.monitor.ranges import Count, Rate, Share
from scripts.stack.wording import one_line

_RECEIPTS = 20_000  # page receipts that are read in one look


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
    """New ones since the look before. since: when that was, None at the first look.

    read: how many of the new ones were read for their reasons. reasons: code -> letters among those.
    fetched: records that NiFi fetched in the same time. ends and page_ends: partition -> where the next look begins.
    """

    since: datetime | None
    new: int
    read: int
    reasons: dict[str, int]
    fetched: int
    ends: dict[int, int]
    page_ends: dict[int, int]


def read(context: ReadContext[DeadLetterLimits, DeadLetterMemory]) -> DeadLetterReading:
    """Raises TransientError when Kafka does not answer.

    Without the registry no reasons are read; what is new is counted all the same.
    """
    import requests

    from scripts.monitor import tail
    from scripts.stack import hops

    settings, pipeline, memory = context.settings, context.pipeline, context.memory
    decoder = hops.Decoder(settings)
    begin, page_begin = (memory.letters, memory.pages) if memory else (None, None)
    letters, values = tail.since(settings, pipeline.dead_letters, begin, context.limits.most_read)
    pages, receipts = tail.since(settings, pipeline.pages, page_begin, _RECEIPTS)
    reasons: Counter[str] = Counter()
    count = fetched = 0
    try:
        for value in values:
            reasons.update(reasons_of(tail.decoded(decoder, value)))
            count += 1
        counts = (tail.decoded(decoder, value).get("fetched") for value in receipts)
        fetched = sum(number for number in counts if isinstance(number, int))
    except requests.RequestException:
        fetched = 0  # the registry is away: no share of a part
    since = memory.counted if memory else None
    return DeadLetterReading(since, letters.new, count, dict(reasons), fetched, letters.ends, pages.ends)


def reasons_of(letter: Mapping[str, Any]) -> set[str]:
    """The reason codes of a dead letter; one for what is none."""
    reasons = letter.get("reasons")
    return {str(reason) for reason in reasons} if reasons and isinstance(reasons, list) else {"not_readable"}


def judge(letters: DeadLetterReading, context: JudgeContext[DeadLetterLimits, DeadLetterMemory]) -> Judgement:
    limits = context.limits
    held = sum(letters.ends.values())
    if letters.since is None:
        return Judgement(notes=["counted from now on"], figures={"in the topic": held})
    minutes = max(1.0, context.age(letters.since) / 60)  # a look right after the other shows no rate
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


def remember(letters: DeadLetterReading, now: datetime) -> DeadLetterMemory:
    return DeadLetterMemory(letters.ends, letters.page_ends, now)


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
