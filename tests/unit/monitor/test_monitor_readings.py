"""The monitor's readings: taken at once with a deadline, and what engines write for people is read with care."""

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from nifi_flows.canvas import Part
from nifi_flows.errors import TerminalError, TransientError
from scripts.monitor import monitor, readings
from scripts.monitor.facts import Alerts, DeadLetters, Drift, Readings, Surroundings, Unread
from scripts.monitor.gather import Step, gather
from scripts.monitor.parse import age_of, last_batch, micros, seconds_of
from scripts.monitor.record import Memory
from scripts.monitor.tail import Window, since, window
from scripts.stack import configuration
from scripts.stack.settings import Settings

NOW = datetime(2026, 3, 1, 12, 0, 5, tzinfo=UTC)
BATCH = (
    "2026-03-01 11:59:58,250 INFO spark_consumer.lag: batch 41: 350 frames, 608/s, times in ms "
    '{"addBatch": 461, "triggerExecution": 576}'
)


def fails(error: Exception) -> Any:
    raise error


# Gathering


def test_readings_are_taken_at_once_and_each_fails_on_its_own() -> None:
    met = threading.Barrier(2)
    chains = [
        [
            Step("nifi", lambda: met.wait(5) >= 0, "NiFi"),
            Step("flow", lambda: fails(ValueError("odd"))),
            Step("drift", lambda: 3),
        ],
        [Step("alerts", lambda: met.wait(5) >= 0)],
    ]
    found = gather(chains, 5)
    assert found == {"nifi": True, "alerts": True, "drift": 3, "flow": Unread("cannot be read: ValueError: odd")}


def test_an_engine_that_is_down_is_told_once() -> None:
    down = TransientError("NiFi at https://x does not answer:\nrefused")
    found = gather([[Step("nifi", lambda: fails(down), "NiFi"), Step("flow", lambda: 1), Step("drift", lambda: 2)]], 5)
    hidden = Unread("not known: NiFi does not answer", told=True)
    assert found == {"nifi": Unread("NiFi at https://x does not answer: refused"), "flow": hidden, "drift": hidden}


def test_an_engine_that_hangs_does_not_keep_the_look_waiting() -> None:
    release = threading.Event()
    begun = time.monotonic()
    found = gather(
        [
            [Step("nifi", lambda: release.wait(20), "NiFi"), Step("flow", lambda: 1), Step("drift", lambda: 2)],
            [
                Step("consumer", lambda: 7, "Kafka"),
                Step("dead_letters", lambda: release.wait(20)),
                Step("freshness", lambda: 2),
            ],
            [Step("alerts", lambda: 5)],
        ],
        0.2,
    )
    assert time.monotonic() - begun < 5
    release.set()
    late, hidden = Unread("no answer within 0.2 s"), Unread("not known: NiFi does not answer", told=True)
    assert found["nifi"] == late
    assert found["flow"] == found["drift"] == hidden
    assert (found["consumer"], found["alerts"], found["dead_letters"]) == (7, 5, late)
    assert found["freshness"].told


# What engines write


def test_the_last_batch_of_a_log_is_read() -> None:
    log = f"{BATCH.replace('batch 41', 'batch 40')}\n{BATCH}\n2026-03-01 12:00:00,000 WARNING x: not committed\n"
    batch = last_batch("half a line 300 frames}\n" + log)
    assert batch is not None
    assert (batch.number, batch.frames, batch.seconds) == (41, 350, 0.576)
    assert batch.ended == datetime(2026, 3, 1, 11, 59, 58, 250_000).astimezone(), "loggers write local time"


@pytest.mark.parametrize(
    "log",
    [
        "",
        "\0\0",
        BATCH[:-3],
        BATCH.replace("{", "{{"),
        BATCH.replace("576", '"x"'),
        BATCH.replace("2026-03", "2026-93"),
    ],
)
def test_a_log_without_a_readable_batch_has_none(log: str) -> None:
    assert last_batch(log) is None


def test_the_age_of_a_bulletin_is_told_by_its_time_of_day() -> None:
    assert age_of("11:59:05 UTC", NOW) == 60
    assert age_of("23:59:55 UTC", NOW.replace(hour=0)) == 10
    assert age_of("", NOW) == 0


