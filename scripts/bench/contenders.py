"""The ways from the same HTTP source to a row that are held against each other, on the same engines."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import requests
from cassandra.cluster import Session
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from nifi_flows.errors import TerminalError, TransientError
from nifi_flows.pipeline import Pipeline
from scripts.audit.collect import settle
from scripts.bench.peer import binary
from scripts.bench.peer.binary import Peer
from scripts.bootstrap import ROOT
from scripts.deployment import service
from scripts.deployment.context import Context
from scripts.stack import schema_registry
from scripts.stack.engines import cassandra, kafka, registry, watch
from scripts.stack.settings import LOOPBACK
from scripts.stack.stack import Stack, configuration, wait_ready
from spark_consumer.names import TableName, subject
from spark_consumer.table import create_table

Dead = Callable[[], str | None]  # why no more rows will come, or None

_ANSWER = 3.0  # seconds that an engine gets for an answer
_TABLE = "bench"  # in the pipeline's keyspace


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
class Pair:
    """Two processes that do what NiFi and the consumer do, on the same engines: one for each pull, and one that stays.

    engines: those that they need. produce: starts the producer of a pull, which goes on until its stdin ends. consumer:
    goes on until it is told to end.
    """

    name: str
    stack: Stack
    source_pid: int
    topic: str
    table: str
    engines: Sequence[str]
    produce: Callable[[str, int, int, float], "subprocess.Popen[bytes]"]
    consumer: "subprocess.Popen[bytes]"
    producer: "subprocess.Popen[bytes] | None" = None

    def pull(self, seed: str, pages: int, size: int, interval: float) -> Dead:
        self.settled()
        producer = self.producer = self.produce(seed, pages, size, interval)

        def dead() -> str | None:
            if producer.poll() is not None:
                return f"the {self.name}'s producer ended with {producer.returncode}"
            code = self.consumer.poll()
            return f"the {self.name}'s consumer ended with {code}" if code is not None else None

        return dead

    def groups(self) -> dict[str, int]:
        return {
            "source": self.source_pid,
            "producer": self.producer.pid if self.producer else 0,
            **{engine: self.stack.supervisor.pid(engine) for engine in self.engines},
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


def ages(stack: Stack) -> dict[str, int]:
    """Engine -> seconds since its start, of those that run and that records pass, and of Airflow's."""
    beside = ("source", watch.NAME)
    return {
        engine.name: stack.supervisor.uptime(engine.name)
        for engine in stack.engines
        if engine.name not in beside and stack.supervisor.state(engine.name) == "RUNNING"
    }


def airflow(stack: Stack) -> list[str]:
    """The engines of Airflow that run."""
    return [e.name for e in stack.engines if e.optional and stack.supervisor.state(e.name) == "RUNNING"]


@contextmanager
def airflow_left_out(stack: Stack) -> Iterator[None]:
    """What watches the pipeline takes CPU that is no contender's, and would find the consumer standing still."""
    running = airflow(stack)
    for name in running:
        stack.supervisor.stop_engine(name)
    try:
        yield
    finally:
        for name in running:
            stack.supervisor.start_engine(name)


@contextmanager
def baseline(stack: Stack, pipeline: Pipeline, session: Session, source: str, source_pid: int) -> Iterator[Pair]:
    """One Python process and a bare Spark job, with a topic and a table of their own. Needs `spark_free`."""
    schema = _schema(pipeline)
    with (
        tempfile.TemporaryDirectory() as checkpoint,
        topic(stack, pipeline) as own,
        table(session, pipeline) as rows,
    ):
        job = {
            "url": source,
            "brokers": kafka.address(stack.settings),
            "topic": own,
            "schema_id": _registered(stack, pipeline),
            "schema": schema,
        }

        def produce(seed: str, pages: int, size: int, interval: float) -> "subprocess.Popen[bytes]":
            producer = _python("scripts.bench.baseline.producer", [], {}, stack, stdin=subprocess.PIPE)
            assert producer.stdin
            pull = {"seed": seed, "pages": pages, "size": size, "interval": interval}
            producer.stdin.write(json.dumps(job | pull).encode() + b"\n")
            producer.stdin.flush()
            return producer

        arguments = [own, rows, checkpoint, schema]
        consumer = _python("scripts.bench.baseline.consumer", arguments, consumer_environment(stack, pipeline), stack)
        engines = ("kafka", "registry", "spark-master", "spark-worker", "cassandra")
        plain = Pair("baseline", stack, source_pid, own, rows, engines, produce, consumer)
        try:
            _wait_for_stream(stack, consumer)
            yield plain
        finally:
            plain.end()


