"""The consumer: how far it is, whether it moves, and what its log says of its batches."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from nifi_flows.pipeline import USERS
from scripts.observe import consumer, topics
from scripts.observe.consumer import ConsumerState, last_batch
from scripts.observe.topics import Position
from scripts.stack.settings import Settings

BATCH = (
    "2026-03-01 11:59:58,250 INFO spark_consumer.progress: batch 41: 350 frames, 608/s, times in ms "
    '{"addBatch": 461, "triggerExecution": 576}'
)


def test_the_last_batch_of_a_log_is_read() -> None:
    log = f"{BATCH.replace('batch 41', 'batch 40')}\n{BATCH}\n2026-03-01 12:00:00,000 WARNING x: not committed\n"
    batch = last_batch("half a line 300 frames}\n" + log)
    assert batch is not None
    assert (batch.number, batch.frames, batch.seconds) == (41, 350, 0.576)
    assert batch.ended == datetime(2026, 3, 1, 11, 59, 58, 250_000).astimezone(), "loggers write local time"
    assert batch.ended.tzinfo is UTC


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


def test_the_last_epoch_of_a_log_is_read() -> None:
    batch = last_batch("2026-03-01 11:59:58,250 INFO spark_consumer.progress: epoch 41: 350 frames, 608/s, in 0.58 s\n")
    assert batch is not None
    assert (batch.number, batch.frames, batch.seconds) == (41, 350, 0.58)


def test_a_batch_that_cannot_be_read_hides_none_before_it() -> None:
    batch = last_batch(f"{BATCH}\n{BATCH.replace('2026-03', '2026-93')}\n")
    assert batch is not None and batch.number == 41


@pytest.fixture
def moving(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """What the consumer has committed, from one look to the next; nobody sleeps."""
    committed = iter([2, 2, 4, 9])

    def positions(settings: Settings, topic: str, group: str, patience: float) -> dict[int, Position]:
        assert (topic, group) == (USERS.topic, USERS.consumer_group)
        return {0: Position(0, 9, next(committed))}

    monkeypatch.setattr(topics, "positions", positions)
    monkeypatch.setattr(
        consumer, "time", SimpleNamespace(monotonic=time.monotonic, sleep=lambda _: None, time=time.time)
    )
    return committed


def test_a_consumer_that_is_behind_is_watched_until_it_moves(settings: Settings, moving: Iterator[int]) -> None:
    read = consumer.watch(settings, USERS, 3.0)
    assert (read.before[0].committed, read.after[0].committed) == (2, 4)
    assert read.silent == 0.0, "it has no log"
    assert consumer.watch(settings, USERS, 3.0).after[0].committed == 9
    assert next(moving, None) is None, "one that is not behind is looked at once"


def test_a_consumer_that_stands_still_is_not_watched_for_ever(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.logs.mkdir(parents=True)
    (settings.logs / "consumer.log").write_text("")
    monkeypatch.setattr(topics, "positions", lambda *arguments: {0: Position(0, 9, None)})
    read = consumer.watch(settings, USERS, 0.0)
    assert consumer.lag_of(read.after) == 9
    assert 0 <= read.silent < 60


def test_a_consumer_of_a_stack_that_is_down_is_read_all_the_same(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.logs.mkdir(parents=True)
    (settings.logs / "consumer.log").write_text(f"{BATCH}\n")
    found = {0: Position(5, 9, 3), 1: Position(0, 4, None, lane="continuous")}
    monkeypatch.setattr(topics, "positions", lambda *arguments: found)
    read = consumer.read(settings, USERS)
    assert read == ConsumerState("DOWN", 0, found, last_batch(BATCH))
    assert (read.lags, read.lost, read.lane) == ({0: 4, 1: 4}, 2, "continuous")
    assert consumer.lag_of(found) == 8


@pytest.mark.parametrize(
    ("position", "unfinished"),
    [
        (Position(0, 9, None), 9),
        (Position(0, 9, 9), 0),
        (Position(0, 9, 7, 7), 2),
        (Position(0, 9, 9, 4), 5),
        (Position(6, 9, 9, 4), 3),
    ],
)
def test_frames_that_are_read_and_no_dead_letters_yet_are_unfinished(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, position: Position, unfinished: int
) -> None:
    monkeypatch.setattr(topics, "positions", lambda *arguments: {0: position, 1: Position(0, 3, 3)})
    assert consumer.unfinished(settings, USERS) == unfinished
