"""What one look at the pipeline reads, before anything is judged of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

Offsets = dict[int, int]  # partition -> offset of the next message


@dataclass(frozen=True)
class Unread:
    """Why an area could not be read. told: that is another area's trouble, and is told there."""

    why: str
    told: bool = False


@dataclass(frozen=True)
class NiFi:
    version: str


@dataclass(frozen=True)
class Queue:
    """percent: of its back-pressure threshold, by count or bytes. moved: FlowFiles that left it in five minutes.

    retries: it leads back to where it comes from.
    """

    name: str
    queued: int
    percent: int
    moved: int
    retries: bool


@dataclass(frozen=True)
class Bulletin:
    """age: seconds."""

    level: str
    source: str
    message: str
    age: float


@dataclass(frozen=True)
class Flow:
    """The flow on the canvas. parts: how many can run. ill: those that don't, in words.

    run: the pull run in words, empty when it cannot be told. at_rest: it is finished; None when that cannot be told.
    interval: seconds that the run leaves between two pages.
    """

    parts: int
    ill: list[str]
    queues: list[Queue]
    bulletins: list[Bulletin]
    run: str
    at_rest: bool | None
    interval: float


@dataclass(frozen=True)
class Drift:
    """differences: in words, between what runs and what was deployed."""

    differences: list[str]


@dataclass(frozen=True)
class Batch:
    """number: of the stream. ended: UTC. seconds: that it took."""

    number: int
    frames: int
    ended: datetime
    seconds: float


@dataclass(frozen=True)
class Consumer:
    """state and pid: the supervisor's. lags: partition -> frames to read. lost: frames removed before they were read.

    batch: the last one in the log, None when there is none.
    """

    state: str
    pid: int
    lags: dict[int, int]
    lost: int
    batch: Batch | None


@dataclass(frozen=True)
class DeadLetters:
    """New ones since the look before. since: when that was, None at the first look.

    read: how many of the new ones were read for their reasons. reasons: code -> letters among those.
    fetched: records that NiFi fetched in the same time. ends and page_ends: where the next look begins.
    """

    since: datetime | None
    new: int
    read: int
    reasons: dict[str, int]
    fetched: int
    ends: Offsets
    page_ends: Offsets


@dataclass(frozen=True)
class Newest:
    """The newest frame of the users topic that decodes. sent: when Kafka took it. received: its page, by NiFi.

    arrived: its row has been written as of this frame, or a later one. refused: it became a dead letter.
    """

    place: str
    sent: datetime
    received: datetime
    arrived: bool
    refused: bool


@dataclass(frozen=True)
class Freshness:
    """newest: None when the topic holds no frame that decodes. page: when the last page was received, None without."""

    newest: Newest | None
    page: datetime | None


@dataclass(frozen=True)
class Alerts:
    """webhook: whether there is one. undelivered: alerts that nobody has got yet. why: of the last failure.

    file: where alerts are recorded.
    """

    webhook: bool
    undelivered: int
    why: str
    file: str


@dataclass(frozen=True)
class Surroundings:
    """What is going on around the flow. held: who, why and since when. deploying: who deploys now.

    trouble: what of it could not be read.
    """

    held: Mapping[str, str] | None = None
    deploying: str | None = None
    new_version: str | None = None
    trouble: tuple[str, ...] = ()


@dataclass(frozen=True)
class Readings:
    """One look. flow: None when it is not on the canvas."""

    nifi: NiFi | Unread
    flow: Flow | Unread | None
    drift: Drift | Unread
    consumer: Consumer | Unread
    dead_letters: DeadLetters | Unread
    freshness: Freshness | Unread
    alerts: Alerts | Unread
    surroundings: Surroundings

    def of(self, area: str) -> Any:
        return getattr(self, area)
