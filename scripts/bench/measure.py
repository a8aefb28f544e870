"""One contender, one run: how fast, how late, and at what cost."""

import os
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from cassandra.cluster import Session

from nifi_flows.errors import TransientError
from scripts.bench import watch
from scripts.bench.conditions import Conditions
from scripts.bench.contenders import Contender
from scripts.observe import topics, usage
from scripts.stack.settings import Settings

_SAMPLES_A_PAGE = 10  # rows of a throughput page that are waited for
_THROUGHPUT_POLL = (50, 0.05)  # keys of a poll, seconds between polls
_FEWEST = 20  # pages that a percentile is told of
_LATENCY_POLL = 0.005  # seconds between polls, so the error of a latency


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
    """From a page's HTTP response to its last row, at a steady pace.

    p50, p95, p99, longest: seconds, over `pages` pages. poll: seconds within which 95 % of the polls had their answer.
    begun: since when pages count, in seconds since 1970; what follows is of the `seconds` from then on. cpu: engine ->
    CPU seconds. memory, load: as in Throughput.
    """

    pages: int
    users_a_second: float
    p50: float
    p95: float
    p99: float
    longest: float
    poll: float
    begun: float
    seconds: float
    cpu: dict[str, float]
    memory: dict[str, int]
    load: float

    @property
    def cores(self) -> dict[str, float]:
        """Engine -> how many cores it kept busy."""
        return {engine: cpu / self.seconds for engine, cpu in self.cpu.items()}


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

    before = _cpu(contender)
    dead = contender.pull(seed, pages, size, 0)
    window, pause = _THROUGHPUT_POLL
    last = max(watch.arrivals(session, contender.table, wanted, window, pause, dead).values())
    cpu = _since(before, contender)
    memory, load = _memory(contender), os.getloadavg()[0]
    contender.settled()
    answered = watch.answers(log, seed)
    begun = min(page.asked for page in answered.values())
    seconds = {
        "answered by the source": max(page.answered for page in answered.values()) - begun,
        "published to Kafka": last_published(settings, contender.topic) - begun,
        "rows in Cassandra": last - begun,
    }
    return Throughput(pages * size, seconds, cpu, memory, load)


def latency(
    contender: Contender, session: Session, log: Path, seed: str, conditions: Conditions, pages: int, skipped: int
) -> Latency:
    """Pull so many small pages at their pace and see the last row of each come; the first `skipped` don't count.

    Nor do pages of the moments in which the pull was set up and CPU time was read, since nobody looked for rows then.
    Raises TransientError when hardly any is left.
    """
    size = conditions.latency_page
    wanted = watch.ids(seed, [(page + 1) * size - 1 for page in range(pages)])
    dead = contender.pull(seed, pages, size, conditions.latency_interval)
    seen = watch.sightings(session, contender.table, wanted[:skipped], _LATENCY_POLL, dead).seen
    before = _cpu(contender)
    begun = time.time()
    polled = watch.sightings(session, contender.table, wanted[skipped:], _LATENCY_POLL, dead)
    seconds, cpu = time.time() - begun, _since(before, contender)
    memory, load = _memory(contender), os.getloadavg()[0]
    contender.settled()
    answered = watch.answers(log, seed)
    counted = counting(answered, skipped, begun)
    late = delays(answered, counted, wanted, seen | polled.seen)
    taken = answered[counted[-1] + 1].answered - answered[counted[0] + 1].answered
    cuts = statistics.quantiles(late, n=100, method="inclusive")
    trips = statistics.quantiles(polled.trips, n=100, method="inclusive")
    return Latency(
        pages=len(late),
        users_a_second=(len(late) - 1) * size / taken,
        p50=statistics.median(late),
        p95=cuts[94],
        p99=cuts[98],
        longest=late[-1],
        poll=trips[94],
        begun=begun,
        seconds=seconds,
        cpu=cpu,
        memory=memory,
        load=load,
    )


def counting(answered: Mapping[int, watch.Answered], skipped: int, begun: float) -> list[int]:
    """The places, from 0, of the pages that were answered when their rows were looked for, without those skipped.

    Raises TransientError when they are too few for a percentile.
    """
    counted = [page - 1 for page in sorted(answered) if page > skipped and answered[page].answered >= begun]
    if len(counted) < _FEWEST:
        raise TransientError(
            f"only {len(counted)} pages came once their rows were looked for: the pull was set up too slowly",
            "run the benchmark again with less beside it",
        )
    return counted


def delays(
    answered: Mapping[int, watch.Answered], pages: Sequence[int], keys: Sequence[UUID], seen: Mapping[UUID, float]
) -> list[float]:
    """Seconds from the HTTP response to the row, of each of these pages, the shortest first. keys: a page's each."""
    return sorted(seen[keys[page]] - answered[page + 1].answered for page in pages)


def _cpu(contender: Contender) -> dict[str, float]:
    return {engine: usage.cpu_seconds(group) for engine, group in contender.groups().items()}


def _since(before: Mapping[str, float], contender: Contender) -> dict[str, float]:
    """Engine -> CPU seconds since then; of one that started meanwhile, from its start."""
    return {engine: total - before.get(engine, 0.0) for engine, total in _cpu(contender).items()}


def _memory(contender: Contender) -> dict[str, int]:
    return {engine: usage.memory(group) for engine, group in contender.groups().items()}


def last_published(settings: Settings, topic: str) -> float:
    """When the last frame of a topic was made, in seconds since 1970."""
    return max(message.at for message in topics.newest(settings, topic, 1)) / 1000
