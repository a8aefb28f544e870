"""Which binary is a peer, and what it is run with."""

import json
import re
import stat
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from nifi_flows.errors import TerminalError
from nifi_flows.pipeline import USERS
from scripts.bench import contenders
from scripts.bench.baseline.consumer import COLUMNS
from scripts.bench.peer import binary
from scripts.stack.stack import Stack

VERSION = "Version: v4.27.0\nDate: unknown"
VALUES = {**binary._SAMPLE, "password": "p-4_W"}


def made(folder: Path, version: str = VERSION, lint: str = "exit 0", run: str = "exit 1") -> Path:
    """A program that answers as a peer does."""
    path = folder / "benthos"
    path.write_text(
        f"#!/bin/sh\ncase \"$1\" in\n--version) printf '%s\\n' '{version}' ;;\nlint) {lint} ;;\nrun) {run} ;;\nesac\n"
    )
    path.chmod(0o700)
    return path


def test_a_peer_says_its_version_and_takes_both_configurations(tmp_path: Path) -> None:
    seen = tmp_path / "linted"
    found = binary.find(made(tmp_path, lint=f'shift; cat "$@" > {seen}'))
    assert found.title == "benthos v4.27.0"
    assert found.command(tmp_path / "producer.yaml") == [str(tmp_path / "benthos"), "-c", f"{tmp_path}/producer.yaml"]
    assert "kafka_franz" in seen.read_text() and "cassandra:" in seen.read_text()


def test_one_that_tells_its_makers_of_each_run_is_told_not_to(tmp_path: Path) -> None:
    found = binary.find(made(tmp_path, run="echo '   --disable-telemetry   disables it'"))
    assert found.command(Path("/p.yaml"))[1:] == ["run", "--disable-telemetry", "/p.yaml"]


@pytest.mark.parametrize("what", ["nothing", "a folder", "a text"])
def test_what_cannot_be_executed_is_no_peer(tmp_path: Path, what: str) -> None:
    path = tmp_path / "benthos"
    if what == "a folder":
        path.mkdir()
    elif what == "a text":
        made(tmp_path).chmod(0o600)
    with pytest.raises(TerminalError, match=r"benthos is no executable file$"):
        binary.find(path)


@pytest.mark.parametrize(
    ("version", "words"),
    [
        ("GNU coreutils 9.1\nlicence", "--version says GNU coreutils 9.1"),
        ("Version 1", "--version says Version 1"),
        ("", "--version says nothing and ends with 0"),
    ],
)
def test_what_says_something_else_is_no_peer(tmp_path: Path, version: str, words: str) -> None:
    with pytest.raises(TerminalError) as refused:
        binary.find(made(tmp_path, version))
    assert str(refused.value).endswith(f"benthos is no Redpanda Connect or Benthos: {words}")
    assert len(str(refused.value).splitlines()) == 1


def test_what_does_not_run_is_no_peer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = made(tmp_path)
    path.write_bytes(b"\x7fELF, they say")
    with pytest.raises(TerminalError, match=r"does not run: .*Exec format error"):
        binary.find(path)
    monkeypatch.setattr(binary, "_ANSWER", 0.2)
    path.write_text("#!/bin/sh\nexec sleep 60\n")
    with pytest.raises(TerminalError, match=r"does not run: .*timed out"):
        binary.find(path)


def test_one_without_the_parts_that_it_needs_is_refused_with_what_it_says(tmp_path: Path) -> None:
    lint = "echo 'unable to infer input type: kafka_franz' >&2; exit 1"
    with pytest.raises(TerminalError, match=r"cannot do its part: unable to infer input type: kafka_franz$"):
        binary.find(made(tmp_path, lint=lint))


@pytest.mark.parametrize("name", [binary.PRODUCER, binary.CONSUMER])
def test_a_configuration_is_filled_in_for_its_owner_alone(tmp_path: Path, name: str) -> None:
    path = binary.write(name, tmp_path, VALUES)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    text = path.read_text()
    assert not re.search(r"<<|>>", re.sub(r"^#.*$", "", text, flags=re.MULTILINE))
    assert re.search(r"^http: \{enabled: false\}", text, re.MULTILINE), "it listens on every address otherwise"
    assert ('password: "p-4_W"' in text) is (name == binary.CONSUMER)


def test_what_would_mean_something_else_in_a_configuration_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^password can't stand in consumer\.yaml$"):
        binary.write(binary.CONSUMER, tmp_path, {**VALUES, "password": 'x", evil: "'})
    with pytest.raises(KeyError, match="table"):
        binary.write(binary.CONSUMER, tmp_path, {name: value for name, value in VALUES.items() if name != "table"})


def test_a_peer_gets_none_of_the_users_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPELINE_PARAMETER_TOKEN", "secret")
    monkeypatch.setenv("LANG", "C")
    environment = binary.environment()
    assert "PIPELINE_PARAMETER_TOKEN" not in environment
    assert environment["LANG"] == "C"


def test_it_publishes_every_field_of_the_contract(tmp_path: Path) -> None:
    text = binary.write(binary.PRODUCER, tmp_path, VALUES).read_text()
    contract = json.loads(USERS.topics[USERS.topic].contract.read_text())
    published = [name for name in re.findall(r"root\.(\w+) = ", text) if name != "page"]
    assert sorted(published) == sorted(field["name"] for field in contract["fields"])


def test_it_writes_the_columns_of_the_baseline_as_of_the_event_time(tmp_path: Path) -> None:
    text = " ".join(binary.write(binary.CONSUMER, tmp_path, VALUES).read_text().split())
    [(table, columns, marks)] = re.findall(r"INSERT INTO (\S+) \((.*?)\) VALUES \((.*?)\) USING TIMESTAMP \?", text)
    assert table == "k.t"
    assert columns.strip().split(", ") == COLUMNS
    assert marks.count("?") == len(COLUMNS)
    [arguments] = re.findall(r"root = \[(.*?)\]", text)
    assert re.findall(r"this\.(\w+)", arguments) == [*COLUMNS, "event_time"]


def process(code: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, start_new_session=True)


def test_a_producer_goes_on_until_its_cpu_time_was_read() -> None:
    supervisor = SimpleNamespace(pid=lambda name: 7)
    stack = cast(Stack, SimpleNamespace(supervisor=supervisor))
    consumer = process("import sys; sys.stdin.read(); sys.exit(3)")

    def produce(seed: str, pages: int, size: int, interval: float) -> "subprocess.Popen[bytes]":
        return process("import sys; sys.stdin.read()" if seed == "good" else "import sys; sys.exit(5)")

    pair = contenders.Pair("peer", stack, 1, "topic", "k.t", ["kafka"], produce, consumer)
    try:
        dead = pair.pull("good", 1, 1, 0)
        assert pair.producer and dead() is None
        assert pair.groups() == {"source": 1, "producer": pair.producer.pid, "kafka": 7, "consumer": consumer.pid}
        pair.settled()
        assert pair.producer.returncode == 0

        dead = pair.pull("bad", 1, 1, 0)
        pair.producer.wait(30)
        assert dead() == "the peer's producer ended with 5"

        dead = pair.pull("good", 1, 1, 0)
        assert consumer.stdin
        consumer.stdin.close()
        consumer.wait(30)
        assert dead() == "the peer's consumer ended with 3"
    finally:
        pair.end()