@pytest.mark.parametrize(
    ("words", "seconds"),
    [("0 ms", 0), ("500 ms", 0.5), ("2 sec", 2), ("5 mins", 300), ("1 hour", 3600), ("1.5 days", 129_600), ("#{x}", 0)],
)
def test_durations_are_read_as_nifi_words_them(words: str, seconds: float) -> None:
    assert seconds_of(words) == seconds


def test_microseconds_are_exact() -> None:
    assert micros(datetime(2026, 3, 1, 12, 0, 0, 123_457, tzinfo=UTC)) == 1_772_366_400_123_457


def test_a_component_is_ill_unless_it_is_valid_and_runs() -> None:
    well = Part("1", "processor", "Fetch page", "RUNNING", "VALID", [])
    assert readings.ill(well) == ""
    assert readings.ill(replace(well, kind="controller service", state="ENABLED")) == ""
    assert readings.ill(replace(well, state="STOPPED")) == "processor 'Fetch page' is stopped"
    assert readings.ill(replace(well, state="DISABLED")) == "", "the flow has taken it out"
    assert "disabled" in readings.ill(replace(well, kind="controller service", state="DISABLED"))
    assert "no URL" in readings.ill(replace(well, validation="INVALID", state="STOPPED", errors=["no URL"]))
    assert "validated" in readings.ill(replace(well, validation="VALIDATING"))
    assert "no code" in readings.ill(replace(well, ghost=True))


# Topics


@pytest.mark.parametrize(
    ("begin", "most", "expected"),
    [
        (None, 100, Window({}, {0: 50, 1: 20}, 0)),
        ({0: 50, 1: 20}, 100, Window({}, {0: 50, 1: 20}, 0)),
        ({0: 40, 1: 20}, 100, Window({0: 40}, {0: 50, 1: 20}, 10)),
        ({0: 10, 1: 0}, 10, Window({0: 45, 1: 15}, {0: 50, 1: 20}, 60)),
        ({0: 2, 1: 20}, 100, Window({0: 5}, {0: 50, 1: 20}, 45)),
        ({0: 900, 1: 20}, 100, Window({0: 5}, {0: 50, 1: 20}, 45)),
        ({0: 50}, 100, Window({1: 0}, {0: 50, 1: 20}, 20)),
    ],
    ids=["first look", "nothing new", "some", "too many", "retention", "another topic", "a new partition"],
)
def test_only_what_is_new_is_read(begin: dict[int, int] | None, most: int, expected: Window) -> None:
    assert window({0: (5, 50), 1: (0, 20)}, begin, most) == expected


def test_of_a_dead_letter_only_its_reasons_count_whatever_it_is() -> None:
    assert readings.reasons_of({"reasons": ["missing:email", "missing:email", "bad:id"]}) == {"missing:email", "bad:id"}
    damaged: list[dict[str, Any]] = [{}, {"reasons": []}, {"reasons": 7}, {"reasons": None}]
    for letter in damaged:
        assert readings.reasons_of(letter) == {"not_readable"}
    assert readings.reasons_of({"reasons": [{}]}) == {"{}"}


def test_a_record_of_another_contract_is_no_user() -> None:
    user = {"id": "0b1f4c5e-58b4-4b0a-9d5e-0123456789ab", "event_time": NOW, "fetched_at": NOW}
    found = readings.user_of(user)
    assert found is not None
    assert found.event_time == NOW
    for change in ({"id": "x"}, {"id": None}, {"event_time": 5}, {"fetched_at": None}):
        assert readings.user_of({**user, **change}) is None


# A look


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("PIPELINE_HOME", str(tmp_path))
    monkeypatch.delenv("PIPELINE_ALERT_WEBHOOK", raising=False)
    return configuration.load()


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[Memory]:
    """What each look remembered; its readings say that somebody changed the flow."""
    memories: list[Memory] = []

    def read(settings: Settings, memory: Memory, most_letters: int, seconds: float) -> Readings:
        memories.append(memory)
        hidden = Unread("not read", told=True)
        letters = DeadLetters(memory.counted, 0, 0, {}, 0, {0: 5 * len(memories)}, {0: 1})
        alerts = Alerts(True, 0, "", "")
        return Readings(hidden, hidden, Drift(["changed"]), hidden, letters, hidden, alerts, Surroundings())

    monkeypatch.setattr(readings, "read", read)
    return memories


