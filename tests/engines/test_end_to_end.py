"""Users through the real engines: what arrives, what is refused, and what restarts do to it."""

import datetime as dt
import json
import re
import signal
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

import pytest
from kafka import KafkaAdminClient, KafkaProducer
from kafka.admin import OffsetSpec

from nifi_flows import canonical, canvas, connection, definition
from nifi_flows.errors import TerminalError
from nifi_flows.pipeline import USERS
from scripts.observe import records
from scripts.stack import credentials, schema_registry
from scripts.stack.engines import cassandra, kafka, nifi
from scripts.stack.stack import nifi_of
from scripts.stack.supervise import Supervisor
from spark_consumer.names import subject
from tests.engines.conftest import LocalStack, until
from tests.engines.hand_written import PAGE, expected_rows


class Asked(NamedTuple):
    """A request for a page. at: seconds since 1970. authorization: the header, if there was one."""

    at: float
    authorization: str | None


@contextmanager
def serving(pages: list[tuple[int, dict[str, str], bytes]]) -> Iterator[tuple[str, list[Asked]]]:
    """An HTTP source that gives these answers one after the other, the last one for ever: (status, headers, body).

    Yields its URL and how pages were asked for.
    """
    asked: list[Asked] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            query = parse_qs(urlsplit(self.path).query)
            if query["seed"] == ["probe"]:
                headers: dict[str, str] = {}
                status, body = 200, json.dumps({"results": [{}], "info": {}}).encode()
            else:
                status, headers, body = pages[min(len(asked), len(pages) - 1)]
                asked.append(Asked(time.time(), self.headers["Authorization"]))
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", **headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/api/", asked
    finally:
        server.shutdown()
        server.server_close()


def rows(stack: LocalStack, ids: list[str]) -> dict[str, Any]:
    made = credentials.ensure(stack.settings.secrets)
    with cassandra.session(stack.settings, made) as session:
        select = session.prepare("SELECT * FROM spark_streams.created_users WHERE id IN ?")
        listed = session.execute(select, [[uuid.UUID(key) for key in ids]])
        return {str(row.id): row._asdict() for row in listed}


def test_every_column_of_a_row_is_what_a_reader_of_the_page_expects(stack: LocalStack) -> None:
    before = dt.datetime.now(dt.UTC)
    with serving([(200, {}, json.dumps(PAGE, ensure_ascii=False).encode())]) as (url, _):
        stack.run("--source", url, "--seed", "hand", "--pages", "1", "--page-size", str(len(PAGE["results"])))
    expected = expected_rows(before.date())
    found = rows(stack, list(expected))
    for key, wanted in expected.items():
        row = found[key]
        assert before.replace(tzinfo=None) <= row.pop("fetched_at") <= dt.datetime.now(dt.UTC).replace(tzinfo=None)
        assert re.fullmatch(r"[0-9a-f]{12}", row.pop("flow_version"))
        assert isinstance(row.pop("schema_id"), int)
        assert {column: value for column, value in row.items() if value is not None} == wanted
    audited = stack.audit()
    assert audited["reasons"]["not_email:email"] >= 1
    assert audited["reasons"]["not_uuid:id"] >= 1


