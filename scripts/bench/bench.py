"""The whole benchmark: the pipeline, the baseline and the ceilings, one after the other on one running stack."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import requests
from cassandra.cluster import Session
from confluent_kafka import Producer

from nifi_flows.errors import TransientError
from nifi_flows.pipeline import Pipeline
from nifi_flows.wording import first_line
from scripts.audit.collect import collect
from scripts.bench import contenders
from scripts.bench.conditions import Conditions
from scripts.bench.contenders import Contender
from scripts.bench.measure import Latency, Throughput, latency, throughput
from scripts.bench.peer.binary import Peer
from scripts.bootstrap import ROOT
from scripts.deployment import service, state
from scripts.deployment.context import Context
from scripts.observe import consumer, engines, pull_run
from scripts.observe.gather import Failed, Unread, gather
from scripts.stack.engines import cassandra, kafka
from scripts.stack.stack import Stack

_ANSWER = 5.0  # seconds that an engine gets for an answer
_PATIENCE = 10.0  # seconds for all of them
_FRAME = 480  # bytes of a user's frame, on average
Say = Callable[[str], None]


@dataclass(frozen=True)
class Result:
    """One contender, warm and without Airflow. throughput: the runs in their order."""

    throughput: list[Throughput]
    latency: Latency

    @property
    def median(self) -> Throughput:
        """The run of median rate."""
        return sorted(self.throughput, key=lambda run: run.rate)[len(self.throughput) // 2]


@dataclass(frozen=True)
class Benchmark:
    """ages: engine -> seconds that it had run for when the benchmark began. cold: the pipeline's latency right then,
    None when the stack was too old. airflow: whether Airflow ran then, and beside `cold`. with_airflow: the pipeline's
    latency once warm, with Airflow; None when it did not run. peer: None without one; peer_title: its name and version.
    ceilings: what each engine does alone, users a second.
    lane: in which the pipeline's consumer went at the end. findings: what `audit` found wrong after it all, and a lane
    that is not the one that is set.
    """

    commit: str
    when: str
    conditions: Conditions
    cores: int
    load_before: float
    ages: dict[str, int]
    airflow: bool
    cold: Latency | None
    with_airflow: Latency | None
    pipeline: Result
    baseline: Result
    peer: Result | None
    peer_title: str
    ceilings: dict[str, float]
    counts: dict[str, int]
    lane: str
    findings: list[str]


def check_free(stack: Stack, pipeline: Pipeline) -> None:
    """Raise TransientError unless every engine answers and nothing is under way: it would be measured, too."""
    needed = [engine for engine in stack.engines if not engine.optional]
    asks = engines.asks(needed, stack.credentials, _ANSWER)
    read = gather([[asked] for asked in asks.values()], _PATIENCE)
    for engine in needed:
        answer = read.of(asks[engine.name])
        if isinstance(answer, Unread):
            why = first_line(answer.error) if isinstance(answer, Failed) else f"no answer in {_PATIENCE:g} s"
            raise TransientError(
                f"{engine.title} is not ready: {why}",
                "./scripts/run brings the stack up; ./scripts/pipeline doctor says what is wrong",
            )
    consumed = consumer.positions(stack.settings, pipeline)
    found, lag = pull_run.read(stack.nifi, pipeline), consumer.unfinished_of(consumed)
    if not pull_run.at_rest(found) or lag:
        raise TransientError(
            f"the stack is busy: {pull_run.describe(found)}, {lag} frames not yet consumed",
            "wait for the run to end (./scripts/pipeline status), or give it an end: ./scripts/run --pages N",
        )
    if lane := consumer.left_lane(consumed, pipeline):
        raise TransientError(
            f"the consumer goes in the lane {lane}", "wait until it is back (./scripts/pipeline doctor)"
        )


def run(stack: Stack, pipeline: Pipeline, conditions: Conditions, say: Say, peer: Peer | None = None) -> Benchmark:
    """Measure everything, and a peer if there is one.

    Raises TransientError when the stack is not ready, is busy or fails on the way.

    The flow gets its parameters back and the consumer runs again, however it ends; the users that were pulled stay.
    """
    check_free(stack, pipeline)
    load, begun, ages = os.getloadavg()[0], time.gmtime(), contenders.ages(stack)
    airflow = bool(contenders.airflow(stack))
    with (
        tempfile.TemporaryDirectory() as folder,
        cassandra.session(stack.settings, stack.credentials) as session,
        ExitStack() as left_out,
    ):
        log = Path(folder) / "answered"
        url, pid = left_out.enter_context(contenders.source(stack, log))
        before = _overrides(stack, pipeline)
        meter = _Meter(stack, session, log, conditions, say)
        try:
            contender = contenders.Ours(stack, pipeline, url, pid)
            cold = meter.cold(contender) if is_cold(ages, conditions) else None
            meter.warm_up(contender)
            with_airflow = meter.latency(contender, " with Airflow") if airflow else None
            left_out.enter_context(contenders.airflow_left_out(stack))
            ours = meter.result(contender)
            say("audit")
            audited = collect(stack.settings, pipeline)
            consumed = consumer.positions(stack.settings, pipeline)
            with contenders.spark_free(stack):
                with contenders.baseline(stack, pipeline, session, url, pid) as plain:
                    meter.warm_up(plain)
                    theirs = meter.result(plain)
                others = None
                if peer:
                    with contenders.peer(stack, pipeline, session, url, pid, peer) as other:
                        meter.warm_up(other)
                        others = meter.result(other)
                say("ceilings")
                ceilings = _ceilings(stack, pipeline, session, url, conditions)
        finally:
            _restore(stack, pipeline, before)
    return Benchmark(
        commit=commit(),
        when=time.strftime("%Y-%m-%dT%H:%M:%SZ", begun),
        conditions=conditions,
        cores=os.cpu_count() or 0,
        load_before=load,
        ages=ages,
        airflow=airflow,
        cold=cold,
        with_airflow=with_airflow,
        pipeline=ours,
        baseline=theirs,
        peer=others,
        peer_title=peer.title if peer else "",
        ceilings=ceilings,
        counts=audited.counts,
        lane=consumer.lane_of(consumed),
        findings=audited.findings
        + [f"the lane became {lane}" for lane in [consumer.left_lane(consumed, pipeline)] if lane],
    )


def is_cold(ages: Mapping[str, float], conditions: Conditions) -> bool:
    """Whether a stack whose engines run for so many seconds has an engine that has just begun."""
    return min(ages.values()) < conditions.cold_age


@dataclass(frozen=True)
class _Meter:
    """Measures contenders one after the other."""

    stack: Stack
    session: Session
    log: Path
    conditions: Conditions
    say: Say

    def warm_up(self, contender: Contender) -> None:
        users = self.conditions.warm_up
        self.say(f"{contender.name}: warming up with {users:,} users")
        self._pulled(contender, "warm", users // self.conditions.page)

    def result(self, contender: Contender) -> Result:
        runs = []
        for number in range(1, self.conditions.runs + 1):
            runs.append(self._pulled(contender, str(number), self.conditions.pages))
            self.say(f"{contender.name}: run {number} of {self.conditions.runs}: {runs[-1].rate:,.0f} users/s")
        return Result(runs, self.latency(contender))

    def latency(self, contender: Contender, how: str = "") -> Latency:
        """how: said beside it."""
        pages, skipped = self.conditions.latency_pages, self.conditions.latency_pages_skipped
        return self._paced(contender, f"latency{how}", pages, skipped)

    def cold(self, contender: Contender) -> Latency:
        return self._paced(contender, "latency while cold", self.conditions.cold_pages, 0)

    def _paced(self, contender: Contender, what: str, pages: int, skipped: int) -> Latency:
        self.say(f"{contender.name}: {what} for {pages * self.conditions.latency_interval:.0f} s")
        seed = _seed(contender, "latency")
        late = latency(contender, self.session, self.log, seed, self.conditions, pages, skipped)
        self.say(f"{contender.name}: p95 {late.p95:.3f} s, {sum(late.cores.values()):.2f} cores")
        return late

    def _pulled(self, contender: Contender, name: str, pages: int) -> Throughput:
        seed, page = _seed(contender, name), self.conditions.page
        return throughput(contender, self.stack.settings, self.session, self.log, seed, pages, page)


def _seed(contender: Contender, name: str) -> str:
    """Of users that nobody has pulled yet."""
    return f"{contender.name}-{int(time.time())}-{name}"


def _overrides(stack: Stack, pipeline: Pipeline) -> dict[str, str]:
    deployed = state.deployed(Context(stack.settings, pipeline))
    assert deployed  # check_free has seen it
    return dict(deployed.overrides)


def _restore(stack: Stack, pipeline: Pipeline, before: dict[str, str]) -> None:
    """Give the flow back what it pulled before. To NiFi that is another run: it pulls those pages once more."""
    overrides = {**dict.fromkeys(_overrides(stack, pipeline)), **before}
    service.deploy(Context(stack.settings, pipeline), overrides=overrides)


def _ceilings(stack: Stack, pipeline: Pipeline, session: Session, url: str, conditions: Conditions) -> dict[str, float]:
    """users/s of: the source alone, publishing to Kafka alone, Spark's append alone."""
    return {
        "source answers": _source_alone(url, conditions),
        "Python publishes to Kafka": _publish_alone(stack, pipeline, conditions),
        "Spark appends to Cassandra": _append_alone(stack, pipeline, session, conditions),
    }


