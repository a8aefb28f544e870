import json
from dataclasses import dataclass, replace
from io import StringIO
from types import SimpleNamespace
from typing import cast

import pytest
from rich.console import Console

from nifi_flows.errors import TransientError
from nifi_flows.pipeline import USERS
from scripts.bench import bench, contenders, report
from scripts.bench.bench import Benchmark, Result
from scripts.bench.conditions import Conditions
from scripts.bench.measure import Latency, Throughput
from scripts.stack.credentials import Credentials
from scripts.stack.engine import Engine
from scripts.stack.stack import Stack


def throughput(seconds: float, cpu: float = 10.0) -> Throughput:
    hops = {"answered by the source": seconds / 2, "published to Kafka": seconds / 1.5, "rows in Cassandra": seconds}
    return Throughput(200_000, hops, {"nifi": cpu, "kafka": cpu / 2}, {"nifi": 1024**3, "kafka": 1024**2}, 2.5)


def latency(p95: float = 0.9, cpu: float = 30.0) -> Latency:
    spent = {"nifi": cpu, "kafka": cpu / 2, "airflow-scheduler": 0.0}
    return Latency(600, 499.0, 0.4, p95, 1.2, 1.4, 0.003, 1e9, 60.0, spent, {"nifi": 1024**3}, 1.5)


def result(*seconds: float, p95: float = 0.9, cpu: float = 30.0) -> Result:
    return Result([throughput(each, cpu / 3) for each in seconds], latency(p95, cpu))


DONE = Benchmark(
    commit="0123456789",
    when="2026-01-02T03:04:05Z",
    conditions=Conditions(),
    cores=2,
    load_before=0.5,
    ages={"kafka": 900, "consumer": 840},
    airflow=False,
    cold=None,
    with_airflow=None,
    pipeline=result(25, 20, 40, p95=0.15),
    baseline=result(20, 10, 16, p95=0.3, cpu=24.0),
    peer=None,
    peer_title="",
    ceilings={"source answers": 60_000.0},
    counts={"rows": 7},
    lane="continuous",
    findings=[],
)
YOUNG = replace(
    DONE,
    ages={"kafka": 100, "airflow-scheduler": 31},
    airflow=True,
    cold=latency(0.4321),
    with_airflow=replace(latency(0.3), cpu={"nifi": 30.0, "kafka": 15.0, "airflow-scheduler": 30.0}),
)


def test_the_median_run_counts() -> None:
    assert DONE.pipeline.median.rate == 8_000
    assert DONE.pipeline.median.cpu_per_100k == pytest.approx(7.5)


def test_cores_are_cpu_seconds_of_a_second() -> None:
    assert latency(cpu=30.0).cores == {"nifi": 0.5, "kafka": 0.25, "airflow-scheduler": 0.0}


@pytest.mark.parametrize(("youngest", "cold"), [(119, True), (120, False), (5_000, False)])
def test_a_stack_is_cold_while_one_of_its_engines_is_young(youngest: int, cold: bool) -> None:
    assert bench.is_cold({"kafka": 9_000, "consumer": youngest}, Conditions()) is cold


def printed(done: Benchmark) -> str:
    out = StringIO()
    Console(file=out, width=240).print(report.as_text(done))
    return out.getvalue()


def line(text: str, begin: str) -> list[str]:
    """The cells of the one line that begins so, without what it begins with."""
    [found] = [each for each in text.splitlines() if each.startswith(f"{begin}  ")]
    return found.removeprefix(begin).split()


def test_ratios_are_of_this_run_alone() -> None:
    held = report.ratios(DONE)
    assert held["users/s, median"]["baseline"] == pytest.approx(16 / 25)
    assert held["latency p95, s"]["baseline"] == pytest.approx(0.5)
    assert held["CPU s per 100,000 users"]["baseline"] == pytest.approx(10 / 8)
    assert held["cores"]["baseline"] == pytest.approx(30 / 24)
    text = printed(DONE)
    assert line(text, "users/s, median") == ["8,000", "12,500", "0.64"]
    assert line(text, "latency p95, s") == ["0.150", "0.300", "0.50"]
    assert line(text, "cores at 500 users/s") == ["0.750", "0.600", "1.25"]
    assert line(text, "CPU s per 100,000 users") == ["7.5", "6.0", "1.25"]


def test_a_peer_stands_in_the_same_tables() -> None:
    beside = replace(DONE, peer=result(10, 10, 10, p95=0.03, cpu=60.0), peer_title="benthos v4.27.0")
    text = printed(beside)
    assert line(text, "users/s, median") == ["8,000", "12,500", "0.64", "20,000", "0.40"]
    assert line(text, "latency p95, s") == ["0.150", "0.300", "0.50", "0.030", "5.00"]
    assert line(text, "benthos v4.27.0, warm, without Airflow")[:3] == ["0.400", "0.030", "1.200"]
    assert line(text, "benthos v4.27.0, rows in Cassandra")[0] == "20,000"
    assert report.as_json(beside)["peer"]["median"]["users_a_second"] == 20_000
    assert "benthos" not in printed(DONE)


