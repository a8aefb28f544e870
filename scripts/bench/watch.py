"""When rows can be read: an outside poll of Cassandra, the same for every contender."""

import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, Queue
from typing import Any
from uuid import UUID

from cassandra.cluster import Session

from nifi_flows.errors import TransientError
from scripts.source import people

_STALLED = 60  # seconds without a new row after which nobody waits any longer
_UNDER_WAY = 100  # questions to a Cassandra that does not answer, after which no more are asked


@dataclass(frozen=True)
class Answered:
    """A page as the source gave it; asked, answered: seconds since 1970."""

    page: int
    asked: float
    answered: float


def answers(log: Path, seed: str) -> dict[int, Answered]:
    """page number -> when the source answered it last; lines that are still being written don't count."""
    found = {}
    for line in log.read_text().splitlines(keepends=True):
        if line.endswith("\n") and (entry := json.loads(line))["seed"] == seed:
            page = int(entry["page"])
            found[page] = Answered(page, entry["asked"], entry["answered"])
    return found


def ids(seed: str, indices: Iterable[int]) -> list[UUID]:
    """The keys of the users at these places of the row of users that the seed stands for."""
    return [UUID(json.loads(user)["login"]["uuid"]) for user in people.users(seed, indices)]


def arrivals(
    session: Session,
    table: str,
    wanted: Sequence[UUID],
    window: int,
    pause: float,
    dead: Callable[[], str | None],
) -> dict[UUID, float]:
    """Poll until each of the wanted rows is there: key -> when it was first seen, in seconds since 1970.

    wanted: in about the order in which they arrive. window: how many of the next ones a poll asks for.
    pause: seconds between two polls, so the error of each figure. dead: says why no more rows will come, or None.
    Raises TransientError then, or when none comes for a minute.
    """
    statement = session.prepare(f"SELECT id FROM {table} WHERE id IN ?")
    pending, moved = list(wanted), time.monotonic()
    seen: dict[UUID, float] = {}
    while pending:
        asked = pending[:window]
        here = {row.id for row in session.execute(statement, [asked])}
        seen |= dict.fromkeys(here, time.time())
        pending = [key for key in asked if key not in here] + pending[window:]
        if here:
            moved = time.monotonic()
        elif time.monotonic() - moved > _STALLED:
            raise TransientError(f"no new row in {table} for {_STALLED} s", "./scripts/pipeline status")
        elif why := dead():
            raise TransientError(why, "read its log")
        if len(here) < len(asked):
            time.sleep(pause)
    return seen


@dataclass(frozen=True)
class Sightings:
    """seen: key -> when its row was first seen, in seconds since 1970. trips: seconds that each poll's answer took."""

    seen: dict[UUID, float]
    trips: list[float]


def sightings(
    session: Session, table: str, wanted: Sequence[UUID], pause: float, dead: Callable[[], str | None]
) -> Sightings:
    """Poll for the oldest wanted row that was not seen yet, until all are: a read every `pause` seconds.

    An answer that takes longer holds up nobody: the next question goes out beside it, and the first answer that has
    the row counts, at the moment at which it comes. Once it is there the next row is asked for at once, so those of one
    batch are seen in one go. A row that overtakes an older one is seen with that one.

    wanted: in the order in which they are published. dead: says why no more rows will come, or None. Raises
    TransientError then, or when none comes for a minute, and what the driver raises.
    """
    statement = session.prepare(f"SELECT id FROM {table} WHERE id = ?")
    answers: Queue[_Answer | Exception] = Queue()  # a SimpleQueue may wait for ever where the timeout is tiny
    seen: dict[UUID, float] = {}
    trips: list[float] = []
    under_way, due, moved = 0, time.monotonic(), time.monotonic()
    while len(seen) < len(wanted):
        now, oldest = time.monotonic(), wanted[len(seen)]
        if now >= due:
            if now - moved > _STALLED:
                raise TransientError(f"no new row in {table} for {_STALLED} s", "./scripts/pipeline status")
            if why := dead():
                raise TransientError(why, "read its log")
            if under_way < _UNDER_WAY:
                under_way += 1
                _ask(session, statement, oldest, answers)
            due = now + pause
        try:
            answer = answers.get(timeout=max(0.0, due - time.monotonic()))
        except Empty:
            continue
        under_way -= 1
        if isinstance(answer, Exception):
            raise answer
        trips.append(answer.took)
        if answer.here and answer.key == oldest:
            seen[oldest] = answer.at
            due = moved = time.monotonic()
    return Sightings(seen, trips)


@dataclass(frozen=True)
class _Answer:
    """here: whether the row is there. at: when the answer came, in seconds since 1970. took: seconds."""

    key: UUID
    here: bool
    at: float
    took: float


def _ask(session: Session, statement: Any, key: UUID, answers: "Queue[_Answer | Exception]") -> None:
    """Ask whether a row is there. Its answer is dated by the driver's own thread, whatever the caller is at."""
    asked = time.monotonic()

    def came(rows: Sequence[Any]) -> None:
        answers.put(_Answer(key, bool(rows), time.time(), time.monotonic() - asked))

    session.execute_async(statement, [key]).add_callbacks(came, answers.put)
