"""When rows can be read: an outside poll of Cassandra, the same for every contender."""

import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from cassandra.cluster import Session

from nifi_flows.errors import TransientError
from scripts.source import people

_STALLED = 60  # seconds without a new row after which nobody waits any longer


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
