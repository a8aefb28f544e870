"""The consumer: how far it is, whether it moves, in which lane, and what it says of its batches or epochs."""

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from nifi_flows.pipeline import Pipeline
from scripts.observe import topics
from scripts.observe.topics import PATIENCE, Position
from scripts.stack.settings import Settings
from scripts.stack.stack import ending
from scripts.stack.supervise import Supervisor
from spark_consumer import processes

NAME = "consumer"  # as an engine
_LOG_END = 64 * 1024  # bytes of its log that are read
_PAUSE = 0.5  # seconds from one look to the next
_BATCH = re.compile(
    r"^(\S+ \S+),(\d+) \w+ \S+: (?:batch|epoch) (\d+): (\d+) frames, \d+/s, (?:times in ms (\{.*\})|in ([\d.]+) s)$",
    re.MULTILINE,
)  # see spark_consumer.progress

Positions = Mapping[int, Position]  # by partition of the topic that it reads


@dataclass(frozen=True)
class Batch:
    """number: of the stream. ended: UTC. seconds: that it took, or since the epoch before."""

    number: int
    frames: int
    ended: datetime
    seconds: float


@dataclass(frozen=True)
class ConsumerState:
    """state: the supervisor's. pid: of the stream's process, 0 when there is none.

    batch: the last one in the log, None when there is none.
    """

    state: str
    pid: int
    positions: Positions
    batch: Batch | None

    @property
    def lags(self) -> dict[int, int]:
        """Partition -> frames to read."""
        return {partition: position.lag for partition, position in self.positions.items()}

    @property
    def lane(self) -> str:
        return lane_of(self.positions)

    @property
    def lost(self) -> int:
        """Frames that were removed before they were read."""
        return sum(position.lost for position in self.positions.values())


@dataclass(frozen=True)
class ConsumerProgress:
    """The positions, and again some seconds later. silent: seconds since the consumer last wrote to its log."""

    before: Positions
    after: Positions
    seconds: float
    silent: float


def read(settings: Settings, pipeline: Pipeline, patience: float = PATIENCE) -> ConsumerState:
    """Raises TransientError when Kafka does not answer."""
    supervisor = Supervisor(settings)
    found = positions(settings, pipeline, patience)
    batch = last_batch(ending(_log(settings), _LOG_END))
    return ConsumerState(supervisor.state(NAME), _stream(supervisor.pid(NAME)), found, batch)


def _stream(parent: int) -> int:
    """The process of the stream, which the consumer's own process starts anew when it ends; 0 when there is none."""
    return next(iter(processes.descendants(parent)), 0) if parent else 0


def positions(settings: Settings, pipeline: Pipeline, patience: float = PATIENCE) -> dict[int, Position]:
    """Partition -> how far the consumer is in it. Raises TransientError when Kafka does not answer."""
    return topics.positions(settings, pipeline.topic, pipeline.consumer_group, patience)


def unfinished(settings: Settings, pipeline: Pipeline, patience: float = PATIENCE) -> int:
    """Frames that are neither rows nor dead letters yet. Raises TransientError when Kafka does not answer."""
    return unfinished_of(positions(settings, pipeline, patience))


def unfinished_of(found: Positions) -> int:
    return sum(position.unfinished for position in found.values())


def watch(settings: Settings, pipeline: Pipeline, seconds: float, patience: float = PATIENCE) -> ConsumerProgress:
    """Look at a consumer that is behind until it moves, for so many seconds; once at one that is not behind.

    Raises TransientError when Kafka does not answer.
    """
    begun = time.monotonic()
    before = after = positions(settings, pipeline, patience)
    while lag_of(after) and committed(after) == committed(before) and time.monotonic() - begun < seconds:
        time.sleep(_PAUSE)
        after = positions(settings, pipeline, patience)
    log = _log(settings)
    silent = time.time() - log.stat().st_mtime if log.exists() else 0.0
    return ConsumerProgress(before, after, time.monotonic() - begun, silent)


def lag_of(found: Positions) -> int:
    return sum(position.lag for position in found.values())


def lane_of(found: Positions) -> str:
    """In which lane the stream goes, or went last; empty where it has not said so."""
    return next((position.lane for position in found.values() if position.lane), "")


def left_lane(found: Positions, pipeline: Pipeline) -> str:
    """The lane in which the stream goes instead of the one that is set; empty when it goes in that one."""
    lane = lane_of(found)
    return lane if lane != pipeline.lane else ""


def committed(found: Positions) -> int:
    """Frames that the consumer has finished since the beginning."""
    return sum(position.committed or 0 for position in found.values())


def last_batch(log: str) -> Batch | None:
    """The last batch that the end of the consumer's log tells of, None when it tells of none."""
    for at, fraction, number, frames, times, seconds in reversed(_BATCH.findall(log)):
        try:
            ended = datetime.strptime(at, "%Y-%m-%d %H:%M:%S").astimezone(UTC)  # logging writes local time
            took = float(seconds or json.loads(times).get("triggerExecution", 0) / 1000)
        except (ValueError, TypeError, AttributeError, RecursionError, OverflowError):
            continue
        return Batch(int(number), int(frames), ended + timedelta(milliseconds=int(fraction)), took)
    return None


def _log(settings: Settings) -> Path:
    return settings.logs / f"{NAME}.log"