def test_a_look_goes_on_from_the_one_before(settings: Settings, seen: list[Memory]) -> None:
    assert monitor.last(settings) is None
    first, second = monitor.look(settings), monitor.look(settings)
    assert (first.verdict, second.verdict) == ("suspect", "ill")
    assert [memory.dead_letters for memory in seen] == [None, {0: 5}]
    assert monitor.last(settings) == second
    assert (settings.home / "monitor" / "record.json").stat().st_mode & 0o777 == 0o600
    assert datetime.now(UTC) - second.at < timedelta(minutes=1)


@pytest.mark.parametrize("garbage", [b"", b"{", b"[]", b"\xff", b'{"at": 1}', b"[" * 100_000])
def test_a_record_that_is_none_counts_for_none_and_is_told(
    settings: Settings, seen: list[Memory], garbage: bytes
) -> None:
    monitor.look(settings)
    (settings.home / "monitor" / "record.json").write_bytes(garbage)
    assert monitor.last(settings) is None
    record = monitor.look(settings)
    assert record.checks["drift"].strikes == 1
    assert "could not be read" in record.says[-1]
    assert json.loads((settings.home / "monitor" / "record.json").read_bytes()) == record.as_json()


def test_looks_at_the_same_time_wait_for_each_other(settings: Settings, seen: list[Memory]) -> None:
    threads = [threading.Thread(target=monitor.look, args=(settings,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    record = monitor.last(settings)
    assert record is not None
    assert record.checks["drift"].strikes == 4


def test_a_look_without_a_stack_is_ill_without_an_error(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    for engine in ("nifi", "consumer"):
        monkeypatch.setattr(readings, engine, lambda settings: fails(TerminalError("nothing is set up")))
    monkeypatch.setattr(readings, "surroundings", lambda settings: fails(TerminalError("no ledger")))
    record = monitor.look(settings)
    verdicts = {area: check.verdict for area, check in record.checks.items()}
    assert verdicts == {
        **dict.fromkeys(("flow", "drift", "dead_letters", "freshness"), "unknown"),
        **dict.fromkeys(("nifi", "consumer"), "suspect"),
        "alerts": "ok",
    }
    assert any("no ledger" in said for said in record.says)


# Reading a topic, from librdkafka's own mock broker


@pytest.fixture
def broker(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Settings, Producer]]:
    producer = Producer({"test.mock.num.brokers": 1, "log_level": 0})
    (found,) = producer.list_topics(timeout=5).brokers.values()
    monkeypatch.setenv("PIPELINE_KAFKA_PORT", str(found.port))
    yield configuration.load(), producer
    producer.flush(5)


def test_a_topic_is_read_from_where_the_look_before_ended(broker: tuple[Settings, Producer]) -> None:
    settings, producer = broker

    def send(*values: bytes) -> None:
        for value in values:
            producer.produce("letters", value, partition=0)
        assert producer.flush(5) == 0

    send(b"old", b"older")
    first, values = since(settings, "letters", None, 10)
    assert (list(values), first.new, first.ends[0]) == ([], 0, 2)
    send(b"a", b"b", b"c")
    second, values = since(settings, "letters", first.ends, 10)
    assert (list(values), second.new) == ([b"a", b"b", b"c"], 3)
    third, values = since(settings, "letters", first.ends, 1)
    assert (list(values), third.new) == ([b"c"], 3), "the newest, and all are counted"
    fourth, values = since(settings, "letters", second.ends, 10)
    assert (list(values), fourth.new) == ([], 0)


def test_a_kafka_that_does_not_answer_is_told(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scripts.monitor.tail._ANSWER", 0.3)
    monkeypatch.setenv("PIPELINE_KAFKA_PORT", "9")
    with pytest.raises(TransientError, match="does not answer"):
        since(configuration.load(), "letters", None, 10)
