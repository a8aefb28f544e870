"""The newest page and the newest frame, and whether its row has arrived."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from nifi_flows.pipeline import Pipeline
from scripts.observe import records, rows, topics
from scripts.observe.records import Decoder
from scripts.observe.topics import Message
from scripts.stack.credentials import Credentials
from scripts.stack.engines import cassandra
from scripts.stack.settings import Settings

_LETTERS = 200  # the newest dead letters, among which a frame that is no row is looked for


@dataclass(frozen=True)
class NewestFrame:
    """The newest frame that decodes. sent: when Kafka took it. received: its page, by NiFi.

    arrived: its row has been written as of this frame, or a later one. refused: it became a dead letter.
    """

    place: str
    sent: datetime
    received: datetime
    arrived: bool
    refused: bool


@dataclass(frozen=True)
class Newest:
    """frame: None when the topic holds none that decodes. page: when the last page was received, None without."""

    frame: NewestFrame | None
    page: datetime | None


@dataclass(frozen=True)
class Identity:
    """What of a record identifies its row, and the version of it. id: the row's key."""

    id: UUID
    event_time: datetime
    fetched_at: datetime


def read(settings: Settings, credentials: Credentials, pipeline: Pipeline) -> Newest:
    """Raises TransientError when Kafka, Cassandra or the registry does not answer."""
    decoder = records.decoder_of(settings)
    page = newest_page(topics.newest(settings, pipeline.pages, 1), decoder)
    found = newest_frame(topics.newest(settings, pipeline.topic, 1), decoder)
    if found is None:
        return Newest(None, page)
    message, identity = found
    with cassandra.session(settings, credentials) as session:
        written = rows.written(session, pipeline, identity.id)
    arrived = written is not None and written >= micros(identity.event_time)
    place = records.place(pipeline.topic, message)
    refused = not arrived and any(
        letter.key == place.encode() for letter in topics.newest(settings, pipeline.dead_letters, _LETTERS)
    )
    sent = datetime.fromtimestamp(message.at / 1000, UTC)
    return Newest(NewestFrame(place, sent, identity.fetched_at, arrived, refused), page)


def newest_page(receipts: Iterable[Message], decoder: Decoder) -> datetime | None:
    """When the last of these receipts' pages was received. Raises RegistryAway."""
    decoded = (decoder.decoded(message.value) or {} for message in receipts)
    return max((at for receipt in decoded if isinstance(at := receipt.get("fetched_at"), datetime)), default=None)


def newest_frame(frames: Iterable[Message], decoder: Decoder) -> tuple[Message, Identity] | None:
    """The one of the latest event. Raises RegistryAway."""
    found = [(m, identity) for m in frames if (identity := identity_of(decoder.decoded(m.value) or {})) is not None]
    return max(found, key=lambda frame: frame[1].event_time, default=None)


def identity_of(record: Mapping[str, Any]) -> Identity | None:
    """None for a record of another contract."""
    event_time, fetched_at = record.get("event_time"), record.get("fetched_at")
    try:
        key = UUID(str(record.get("id")))
    except ValueError:
        return None
    if isinstance(event_time, datetime) and isinstance(fetched_at, datetime):
        return Identity(key, event_time, fetched_at)
    return None


def micros(moment: datetime) -> int:
    """Microseconds since 1970, exactly."""
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
