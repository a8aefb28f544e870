"""One contender, one run: how fast, how late, and at what cost."""

import os
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from uuid import UUID

from cassandra.cluster import Session

from scripts.bench import watch
from scripts.bench.conditions import Conditions
from scripts.bench.contenders import Contender
from scripts.observe import topics, usage
from scripts.stack.settings import Settings

_SAMPLES_A_PAGE = 10  # rows of a throughput page that are waited for
_THROUGHPUT_POLL = (50, 0.05)  # keys of a poll, seconds between polls
_LATENCY_POLL = (10, 0.04)

T = TypeVar("T")


@dataclass(frozen=True)
class Throughput:
    """users: how many passed. seconds: hop -> from the first request until the hop had all of them.

    cpu: engine -> CPU seconds meanwhile. memory: engine -> resident bytes at the end. load: one-minute average then.
    """

    users: int
    seconds: dict[str, float]
    cpu: dict[str, float]
    memory: dict[str, int]
    load: float

    @property
    def rate(self) -> float:
        """Users a second from the first request to the last row."""
        return self.users / self.seconds["rows in Cassandra"]

    @property
    def cpu_per_100k(self) -> float:
        return sum(self.cpu.values()) * 100_000 / self.users


@dataclass(frozen=True)
class Latency:
    """Seconds from a page's HTTP response to its last row, over `pages` pages; cpu and load as in Throughput."""

    pages: int
    users_a_second: float
    p50: float
    p95: float
    p99: float
    longest: float
    cpu: dict[str, float]
    load: float


def throughput(
    contender: Contender, settings: Settings, session: Session, log: Path, seed: str, pages: int, size: int
) -> Throughput:
    """Pull pages of `size` users and wait until every sampled row can be read."""
    places = [
        page * size + (sample + 1) * size // _SAMPLES_A_PAGE - 1
        for page in range(pages)
        for sample in range(_SAMPLES_A_PAGE)
    ]
    wanted = watch.ids(seed, places)

    def run() -> float:
        dead = contender.pull(seed, pages, size, 0)
        window, pause = _THROUGHPUT_POLL
        return max(watch.arrivals(session, contender.table, wanted, window, pause, dead).values())

    last, cpu = _costed(contender, run)
    memory = {engine: usage.memory(group) for engine, group in contender.groups().items()}
    load = os.getloadavg()[0]
    contender.settled()
    answered = watch.answers(log, seed)
    begun = min(page.asked for page in answered.values())
    seconds = {
        "answered by the source": max(page.answered for page in answered.values()) - begun,
        "published to Kafka": last_published(settings, contender.topic) - begun,
        "rows in Cassandra": last - begun,
    }
    return Throughput(pages * size, seconds, cpu, memory, load)


def latency(contender: Contender, session: Session, log: Path, seed: str, conditions: Conditions) -> Latency:
    """Pull a page at each interval and see each page's last row come; the skipped pages don't count."""
    pages, size, skipped = conditions.latency_pages, conditions.latency_page, conditions.latency_pages_skipped
    wanted = watch.ids(seed, [(page + 1) * size - 1 for page in range(pages)])

    def run() -> Mapping[UUID, float]:
        dead = contender.pull(seed, pages, size, conditions.latency_interval)
        window, pause = _LATENCY_POLL
        return watch.arrivals(session, contender.table, wanted, window, pause, dead)

    seen, cpu = _costed(contender, run)
    load = os.getloadavg()[0]
    contender.settled()
    answered = watch.answers(log, seed)
    counted = range(skipped, pages)
    late = sorted(seen[wanted[page]] - answered[page + 1].answered for page in counted)
    taken = answered[pages].answered - answered[skipped + 1].answered
    cuts = statistics.quantiles(late, n=100, method="inclusive")
    return Latency(
        len(late), (len(late) - 1) * size / taken, statistics.median(late), cuts[94], cuts[98], late[-1], cpu, load
    )


def _costed(contender: Contender, run: Callable[[], T]) -> tuple[T, dict[str, float]]:
    """What `run` returns, and engine -> CPU seconds that it took; one that starts meanwhile counts from its start."""
    before = {engine: usage.cpu_seconds(group) for engine, group in contender.groups().items()}
    result = run()
    after = {engine: usage.cpu_seconds(group) for engine, group in contender.groups().items()}
    return result, {engine: after[engine] - before[engine] for engine in after}


def last_published(settings: Settings, topic: str) -> float:
    """When the last frame of a topic was made, in seconds since 1970."""
    return max(message.at for message in topics.newest(settings, topic, 1)) / 1000
