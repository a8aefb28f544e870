"""The two ways from the same HTTP source to a row that are held against each other, on the same engines."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import requests
from cassandra.cluster import Session
from confluent_kafka.admin import AdminClient

from nifi_flows.errors import TerminalError, TransientError
from nifi_flows.pipeline import Pipeline
from scripts.audit.collect import settle
from scripts.bootstrap import ROOT
from scripts.deployment import service
from scripts.deployment.context import Context
from scripts.stack import schema_registry
from scripts.stack.engines import kafka
from scripts.stack.settings import LOOPBACK
from scripts.stack.stack import Stack, configuration, wait_ready
from spark_consumer.names import subject

Dead = Callable[[], str | None]  # why no more rows will come, or None

_ANSWER = 3.0  # seconds that an engine gets for an answer
_TABLE = "bench_baseline"  # in the pipeline's keyspace
_COLUMNS = (
    "id uuid PRIMARY KEY, first_name text, last_name text, gender text, address text, post_code text, email text, "
    "username text, registered_date text, phone text, picture text, dob text, source text, fetched_at timestamp, "
    "flow_version text"
)


class Contender(Protocol):
    """name: as the report calls it. table: with its keyspace. topic: where its frames are."""

    name: str

    @property
    def table(self) -> str: ...
    @property
    def topic(self) -> str: ...

    def pull(self, seed: str, pages: int, size: int, interval: float) -> Dead:
        """Begin to pull the seed's first pages; returns at once. interval: least seconds from page to page."""

    def groups(self) -> dict[str, int]:
        """engine -> process group, of all that this contender needs."""

    def settled(self) -> None:
        """Wait until nothing of the last pull is under way any more."""


@dataclass
class Ours:
    """This project: NiFi's flow and the consumer, as they are deployed."""

    stack: Stack
    pipeline: Pipeline
    source: str
    source_pid: int
    name: str = "pipeline"

    @property
    def table(self) -> str:
        return str(self.pipeline.table_name)

    @property
    def topic(self) -> str:
        return self.pipeline.topic

    def pull(self, seed: str, pages: int, size: int, interval: float) -> Dead:
        wanted = {
            "source.url": self.source,
            "source.name": "bench",
            "run.seed": seed,
            "run.pages": str(pages),
            "run.page.size": str(size),
            "run.interval": f"{round(interval * 1000)} ms",
        }
        service.deploy(Context(self.stack.settings, self.pipeline), overrides=wanted)
        return lambda: None

    def groups(self) -> dict[str, int]:
        engines = {e.name: self.stack.supervisor.pid(e.name) for e in self.stack.engines if e.name != "source"}
        return {"source": self.source_pid, **engines}

    def settled(self) -> None:
        settle(self.stack.settings, self.stack.nifi, self.pipeline)


@dataclass
class Baseline:
    """One Python process and a bare Spark job, on the same Kafka, registry, Spark and Cassandra."""

    stack: Stack
    pipeline: Pipeline
    source: str
    source_pid: int
    consumer: "subprocess.Popen[bytes]"
    topic: str
    table: str
    producer: "subprocess.Popen[bytes] | None" = None
    name: str = "baseline"

    def pull(self, seed: str, pages: int, size: int, interval: float) -> Dead:
        schema = _schema(self.pipeline)
        job = {
            "url": self.source,
            "seed": seed,
            "pages": pages,
            "size": size,
            "interval": interval,
            "brokers": kafka.address(self.stack.settings),
            "topic": self.topic,
            "schema_id": schema_registry.register(self.stack.settings, subject(self.pipeline.topic), schema),
            "schema": schema,
        }
        self.settled()
        producer = _python("scripts.bench.baseline.producer", [], {}, self.stack, stdin=subprocess.PIPE)
        assert producer.stdin
        producer.stdin.write(json.dumps(job).encode() + b"\n")
        producer.stdin.flush()
        self.producer = producer

        def dead() -> str | None:
            if producer.poll():
                return f"the baseline's producer ended with {producer.returncode}"
            return f"the baseline's Spark job ended with {code}" if (code := self.consumer.poll()) is not None else None

        return dead

    def groups(self) -> dict[str, int]:
        engines = ("kafka", "registry", "spark-master", "spark-worker", "cassandra")
        return {
            "source": self.source_pid,
            "producer": self.producer.pid if self.producer else 0,
            **{engine: self.stack.supervisor.pid(engine) for engine in engines},
            "consumer": self.consumer.pid,
        }

    def settled(self) -> None:
        if self.producer and self.producer.stdin:
            self.producer.stdin.close()
            self.producer.wait(60)

    def end(self) -> None:
        for process in (self.producer, self.consumer):
            if process:
                _end(process)


