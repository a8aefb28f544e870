"""When rows can be read: what is asked for, and which moment counts."""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import pytest
from cassandra.cluster import Session

from nifi_flows.errors import TransientError
from scripts.bench import watch
from scripts.source import people

KEYS = [UUID(int=number) for number in range(1, 7)]


@dataclass
class Rows:
    """A table that gets some rows with each poll. Stands in for a session of the Cassandra driver."""

    coming: list[set[UUID]]
    here: set[UUID] = field(default_factory=set)
    asked: list[list[UUID]] = field(default_factory=list)

    def prepare(self, statement: str) -> str:
        return statement

    def execute(self, statement: str, values: list[list[UUID]]) -> list[Any]:
        self.here |= self.coming.pop(0) if self.coming else set()
        self.asked.append(values[0])
        return [SimpleNamespace(id=key) for key in values[0] if key in self.here]


def arrivals(rows: Rows, window: int, dead: Callable[[], str | None] = lambda: None) -> dict[UUID, float]:
    return watch.arrivals(cast(Session, rows), "some.table", KEYS, window, 0.0, dead)


def test_each_row_is_seen_once_it_is_there_whatever_the_order() -> None:
    rows = Rows([{KEYS[1]}, set(), {KEYS[0], KEYS[5]}, {KEYS[2], KEYS[3], KEYS[4]}])
    seen = arrivals(rows, window=2)
    assert set(seen) == set(KEYS)
    assert next(iter(seen)) == KEYS[1]
    assert all(len(poll) <= 2 for poll in rows.asked)


def test_a_contender_that_ended_is_not_waited_for() -> None:
    with pytest.raises(TransientError, match=r"^it ended with 1$"):
        arrivals(Rows([{KEYS[0]}]), 3, dead=lambda: "it ended with 1")


def test_rows_that_stop_coming_are_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "_STALLED", 0.0)
    with pytest.raises(TransientError, match=r"^no new row in some\.table"):
        arrivals(Rows([{KEYS[0]}]), 3)


@dataclass
class Table:
    """A session whose reads are answered by threads.

    there: key -> which question about it, from 1, is the first to find its row. slow: how many seconds an answer takes,
    by the question's number, from 0; None for one that never comes. The others come at once.
    """

    there: dict[UUID, int]
    slow: dict[int, float | None] = field(default_factory=dict)
    fails: Exception | None = None
    asked: list[UUID] = field(default_factory=list)

    def prepare(self, statement: str) -> str:
        return statement

    def execute_async(self, statement: str, values: list[UUID]) -> "Table":
        self.asked.append(values[0])
        return self

    def add_callbacks(self, came: Callable[[list[Any]], None], failed: Callable[[Exception], None]) -> None:
        [*_, key] = self.asked
        takes = self.slow.get(len(self.asked) - 1, 0.0)
        here = key in self.there and self.asked.count(key) >= self.there[key]
        if self.fails:
            failed(self.fails)
        elif takes == 0.0:
            came([key] if here else [])
        elif takes is not None:
            later = threading.Timer(takes, came, [[key] if here else []])
            later.daemon = True
            later.start()


AT_ONCE = dict.fromkeys(KEYS, 1)


def sightings(table: Table, pause: float = 0.01, dead: Callable[[], str | None] = lambda: None) -> watch.Sightings:
    return watch.sightings(cast(Session, table), "some.table", KEYS, pause, dead)


def test_only_the_oldest_row_that_was_not_seen_is_asked_for() -> None:
    table = Table({key: number for number, key in enumerate(KEYS, 1)})
    found = sightings(table)
    assert list(found.seen) == KEYS
    assert table.asked == [key for number, key in enumerate(KEYS, 1) for _ in range(number)]
    assert len(found.trips) == len(table.asked)


def test_a_row_that_is_not_there_is_asked_for_again_after_a_pause() -> None:
    begun = time.monotonic()
    sightings(Table({**AT_ONCE, KEYS[2]: 4}), pause=0.2)
    assert time.monotonic() - begun >= 3 * 0.2


def test_the_rows_of_one_batch_are_seen_in_one_go() -> None:
    begun = time.monotonic()
    sightings(Table(AT_ONCE), pause=30)
    assert time.monotonic() - begun < 30, "it waited for the next poll"


@pytest.mark.parametrize("takes", [60.0, None])
def test_an_answer_that_takes_long_or_never_comes_delays_nothing(takes: float | None) -> None:
    begun = time.monotonic()
    sightings(Table(AT_ONCE, slow={0: takes, 3: takes}))
    assert time.monotonic() - begun < 30


def test_the_moment_counts_at_which_the_answer_came() -> None:
    begun = time.time()
    found = sightings(Table(AT_ONCE, slow=dict.fromkeys(range(500), 0.2)))
    assert found.seen[KEYS[0]] >= begun + 0.2
    assert found.seen[KEYS[-1]] <= time.time()
    assert min(found.trips) >= 0.2


def test_a_second_answer_about_a_row_tells_nothing_of_the_next_one() -> None:
    table = Table({**dict.fromkeys(KEYS, 30), KEYS[0]: 1}, slow=dict.fromkeys(range(10), 0.2))
    sightings(table)
    assert table.asked.count(KEYS[1]) >= 30


def test_a_cassandra_that_does_not_answer_is_not_asked_on_and_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "_STALLED", 0.5)
    monkeypatch.setattr(watch, "_UNDER_WAY", 5)
    table = Table({}, slow=dict.fromkeys(range(1000)))
    with pytest.raises(TransientError, match=r"^no new row in some\.table"):
        sightings(table)
    assert len(table.asked) <= 5


def test_polling_ends_with_its_contender_and_with_an_error_of_the_driver() -> None:
    with pytest.raises(TransientError, match=r"^it ended with 1$"):
        sightings(Table({}), dead=lambda: "it ended with 1")
    with pytest.raises(ValueError, match=r"^no host$"):
        sightings(Table({}, fails=ValueError("no host")))


def test_answers_are_those_of_the_seed_and_whole_lines(tmp_path: Path) -> None:
    log = tmp_path / "answered"
    lines = [
        {"seed": "a", "page": "1", "asked": 1.0, "answered": 1.5},
        {"seed": "b", "page": "1", "asked": 2.0, "answered": 2.5},
        {"seed": "a", "page": "2", "asked": 3.0, "answered": 3.5},
        {"seed": "a", "page": "1", "asked": 4.0, "answered": 4.5},  # asked for again
    ]
    log.write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"seed": "a", "pa')
    assert {page: found.answered for page, found in watch.answers(log, "a").items()} == {1: 4.5, 2: 3.5}


def test_the_keys_waited_for_are_those_that_the_source_gives() -> None:
    users = [json.loads(user) for user in people.users("s", range(3))]
    assert watch.ids("s", [2, 0]) == [UUID(users[2]["login"]["uuid"]), UUID(users[0]["login"]["uuid"])]
