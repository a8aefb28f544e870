import json
from collections.abc import Callable
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import pytest
from cassandra.cluster import Session
from rich.console import Console

from nifi_flows.errors import TransientError
from scripts.bench import bench, report, watch
from scripts.bench.bench import Benchmark, Result
from scripts.bench.conditions import Conditions
from scripts.bench.measure import Latency, Throughput
from scripts.source import people
from scripts.stack.stack import Stack

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


def throughput(seconds: float, cpu: float = 10.0) -> Throughput:
    hops = {"answered by the source": seconds / 2, "published to Kafka": seconds / 1.5, "rows in Cassandra": seconds}
    return Throughput(200_000, hops, {"nifi": cpu, "kafka": cpu / 2}, {"nifi": 1024**3, "kafka": 1024**2}, 2.5)


def result(*seconds: float) -> Result:
    late = Latency(600, 499.0, 0.4, 0.9, 1.2, 1.4, {"nifi": 1.0}, 1.5)
    return Result([throughput(each) for each in seconds], late)


DONE = Benchmark(
    commit="0123456789",
    when="2026-01-02T03:04:05Z",
    conditions=Conditions(),
    cores=2,
    load_before=0.5,
    pipeline=result(25, 20, 40),
    baseline=result(20, 10, 16),
    ceilings={"source answers": 60_000.0},
    counts={"rows": 7},
    findings=[],
)


def test_the_median_run_counts() -> None:
    assert DONE.pipeline.median.rate == 8_000
    assert DONE.ratio == pytest.approx(16 / 25)
    assert DONE.pipeline.median.cpu_per_100k == pytest.approx(7.5)


def printed(done: Benchmark) -> str:
    out = StringIO()
    Console(file=out, width=160).print(report.as_text(done))
    return out.getvalue()


def test_the_report_says_what_was_reached_and_what_was_missed() -> None:
    text = printed(DONE)
    assert "ratio: 0.64, at least 0.6: reached" in text
    assert "users a second: 8,000, at least 7,000: reached" in text
    assert "p95 seconds: 0.9, at most 1: reached" in text
    assert "audit: it adds up" in text
    slow = Benchmark(**{**vars(DONE), "pipeline": result(50, 50, 50), "findings": ["a page is missing"]})
    assert "users a second: 4,000, at least 7,000: missed" in printed(slow)
    assert "audit: a page is missing" in printed(slow)


def test_the_report_is_json_too() -> None:
    told = json.loads(json.dumps(report.as_json(DONE)))
    assert told["ratio"] == DONE.ratio
    assert told["pipeline"]["median"]["hops"]["rows in Cassandra"] == 8_000
    assert told["conditions"]["users"] == 200_000


def test_an_engine_that_does_not_answer_is_named() -> None:
    def ask(credentials: None, patience: float) -> str:
        raise OSError("connection refused")

    left_out = SimpleNamespace(title="Airflow", ask=ask, optional=True)
    away = SimpleNamespace(title="Schema registry", ask=ask, optional=False)
    made = SimpleNamespace(engines=[left_out, away], credentials=None)
    with pytest.raises(TransientError, match=r"^Schema registry is not ready: connection refused$"):
        bench.check_free(cast(Stack, made))