@contextmanager
def peer(
    stack: Stack, pipeline: Pipeline, session: Session, source: str, source_pid: int, found: Peer
) -> Iterator[Pair]:
    """Two processes of the peer, with a topic, a consumer group and a table of their own."""
    with (
        tempfile.TemporaryDirectory() as folder,
        topic(stack, pipeline) as own,
        table(session, pipeline) as rows,
    ):
        _registered(stack, pipeline)
        values: dict[str, str | int] = {
            "source": source,
            "brokers": kafka.address(stack.settings),
            "registry": registry.address(stack.settings),
            "subject": subject(pipeline.topic),
            "topic": own,
            "cassandra": cassandra.address(stack.settings),
            "user": cassandra.ROLE,
            "password": stack.credentials.cassandra_password,
            "table": rows,
        }

        def started(configuration: Path, stdin: int) -> "subprocess.Popen[bytes]":
            command = found.command(configuration)
            return _process(command, f"peer-{configuration.stem}", binary.environment(), stack, stdin)

        def produce(seed: str, pages: int, size: int, interval: float) -> "subprocess.Popen[bytes]":
            pace = f"{round(interval * 1000)}ms" if interval else ""
            pull: dict[str, str | int] = {"seed": seed, "pages": pages, "size": size, "interval": pace}
            return started(binary.write(binary.PRODUCER, Path(folder), values | pull), subprocess.PIPE)

        consumer = started(binary.write(binary.CONSUMER, Path(folder), values), subprocess.DEVNULL)
        engines = ("kafka", "registry", "cassandra")
        other = Pair("peer", stack, source_pid, own, rows, engines, produce, consumer)
        try:
            yield other
        finally:
            other.end()
            _forget_group(stack, own)


def _forget_group(stack: Stack, group: str) -> None:
    admin = _admin(stack)
    for future in admin.delete_consumer_groups([group]).values():
        with suppress(KafkaException):  # it may not have come so far
            future.result()


def _admin(stack: Stack) -> AdminClient:
    """A client that has to outlive its futures."""
    return AdminClient({"bootstrap.servers": kafka.address(stack.settings), "log_level": 0})


@contextmanager
def topic(stack: Stack, pipeline: Pipeline) -> Iterator[str]:
    """A topic such as that of the pipeline's records, deleted at the end; yields its name."""
    name = f"bench_{int(time.time())}"
    kafka.create_topics(stack.settings, {name: pipeline.topics[pipeline.topic]})
    try:
        yield name
    finally:
        admin = _admin(stack)
        for future in admin.delete_topics([name]).values():
            future.result()


@contextmanager
def table(session: Session, pipeline: Pipeline) -> Iterator[str]:
    """A table for whoever is measured beside the pipeline, dropped at the end; yields its name, with its keyspace.

    It is defined as the pipeline's, and in the same keyspace: written through the same commit log. Not the pipeline's
    own, where rows would stay that no frame stands for.
    """
    name = TableName(pipeline.keyspace, _TABLE)
    session.execute(f"DROP TABLE IF EXISTS {name}")
    create_table(session, name)
    try:
        yield str(name)
    finally:
        session.execute(f"DROP TABLE IF EXISTS {name}")


def _schema(pipeline: Pipeline) -> str:
    return pipeline.topics[pipeline.topic].contract.read_text()


def _registered(stack: Stack, pipeline: Pipeline) -> int:
    """The id of the schema of the pipeline's records, registered if it was not."""
    return schema_registry.register(stack.settings, subject(pipeline.topic), _schema(pipeline))


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
    command = [sys.executable, "-m", module, *arguments]
    return _process(command, module.rpartition(".")[2], {**os.environ, **environment, "PYTHONPATH": ROOT}, stack, stdin)


def _process(
    command: list[str], name: str, environment: dict[str, str], stack: Stack, stdin: int
) -> "subprocess.Popen[bytes]":
    with open(stack.settings.logs / f"{name}-bench.log", "ab") as file:
        return subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
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
