"""The consumer around its stream: settings, exit codes."""

import os
import subprocess
import sys

import pytest

from nifi_flows.pipeline import USERS
from spark_consumer.errors import TerminalError
from spark_consumer.settings import load_settings

WANTED = {
    "KAFKA_BROKERS": "b:1",
    "REGISTRY_URL": "http://r",
    "CHECKPOINT_DIR": "/c",
    "TOPIC": "t",
    "DEAD_LETTER_TOPIC": "t.dlq",
    "GROUP": "g",
    "KEYSPACE": "k",
    "TABLE": "rows",
}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("CONSUMER_")]:
        monkeypatch.delenv(name)
    for name, value in WANTED.items():
        monkeypatch.setenv(f"CONSUMER_{name}", value)


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONSUMER_TRIGGER_SECONDS", "0.25")
    settings = load_settings()
    assert (settings.kafka_brokers, settings.trigger_seconds, settings.topic) == ("b:1", 0.25, "t")
    assert (settings.keyspace, settings.table) == ("k", "rows")


def test_names_that_are_not_set_are_those_of_the_users_pipeline(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TOPIC", "DEAD_LETTER_TOPIC", "GROUP", "KEYSPACE", "TABLE"):
        monkeypatch.delenv(f"CONSUMER_{name}")
    found = load_settings()
    assert (found.topic, found.dead_letter_topic, found.group) == (
        USERS.topic,
        USERS.dead_letters,
        USERS.consumer_group,
    )
    assert (found.keyspace, found.table) == (USERS.keyspace, USERS.table)


def test_wrong_settings_are_named_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CONSUMER_REGISTRY_URL")
    monkeypatch.setenv("CONSUMER_MAX_OFFSETS_PER_TRIGGER", "0")
    with pytest.raises(TerminalError) as caught:
        load_settings()
    assert "CONSUMER_REGISTRY_URL: Field required" in str(caught.value)
    assert "CONSUMER_MAX_OFFSETS_PER_TRIGGER: Input should be greater than 0" in str(caught.value)


def run_consumer(**environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "spark_consumer.worker"],
        env={name: value for name, value in os.environ.items() if not name.startswith("CONSUMER_")} | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_the_process_says_in_one_line_what_somebody_must_mend() -> None:
    ended = run_consumer(CONSUMER_KAFKA_BROKERS="127.0.0.1:1")
    assert ended.returncode == 2
    [line] = ended.stderr.splitlines()
    assert "CONSUMER_REGISTRY_URL: Field required" in line
