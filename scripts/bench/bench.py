"""The whole benchmark: the pipeline, the baseline and the ceilings, one after the other on one running stack."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
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
    """One contender. throughput: the runs in their order."""

    throughput: list[Throughput]
    latency: Latency

    @property
    def median(self) -> Throughput:
        """The run of median rate."""
        return sorted(self.throughput, key=lambda run: run.rate)[len(self.throughput) // 2]


@dataclass(frozen=True)
class Benchmark:
    """ceilings: what each engine does alone, users a second. findings: what `audit` found wrong after it all."""

    commit: str
    when: str
    conditions: Conditions
    cores: int
    load_before: float
    pipeline: Result
    baseline: Result
    ceilings: dict[str, float]
    counts: dict[str, int]
    findings: list[str]

    @property
    def ratio(self) -> float:
        """The pipeline's median throughput as part of the baseline's."""
        return self.pipeline.median.rate / self.baseline.median.rate


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
    found, lag = pull_run.read(stack.nifi, pipeline), consumer.unfinished(stack.settings, pipeline)
    if not pull_run.at_rest(found) or lag:
        raise TransientError(
            f"the stack is busy: {pull_run.describe(found)}, {lag} frames not yet consumed",
            "wait for the run to end (./scripts/pipeline status), or give it an end: ./scripts/run --pages N",
        )


def run(stack: Stack, pipeline: Pipeline, conditions: Conditions, say: Say) -> Benchmark:
    """Measure everything. Raises TransientError when the stack is not ready, is busy or fails on the way.

    The flow gets its parameters back and the consumer runs again, however it ends; the users that were pulled stay.
    """
    check_free(stack, pipeline)
    load = os.getloadavg()[0]
    begun = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    with tempfile.TemporaryDirectory() as folder, cassandra.session(stack.settings, stack.credentials) as session:
        log = Path(folder) / "answered"
        with contenders.airflow_left_out(stack), contenders.source(stack, log) as (url, pid):
            before = _overrides(stack, pipeline)
            try:
                ours = _measured(contenders.Ours(stack, pipeline, url, pid), stack, session, log, conditions, say)
                say("audit")
                audited = collect(stack.settings, pipeline)
                with contenders.baseline(stack, pipeline, session, url, pid) as plain:
                    theirs = _measured(plain, stack, session, log, conditions, say)
                say("ceilings")
                ceilings = _ceilings(stack, pipeline, session, url, conditions)
            finally:
                _restore(stack, pipeline, before)
    return Benchmark(
        commit(),
        begun,
        conditions,
        os.cpu_count() or 0,
        load,
        ours,
        theirs,
        ceilings,
        audited.counts,
        audited.findings,
    )


def _measured(
    contender: Contender, stack: Stack, session: Session, log: Path, conditions: Conditions, say: Say
) -> Result:
    seed = f"{contender.name}-{int(time.time())}"

    def pulled(name: str, pages: int) -> Throughput:
        return throughput(contender, stack.settings, session, log, f"{seed}-{name}", pages, conditions.page)

    say(f"{contender.name}: warming up with {conditions.warm_up:,} users")
    pulled("warm", conditions.warm_up // conditions.page)
    runs = []
    for number in range(1, conditions.runs + 1):
        runs.append(pulled(str(number), conditions.pages))
        say(f"{contender.name}: run {number} of {conditions.runs}: {runs[-1].rate:,.0f} users/s")
    say(f"{contender.name}: latency for {conditions.latency_seconds:.0f} s")
    late = latency(contender, session, log, f"{seed}-latency", conditions)
    say(f"{contender.name}: p95 {late.p95:.2f} s")
    return Result(runs, late)


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
    with contenders.spark_free(stack), contenders.table(session, pipeline) as table:
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