@contextmanager
def airflow_left_out(stack: Stack) -> Iterator[None]:
    """What watches the pipeline takes CPU that is no contender's, and would find the consumer standing still."""
    running = [e.name for e in stack.engines if e.optional and stack.supervisor.state(e.name) == "RUNNING"]
    for name in running:
        stack.supervisor.stop_engine(name)
    try:
        yield
    finally:
        for name in running:
            stack.supervisor.start_engine(name)


@contextmanager
def baseline(stack: Stack, pipeline: Pipeline, session: Session, source: str, source_pid: int) -> Iterator[Baseline]:
    """The baseline with a topic and a table of its own; the pipeline's consumer makes room for it and comes back."""
    with (
        spark_free(stack),
        tempfile.TemporaryDirectory() as checkpoint,
        topic(stack, pipeline) as own,
        table(session, pipeline) as rows,
    ):
        arguments = [own, rows, checkpoint, _schema(pipeline)]
        consumer = _python("scripts.bench.baseline.consumer", arguments, consumer_environment(stack, pipeline), stack)
        plain = Baseline(stack, pipeline, source, source_pid, consumer, own, rows)
        try:
            _wait_for_stream(stack, consumer)
            yield plain
        finally:
            plain.end()


@contextmanager
def topic(stack: Stack, pipeline: Pipeline) -> Iterator[str]:
    """A topic such as that of the pipeline's records, deleted at the end; yields its name."""
    name = f"bench_{int(time.time())}"
    kafka.create_topics(stack.settings, {name: pipeline.topics[pipeline.topic]})
    try:
        yield name
    finally:
        # The client has to outlive its futures.
        admin = AdminClient({"bootstrap.servers": kafka.address(stack.settings), "log_level": 0})
        for future in admin.delete_topics([name]).values():
            future.result()


@contextmanager
def table(session: Session, pipeline: Pipeline) -> Iterator[str]:
    """A table for whoever is measured beside the pipeline, dropped at the end; yields its name, with its keyspace."""
    name = f"{pipeline.keyspace}.{_TABLE}"
    session.execute(f"DROP TABLE IF EXISTS {name}")
    session.execute(f"CREATE TABLE {name} ({_COLUMNS})")
    try:
        yield name
    finally:
        session.execute(f"DROP TABLE IF EXISTS {name}")


def _schema(pipeline: Pipeline) -> str:
    return pipeline.topics[pipeline.topic].contract.read_text()


@contextmanager
def spark_free(stack: Stack) -> Iterator[None]:
    """Without the pipeline's consumer, which takes every core of the Spark worker."""
    stack.supervisor.stop_engine("consumer")
    try:
        yield
    finally:
        stack.supervisor.start_engine("consumer")
        wait_ready(stack, ["consumer"], lambda engine, state: None)


def consumer_environment(stack: Stack, pipeline: Pipeline) -> dict[str, str]:
    return dict(configuration(stack, pipeline).launches["consumer"].environment)


def _python(
    module: str, arguments: list[str], environment: dict[str, str], stack: Stack, stdin: int = subprocess.DEVNULL
) -> "subprocess.Popen[bytes]":
    log = stack.settings.logs / f"{module.rpartition('.')[2]}-bench.log"
    with open(log, "ab") as file:
        return subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=ROOT,
            env={**os.environ, **environment, "PYTHONPATH": ROOT},
            stdin=stdin,
            stdout=file,
            stderr=file,
            start_new_session=True,  # a process group of its own, to measure and to end
        )


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Whatever it is at, and whether or not it ends when it is asked to."""
    process.terminate()
    try:
        process.wait(60)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _wait_for_stream(stack: Stack, consumer: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        if consumer.poll() is not None:
            raise TerminalError(
                f"the baseline's Spark job ended with {consumer.returncode}",
                f"read {stack.settings.logs}/consumer-bench.log",
            )
        try:
            # It shows itself where the pipeline's consumer does.
            stack.engine("consumer").ask(stack.credentials, _ANSWER)
            return
        except (requests.RequestException, LookupError, TransientError):
            time.sleep(0.5)
    raise TransientError("the baseline's Spark job did not start within 90 s", "run the benchmark again")


@contextmanager
def source(stack: Stack, log: Path) -> Iterator[tuple[str, int]]:
    """The embedded source with a clock, on a free port; yields its URL and its process group."""
    log.write_text("")
    with socket.create_server((LOOPBACK, 0)) as free:
        port = free.getsockname()[1]
    process = _python("scripts.bench.source", [str(port), str(log)], {}, stack)
    try:
        deadline = time.monotonic() + 20
        while True:
            try:
                requests.get(f"http://{LOOPBACK}:{port}/health", timeout=2).raise_for_status()
                break
            except requests.RequestException:
                if time.monotonic() > deadline or process.poll() is not None:
                    raise TransientError("the benchmark's HTTP source did not start", "run it again") from None
                time.sleep(0.2)
        yield f"http://{LOOPBACK}:{port}/api/", process.pid
    finally:
        _end(process)