def test_a_source_that_asks_for_patience_gets_it_and_rubbish_is_asked_for_again(stack: LocalStack) -> None:
    good = json.dumps(PAGE, ensure_ascii=False).encode()
    answers = [
        (429, {"Retry-After": "4"}, b""),
        (503, {}, b"away"),
        (200, {"Content-Type": "text/html"}, b"<html>maintenance</html>"),
        (200, {}, good[: len(good) // 2]),
        (200, {}, good),
    ]
    with serving(answers) as (url, asked):
        size = str(len(PAGE["results"]))
        stack.run("--source", url, "--seed", "patience", "--pages", "1", "--page-size", size)
    assert len(asked) == len(answers)
    assert asked[1].at - asked[0].at >= 3.9
    stack.audit()


def test_a_frame_that_cannot_be_decoded_is_a_dead_letter_and_stalls_nothing(stack: LocalStack) -> None:
    before = stack.audit()["counts"]["dead letters of the consumer"]
    producer = KafkaProducer(bootstrap_servers=kafka.address(stack.settings))
    sent = producer.send(USERS.topic, key=b"rubbish", value=b"\x00\x00\x00\x00\x01\xff\xff\xff\xff").get(timeout=30)
    producer.close()
    stack.run("--source", "embedded", "--seed", f"after {sent.offset}", "--pages", "2", "--page-size", "100")
    assert stack.audit()["counts"]["dead letters of the consumer"] == before + 1
    letter = records.dead_letters(stack.settings, USERS)[f"{USERS.topic}/{sent.partition}#{sent.offset}"]
    assert letter["original"] == b"\x00\x00\x00\x00\x01\xff\xff\xff\xff"
    assert letter["stage"] == "consumer"
    assert letter["reasons"]


def test_nothing_is_lost_when_nifi_and_the_consumer_are_killed_in_mid_run(stack: LocalStack) -> None:
    """Kills what a crash would kill: the leading process alone, so that NiFi's Python children are left behind."""
    supervisor = Supervisor(stack.settings)
    seed = f"killed {time.time_ns()}"
    running = threading.Thread(
        target=stack.run,
        args=("--source", "embedded", "--seed", seed, "--pages", "30", "--page-size", "200", "--interval", "1"),
    )
    running.start()
    try:
        run = stack.run_key(seed, 200)
        until(lambda: sum(name.startswith(run) for name in records.receipts(stack.settings, USERS)) >= 3, 90)
        for engine in ("nifi", "consumer"):
            pid = supervisor.pid(engine)
            orphans = {child for child, parent in stack.of_processes(lambda p: (p.pid, p.ppid())) if parent == pid}
            _kill(pid)
            until(partial(_started_anew, supervisor, engine, pid), 60)
            if engine == "nifi":
                assert orphans
                until(partial(_gone, stack, orphans), 30)
    finally:
        running.join(timeout=300)
    audited = _settled_audit(stack)
    pages = [name for name in records.receipts(stack.settings, USERS) if name.startswith(run)]
    assert len(pages) == 30, audited


def test_deploying_what_runs_changes_nothing(stack: LocalStack) -> None:
    assert "users: nothing to change" in stack.run().err
    made = credentials.ensure(stack.settings.secrets)
    with connection.connected(nifi_of(stack.settings, made)):
        group = canvas.find_group("users")
        assert group
        exported, kept = canvas.export(group), definition.load(USERS.flow)
    assert canonical.structure(exported) == canonical.structure(kept)


def test_ordinary_lag_tools_see_the_consumer(stack: LocalStack) -> None:
    stack.audit()
    admin = KafkaAdminClient(bootstrap_servers=kafka.address(stack.settings))
    committed = admin.list_group_offsets([USERS.consumer_group])[USERS.consumer_group]
    ends = admin.list_partition_offsets({partition: OffsetSpec.LATEST for partition in committed})
    admin.close()
    assert len(committed) == USERS.partitions
    assert {partition: meta.offset for partition, meta in committed.items()} == {
        partition: end.offset for partition, end in ends.items()
    }


def test_an_incompatible_schema_is_refused(stack: LocalStack) -> None:
    schema = json.loads(USERS.topics[USERS.topic].contract.read_text())
    schema["fields"].append({"name": "shoe_size", "type": "int"})
    with pytest.raises(TerminalError, match="refuses the schema") as caught:
        schema_registry.register(stack.settings, subject(USERS.topic), json.dumps(schema))
    assert "default" in caught.value.remedy


def test_nifi_refuses_who_has_no_certificate(stack: LocalStack) -> None:
    import requests

    made = credentials.ensure(stack.settings.secrets)
    with pytest.raises(requests.exceptions.ConnectionError):
        requests.get(f"{nifi.address(stack.settings)}/flow/about", verify=str(made.ca), timeout=10)


def test_no_secret_is_in_a_process_list_or_a_log(stack: LocalStack) -> None:
    words = json.loads((stack.settings.secrets / "words.json").read_text()).values()
    lines = stack.of_processes(lambda process: " ".join(process.cmdline()))
    lines += [log.read_text(errors="replace") for log in stack.settings.logs.glob("*.log*")]
    assert not [word for word in words for line in lines if word in line]
    assert {oct(path.stat().st_mode & 0o077) for path in stack.settings.secrets.iterdir()} == {"0o0"}


def test_everything_listens_on_loopback_only(stack: LocalStack) -> None:
    addresses = {
        connection.laddr.ip
        for connections in stack.of_processes(lambda process: process.net_connections("tcp"))
        for connection in connections
        if connection.status == "LISTEN"
    }
    assert addresses <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}


def test_status_and_logs_say_what_runs(stack: LocalStack) -> None:
    status = stack.pipeline("status", "--output", "json")
    assert status.code == 0, status.err
    states = {engine["engine"]: engine["state"] for engine in status.json["engines"]}
    data_path = {"source", "nifi", "kafka", "registry", "spark-master", "spark-worker", "consumer", "cassandra"}
    assert {name for name, state in states.items() if state == "running"} == data_path | {"watch"}
    assert {state for name, state in states.items() if name.startswith("airflow-")} == {"stopped"}
    assert "Kafka Server started" in stack.pipeline("logs", "kafka", "--lines", "5000").out


def test_cqlsh_is_logged_in_on_the_keyspace(stack: LocalStack) -> None:
    assert "spark_streams" in stack.pipeline("cqlsh", "-e", "DESCRIBE KEYSPACE").out
    inspected = stack.pipeline("cqlsh", "-f", "scripts/inspect.cql")
    assert inspected.code == 0, inspected.err
    assert "writetime(email)" in inspected.out


def test_a_second_stack_on_the_same_ports_is_refused_by_name(stack: LocalStack, tmp_path_factory: Any) -> None:
    other = LocalStack({**stack.environment, "PIPELINE_HOME": str(tmp_path_factory.mktemp("p"))})
    refused = other.call("run", timeout=120)
    assert refused.code == 1
    assert re.search(r"error: port \d+ for the .+ is taken by \w+", refused.err), refused.err
    assert not other.processes()


def test_a_source_that_is_down_is_named_and_nothing_is_changed(stack: LocalStack) -> None:
    refused = stack.call("run", "--source", "http://127.0.0.1:9/api/", timeout=60)
    assert refused.code == 75
    assert "the source http://127.0.0.1:9/api/ does not answer" in refused.err
    assert "Traceback" not in refused.err
    assert "nothing to change" in stack.run().err


def _settled_audit(stack: LocalStack) -> dict[str, Any]:
    """Engines may still be starting again, and records be under way, when a run that was disturbed returns."""
    deadline = time.monotonic() + 240
    while (outcome := stack.pipeline("audit", "--output", "json")).code == 75 and time.monotonic() < deadline:
        time.sleep(2)
    assert outcome.code == 0, outcome.out + outcome.err
    audited: dict[str, Any] = outcome.json
    return audited


def _started_anew(supervisor: Supervisor, engine: str, pid: int) -> bool:
    return supervisor.pid(engine) not in (0, pid)


def _gone(stack: LocalStack, pids: set[int]) -> bool:
    return not pids & {process.pid for process in stack.processes()}


def _kill(pid: int) -> None:
    import os

    os.kill(pid, signal.SIGKILL)
