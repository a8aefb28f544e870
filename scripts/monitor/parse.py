"""What engines write for people, read back: log lines, times of day and durations."""

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

_BATCH = re.compile(
    r"^(\S+ \S+),(\d+) \w+ \S+: batch (\d+): (\d+) frames, .* times in ms (\{.*\})$", re.MULTILINE
)  # see spark_consumer.lag
_TIME_OF_DAY = re.compile(r"(\d\d):(\d\d):(\d\d)")
_DURATION = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-z]+)\s*", re.IGNORECASE)
_UNITS = {"n": 1e-9, "ms": 1e-3, "mil": 1e-3, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


@dataclass(frozen=True)
class Batch:
    """number: of the stream. ended: UTC. seconds: that it took."""

    number: int
    frames: int
    ended: datetime
    seconds: float


def last_batch(log: str) -> Batch | None:
    """The last batch that the end of the consumer's log tells of, None when it tells of none."""
    for at, fraction, number, frames, times in reversed(_BATCH.findall(log)):
        try:
            ended = datetime.strptime(at, "%Y-%m-%d %H:%M:%S").astimezone(UTC)  # logging writes local time
            took = float(json.loads(times).get("triggerExecution", 0)) / 1000
        except (ValueError, TypeError, AttributeError, RecursionError, OverflowError):
            continue
        return Batch(int(number), int(frames), ended + timedelta(milliseconds=int(fraction)), took)
    return None


def age_of(timestamp: str, now: datetime) -> float:
    """Seconds since a bulletin's time of day, such as `14:03:12 UTC`, in the time zone of `now`; 0 when it says none.

    NiFi keeps bulletins for some minutes, so what seems to come is of yesterday.
    """
    found = _TIME_OF_DAY.search(timestamp)
    if not found:
        return 0.0
    hours, minutes, seconds = map(int, found.groups())
    passed = (now.hour - hours) * 3600 + (now.minute - minutes) * 60 + now.second - seconds
    return float(passed % 86_400)


def seconds_of(duration: str) -> float:
    """A duration as NiFi words it, such as `500 ms` or `5 mins`, in seconds; 0 for what is none."""
    found = _DURATION.fullmatch(duration)
    if not found:
        return 0.0
    count, unit = float(found[1]), found[2].lower()
    start = max((known for known in _UNITS if unit.startswith(known)), key=len, default="")
    return count * _UNITS.get(start, 0.0)


def micros(moment: datetime) -> int:
    """Microseconds since 1970, exactly."""
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
