"""What the topics show: how far behind the consumer is, whether it moves, and what became a dead letter."""

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import requests

from nifi_flows.pipeline import USERS
from nifi_flows.wording import one_line
from scripts.doctor.finding import Finding, ok, problem, warning
from scripts.stack import hops
from scripts.stack.hops import Position
from scripts.stack.settings import Settings

_WATCHED = 3.0  # seconds that a consumer which is behind is watched
_SILENT = 60  # seconds without a line in its log after which a consumer that stands still hangs
_LETTERS = 200  # the newest dead letters, which are read for their reasons
_REASONS = 4  # that are named

Positions = Mapping[int, Position]


@dataclass(frozen=True)
class Progress:
    """The consumer's positions, and again some seconds later. silent: seconds since it last wrote to its log."""

    before: Positions
    after: Positions
    seconds: float
    silent: float


def read_progress(settings: Settings) -> Progress:
    """Looks once at a consumer that is not behind. Raises TransientError when Kafka does not answer."""
    begun = time.monotonic()
    before = after = hops.positions(settings)
    while _lag(after) and _committed(after) == _committed(before) and time.monotonic() - begun < _WATCHED:
        time.sleep(0.5)
        after = hops.positions(settings)
    log = settings.logs / "consumer.log"
    silent = time.time() - log.stat().st_mtime if log.exists() else 0.0
    return Progress(before, after, time.monotonic() - begun, silent)


def check_progress(progress: Progress) -> Iterator[Finding]:
    # What retention removed before the consumer came to it; a consumer that has committed nothing may be a new one.
    lost = sum(max(0, p.first - p.committed) for p in progress.after.values() if p.committed is not None)
    if lost:
        what = f"Kafka has removed {lost:,} frames that the consumer had not read"
        yield problem("lag", what, "./scripts/pipeline audit names what is missing; pull it again with a new seed")
    lag, moved = _lag(progress.after), _committed(progress.after) - _committed(progress.before)
    if not lag:
        yield ok("lag", "every frame is consumed")
    elif moved:
        yield ok("lag", f"{lag:,} frames behind, and moving")
    elif progress.silent > _SILENT:
        yield problem(
            "lag",
            f"{lag:,} frames behind, and the consumer has stood still for {progress.silent:.0f} s",
            "./scripts/pipeline logs consumer; ./scripts/pipeline down and ./scripts/run restart it",
        )
    else:
        what = f"{lag:,} frames behind, and none consumed in {progress.seconds:.0f} s"
        yield warning("lag", what, "ask again; if it stays so, ./scripts/pipeline logs consumer")


@dataclass(frozen=True)
class DeadLetters:
    """count: messages in the topic. read: how many of the newest were read. reasons: reason code -> times in those."""

    count: int
    read: int
    reasons: Mapping[str, int]


def read_dead_letters(settings: Settings) -> DeadLetters:
    """Raises TransientError when Kafka does not answer, and whatever decoding raises.

    Reasons can be read only while the schema registry answers.
    """
    count = hops.length(settings, USERS.dead_letters)
    reasons: Counter[str] = Counter()
    read = 0
    decoder = hops.Decoder(settings)
    try:
        for message in hops.read(settings, USERS.dead_letters, last=_LETTERS) if count else ():
            reasons.update(decoder.decode(message.value())["reasons"])
            read += 1
    except requests.RequestException:
        pass  # the registry is away, which is told of it; what was read before still counts
    return DeadLetters(count, read, dict(reasons.most_common(_REASONS)))


def check_dead_letters(letters: DeadLetters) -> Finding:
    if not letters.count:
        return ok("dead letters", "none")
    named = ", ".join(f"{times} {one_line(reason)}" for reason, times in letters.reasons.items())
    of = f"of the last {letters.read}" if letters.read < letters.count else "by reason"
    named = f"; {of}: {named}" if named else ""
    remedy = "./scripts/pipeline audit counts them all; mend the source where they are not meant"
    return warning("dead letters", f"{letters.count:,} in {USERS.dead_letters}{named}", remedy)


def _lag(positions: Positions) -> int:
    return sum(position.lag for position in positions.values())


def _committed(positions: Positions) -> int:
    return sum(position.committed or 0 for position in positions.values())
