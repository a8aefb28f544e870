"""Freshness: pages come in, and what was published becomes a row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec

from scripts.monitor.area import Area, JudgeContext, Judgement, ReadContext
from scripts.monitor.areas.flow import FlowReading
from scripts.monitor.ranges import Positive

if TYPE_CHECKING:
    from cassandra.cluster import Session

_LETTERS = 200  # the newest dead letters, among which a frame that is no row is looked for
_LONGEST_QUERY = 10  # seconds


class FreshnessLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    row_seconds: Positive
    page_seconds: Positive


@dataclass(frozen=True)
class NewestFrame:
    """The newest frame of the records' topic that decodes. sent: when Kafka took it. received: its page, by NiFi.

    arrived: its row has been written as of this frame, or a later one. refused: it became a dead letter.
    """

    place: str
    sent: datetime
    received: datetime
    arrived: bool
    refused: bool


@dataclass(frozen=True)
class FreshnessReading:
    """newest: None when the topic holds no frame that decodes. page: when the last page was received, None without."""

    newest: NewestFrame | None
    page: datetime | None


def read(context: ReadContext[FreshnessLimits, None]) -> FreshnessReading:
    """Raises PipelineError when Kafka or Cassandra does not answer, RequestException without the registry."""
    from scripts.monitor.parse import micros
    from scripts.monitor.tail import decoded
    from scripts.stack import credentials, hops
    from scripts.stack.engines import cassandra

    settings, pipeline = context.settings, context.pipeline
    decoder = hops.Decoder(settings)
    receipts = [decoded(decoder, message.value() or b"") for message in hops.read(settings, pipeline.pages, last=1)]
    page = max((at for receipt in receipts if isinstance(at := receipt.get("fetched_at"), datetime)), default=None)
    frames = []
    for message in hops.read(settings, pipeline.topic, last=1):
        user = user_of(decoded(decoder, message.value() or b""))
        if user is not None:
            frames.append((user, message))
    if not frames:
        return FreshnessReading(None, page)
    user, message = max(frames, key=lambda frame: frame[0].event_time)
    # also the id of its dead letter, if it becomes one
    place = f"{pipeline.topic}/{message.partition()}#{message.offset()}"
    with cassandra.session(settings, credentials.require(settings.secrets)) as session:
        arrived = _written(session, f"{pipeline.keyspace}.{pipeline.table}", user.id) >= micros(user.event_time)
    refused = not arrived and any(
        letter.key() == place.encode() for letter in hops.read(settings, pipeline.dead_letters, last=_LETTERS)
    )
    sent = datetime.fromtimestamp(message.timestamp()[1] / 1000, UTC)
    return FreshnessReading(NewestFrame(place, sent, user.fetched_at, arrived, refused), page)


@dataclass(frozen=True)
class User:
    """Of a user's record, what tells its row."""

    id: UUID
    event_time: datetime
    fetched_at: datetime


def user_of(record: Mapping[str, Any]) -> User | None:
    """None for a record of another contract."""
    event_time, fetched_at = record.get("event_time"), record.get("fetched_at")
    try:
        key = UUID(str(record.get("id")))
    except ValueError:
        return None
    if isinstance(event_time, datetime) and isinstance(fetched_at, datetime):
        return User(key, event_time, fetched_at)
    return None


def _written(session: Session, table: str, key: UUID) -> int:
    """Write timestamp of a row in microseconds since 1970, -1 when there is none."""
    row = session.execute(
        f"SELECT writetime(first_name) FROM {table} WHERE id = %s", [key], timeout=_LONGEST_QUERY
    ).one()
    return -1 if row is None or row[0] is None else int(row[0])


def judge(fresh: FreshnessReading, context: JudgeContext[FreshnessLimits, None]) -> Judgement:
    judgement = Judgement()
    newest = fresh.newest
    if newest is None:
        judgement.notes.append("there are no frames yet")
    elif newest.arrived:
        judgement.figures["newest row, age in s"] = round(context.age(newest.received))
    elif newest.refused:
        judgement.notes.append(f"the newest frame, {newest.place}, became a dead letter")
    else:
        waited = context.age(newest.sent)
        judgement.figures["newest frame waits, s"] = round(waited)
        if waited > context.limits.row_seconds:
            judgement.trouble.append(f"frame {newest.place} is no row yet, {waited:,.0f} s after it was published")
    if fresh.page is not None:
        judgement.figures["newest page, age in s"] = round(context.age(fresh.page))
    flow = context.readings["flow"]
    if not isinstance(flow, FlowReading) or flow.at_rest is None:
        judgement.notes.append("pages not judged: the pull run's state is not known")
    elif flow.at_rest:
        judgement.notes.append("the pull run is finished and rests")
    else:
        limit = context.limits.page_seconds + flow.interval
        if fresh.page is None:
            judgement.trouble.append("no page has come in yet")
        elif context.age(fresh.page) > limit:
            age = context.age(fresh.page)
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
