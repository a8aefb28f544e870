"""The consumer around its stream: settings, lag, exit codes."""

import os
import subprocess
import sys
from typing import Any

import pytest
from kafka.errors import CoordinatorNotAvailableError
from kafka.structs import OffsetAndMetadata, TopicPartition

from nifi_flows.pipeline import USERS
from spark_consumer.errors import TerminalError
from spark_consumer.lag import LagReporter, Offsets, end_offsets, newly_read
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


Progress = dict[str, Any]


def progress(batch: int, end: dict[str, dict[str, int]], **times: int) -> Progress:
    durations = times or {"triggerExecution": 100, "addBatch": 80}
    return {"batchId": batch, "sources": [{"startOffset": None, "endOffset": end}], "durationMs": durations}


def idle(batch: int) -> Progress:
    """Nothing to read: `batch` is still to come."""
    return progress(batch, {"users": {"0": 1}}, triggerExecution=3, latestOffset=2)


class Stream:
    """Instead of a query: `has` is the progress it made since it was asked last."""

    def __init__(self) -> None:
        self.told: list[Progress] = []
        self.asked_for_all = 0

    def has(self, *made: Progress) -> "Stream":
        self.told += made
        return self

    @property
    def lastProgress(self) -> Progress | None:
        return self.told[-1] if self.told else None

    @property
    def recentProgress(self) -> list[Progress]:
        self.asked_for_all += 1
        return self.told


class Group:
    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.committed: list[dict[tuple[str, int], int]] = []

    def __call__(self, offsets: Offsets) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.committed.append({(at.topic, at.partition): to.offset for at, to in offsets.items()})


def users(offset: int) -> dict[str, dict[str, int]]:
    return {"users": {"0": offset}}


def test_each_finished_batch_is_committed_once() -> None:
    group, stream = Group(), Stream()
    report = LagReporter(group)
    report(stream)
    for batch in (0, 1):
        report(stream.has(progress(batch, {"users": {"0": 5 + 4 * batch, "1": 3}})))
        report(stream)
    assert group.committed == [{("users", 0): 5, ("users", 1): 3}, {("users", 0): 9, ("users", 1): 3}]


def test_progress_without_a_batch_is_none() -> None:
    group = Group()
    LagReporter(group)(Stream().has(idle(0)))
    assert group.committed == []


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage().partition(":")[0] for record in caplog.records]


def test_every_batch_has_its_line_however_many_end_between_two_looks(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "spark_consumer.lag")
    group, stream = Group(), Stream()
    report = LagReporter(group)
    report(stream.has(idle(7)))  # after a restart
    report(stream.has(*(progress(batch, users(batch)) for batch in (7, 8))))
    report(stream.has(*(progress(batch, users(batch)) for batch in (9, 10, 11)), idle(12)))
    report(stream)
    report(stream.has(progress(12, users(12))))
    assert logged(caplog) == [f"batch {batch}" for batch in range(7, 13)]
    assert group.committed == [{("users", 0): 8}, {("users", 0): 11}, {("users", 0): 12}]


def test_all_recent_progress_is_asked_for_only_when_some_was_passed_over() -> None:
    stream = Stream()
    report = LagReporter(Group())
    report(stream.has(progress(3, users(3))))  # there may have been others before
    assert stream.asked_for_all == 1
    for made in (progress(4, users(4)), idle(5), progress(5, users(5))):
        report(stream.has(made))
        report(stream)
    assert stream.asked_for_all == 1
    report(stream.has(progress(6, users(6)), progress(7, users(7))))
    assert stream.asked_for_all == 2


def test_an_idle_stream_is_asked_for_its_last_progress_alone() -> None:
    stream = Stream().has(idle(3))
    report = LagReporter(Group())
    for _ in range(4):
        report(stream)
    assert stream.asked_for_all == 1


@pytest.mark.parametrize(
    "failure", [CoordinatorNotAvailableError("not yet"), OSError("no broker"), RuntimeError("closed"), KeyError("x")]
)
def test_a_commit_that_fails_stops_nothing_and_is_made_good_later(failure: Exception) -> None:
    group, now = Group(failure), [100.0]
    report = LagReporter(group, clock=lambda: now[0])
    done = Stream().has(progress(0, users(5)))
    report(done)
    report(done)  # too soon
    assert (group.committed, group.failures) == ([], [])
    now[0] += 5
    report(done)
    report(done)
    assert group.committed == [{("users", 0): 5}]


def test_end_offsets_are_what_a_group_commits() -> None:
    assert end_offsets({"users": {"0": 12}}) == {TopicPartition("users", 0): OffsetAndMetadata(12, "", -1)}
    assert end_offsets(None) == {}


def test_frames_of_a_batch_are_counted_by_offsets() -> None:
    assert newly_read({"users": {"0": 10, "1": 4}}, {"users": {"0": 12, "1": 4, "2": 3}}) == 5
    assert newly_read(None, {"users": {"0": 12}}) == 12