def test_the_report_tells_cores_by_engine_beside_the_cost_of_full_load() -> None:
    text = printed(YOUNG)
    assert line(text, "nifi") == ["5.0", "4.0", "0.50", "0.40", "0.50", "1,024"]
    assert line(text, "airflow-scheduler") == ["0.50"], "it is told of where it ran alone"
    assert line(text, "in all") == ["7.5", "6.0", "0.75", "0.60", "1.25", "1,025"]
    assert "airflow-scheduler" not in printed(DONE)


def test_a_cold_stack_is_told_as_one_with_its_age() -> None:
    text = printed(YOUNG)
    assert line(text, "pipeline, cold, with Airflow")[1] == "0.432"
    assert "cold: when the benchmark began, airflow-scheduler ran for 31 s, kafka for 100 s" in text
    text = printed(replace(YOUNG, airflow=False))
    assert line(text, "pipeline, cold, without Airflow")[1] == "0.432"
    text = printed(DONE)
    assert "pipeline, cold" not in text
    assert (
        "cold: not measured, since consumer ran for 840 s, kafka for 900 s; it is within 120 s of ./scripts/run" in text
    )


def test_the_report_says_what_was_reached_and_what_was_missed() -> None:
    text = printed(DONE)
    assert "users/s, ratio to the baseline: 0.64, at least 0.85: missed" in text
    assert "CPU s per 100,000 users, ratio to the baseline: 1.25, at most 1.35: reached" in text
    assert "p95 s, warm: 0.15, at most 0.2: reached" in text
    assert "cores, without Airflow: 0.75, at most 1: reached" in text
    assert "with Airflow" not in text.split("audit")[0].split("cores, without Airflow: ")[1], "it did not run"
    assert "audit: it adds up" in text
    text = printed(replace(YOUNG, findings=["a page is missing"]))
    assert "p95 s, cold, with Airflow: 0.4321, at most 0.5: reached" in text
    assert "cores, with Airflow: 1.25, at most 1.2: missed" in text
    assert "GiB, with Airflow: 1, at most 5.4: reached" in text
    assert "audit: a page is missing" in text


def test_a_cold_stack_without_airflow_is_not_held_against_what_is_to_be_reached_with_it() -> None:
    assert "p95 s, cold" not in printed(replace(YOUNG, airflow=False))


def test_the_report_is_json_too() -> None:
    told = json.loads(json.dumps(report.as_json(YOUNG)))
    assert told["ratios"]["users/s, median"] == {"baseline": pytest.approx(16 / 25)}
    assert told["pipeline"]["median"]["hops"]["rows in Cassandra"] == 8_000
    assert told["pipeline"]["median"]["cpu_per_100k"] == pytest.approx(7.5)
    assert told["pipeline"]["latency"]["cores"]["nifi"] == 0.5
    assert told["with_airflow"]["cores"]["airflow-scheduler"] == 0.5
    assert told["cold"]["p95"] == 0.4321
    assert told["conditions"]["users"] == 200_000


@dataclass
class Supervised:
    uptimes: dict[str, int]

    def state(self, name: str) -> str:
        return "RUNNING" if name in self.uptimes else "STOPPED"

    def uptime(self, name: str) -> int:
        return self.uptimes.get(name, 0)


def test_the_age_is_of_engines_that_run_and_that_records_pass() -> None:
    names = ("source", "kafka", "consumer", "watch", "airflow-api", "airflow-scheduler")
    engines = [Engine(name, name, "", {}, never, optional=name.startswith("airflow")) for name in names]
    up = Supervised({"source": 1, "kafka": 90, "consumer": 60, "watch": 2, "airflow-api": 20})
    made = cast(Stack, SimpleNamespace(engines=engines, supervisor=up))
    assert contenders.ages(made) == {"kafka": 90, "consumer": 60, "airflow-api": 20}
    assert contenders.airflow(made) == ["airflow-api"]


def never(credentials: Credentials | None, patience: float) -> str:
    raise AssertionError("nobody was to be asked")


def test_an_engine_that_does_not_answer_is_named() -> None:
    def ask(credentials: Credentials | None, patience: float) -> str:
        raise OSError("connection refused")

    left_out = Engine("airflow-api", "Airflow", "here", {}, ask, optional=True)
    needed = Engine("registry", "Schema registry", "there", {}, ask)
    made = SimpleNamespace(engines=[left_out, needed], credentials=None)
    with pytest.raises(TransientError, match=r"^Schema registry is not ready: connection refused$"):
        bench.check_free(cast(Stack, made), USERS)