def _source_alone(url: str, conditions: Conditions) -> float:
    with requests.Session() as http:
        begun = time.monotonic()
        for page in range(1, conditions.pages + 1):
            query: dict[str, str | int] = {"seed": "ceiling", "results": conditions.page, "page": page}
            assert http.get(url, params=query, timeout=30).content
        return conditions.users / (time.monotonic() - begun)


def _publish_alone(stack: Stack, pipeline: Pipeline, conditions: Conditions) -> float:
    producer = Producer(
        {"bootstrap.servers": kafka.address(stack.settings), "compression.type": "lz4", "linger.ms": 10}
    )
    frames = [os.urandom(_FRAME // 2).hex().encode() for _ in range(conditions.page)]
    with contenders.topic(stack, pipeline) as topic:
        begun = time.monotonic()
        for _ in range(conditions.pages):
            for frame in frames:
                producer.produce(topic, frame, frame[:36])
            producer.flush()
        taken = time.monotonic() - begun
    return conditions.users / taken


def _append_alone(stack: Stack, pipeline: Pipeline, session: Session, conditions: Conditions) -> float:
    with contenders.table(session, pipeline) as table:
        done = subprocess.run(
            [sys.executable, "-m", "scripts.bench.baseline.append", table, str(conditions.users), str(conditions.runs)],
            cwd=ROOT,
            env={**os.environ, **contenders.consumer_environment(stack, pipeline)},
            capture_output=True,
            check=False,
        )
    if done.returncode:
        raise TransientError(
            f"Spark's append alone failed: {(done.stderr.decode(errors='replace').splitlines() or [''])[-1]}",
            "./scripts/pipeline logs spark-worker",
        )
    seconds = sorted(json.loads(done.stdout))
    return conditions.users / float(seconds[len(seconds) // 2])


def commit() -> str:
    """The commit that is measured, with `-changed` when the files are not those of it; `unknown` outside of git."""
    described = subprocess.run(
        ["git", "describe", "--always", "--abbrev=10", "--dirty=-changed", "--exclude=*"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return described.stdout.strip() or "unknown"
