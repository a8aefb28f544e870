"""Freshness: pages come in, and what was published becomes a row."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from scripts.monitor.area import Area, JudgeContext, Judgement, ReadContext
from scripts.monitor.areas.flow import FlowReading
from scripts.monitor.ranges import Positive

if TYPE_CHECKING:
    from scripts.observe.newest import Newest


class FreshnessLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    row_seconds: Positive
    page_seconds: Positive


def read(context: ReadContext[FreshnessLimits, None]) -> Newest:
    """Raises TransientError when Kafka, Cassandra or the registry does not answer."""
    from scripts.observe import newest
    from scripts.stack import credentials

    return newest.read(context.settings, credentials.require(context.settings.secrets), context.pipeline)


def judge(newest: Newest, context: JudgeContext[FreshnessLimits, None]) -> Judgement:
    judgement = Judgement()
    frame = newest.frame
    if frame is None:
        judgement.notes.append("there are no frames yet")
    elif frame.arrived:
        judgement.figures["newest row, age in s"] = round(context.age(frame.received))
    elif frame.refused:
        judgement.notes.append(f"the newest frame, {frame.place}, became a dead letter")
    else:
        waited = context.age(frame.sent)
        judgement.figures["newest frame waits, s"] = round(waited)
        if waited > context.limits.row_seconds:
            judgement.trouble.append(f"frame {frame.place} is no row yet, {waited:,.0f} s after it was published")
    if newest.page is not None:
        judgement.figures["newest page, age in s"] = round(context.age(newest.page))
    flow = context.readings["flow"]
    if not isinstance(flow, FlowReading) or flow.at_rest is None:
        judgement.notes.append("pages not judged: the pull run's state is not known")
    elif flow.at_rest:
        judgement.notes.append("the pull run is finished and rests")
    else:
        limit = context.limits.page_seconds + flow.interval
        if newest.page is None:
            judgement.trouble.append("no page has come in yet")
        elif context.age(newest.page) > limit:
            age = context.age(newest.page)
            judgement.trouble.append(f"the last page came in {age:,.0f} s ago, more than {limit:g}")
    return judgement


AREA = Area(
    meaning="pages come in while the pull run goes on, and the newest frame is a row in Cassandra",
    order=60,
    after="dead_letters",
    limits=FreshnessLimits,
    read=read,
    judge=judge,
)
