"""The batches of a stream, by what Spark tells of its progress, and its epochs, by what its logs hold."""

from types import SimpleNamespace
from typing import Any

import pytest

from spark_consumer import progress as module
from spark_consumer.progress import Batches, Epoch, Epochs, Stalled
from spark_consumer.unsettled import Batch

Progress = dict[str, Any]


def progress(number: int, start: int | None, end: int, **seen: int) -> Progress:
    return {
        "batchId": number,
        "sources": [
            {"startOffset": None if start is None else {"users": {"0": start}}, "endOffset": {"users": {"0": end}}}
        ],
        "durationMs": {"triggerExecution": 100, "addBatch": 80},
        "observedMetrics": {"frames": {"refused": 0} | seen},
    }


def idle(number: int) -> Progress:
    """Nothing to read: the batch of this number is still to come."""
    return {**progress(number, 1, 1), "durationMs": {"triggerExecution": 3, "latestOffset": 2}}


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


def test_each_batch_is_told_of_once_and_begins_where_the_stream_did() -> None:
    stream, batches = Stream(), Batches("users", {0: 3})
    assert batches.ended(stream) == []
    assert batches.ended(stream.has(progress(0, None, 5, refused=2))) == [Batch({0: 3}, {0: 5}, 2)]
    assert batches.ended(stream) == []
    assert batches.ended(stream.has(idle(1))) == []
    assert batches.ended(stream.has(progress(1, 5, 8))) == [Batch({0: 5}, {0: 8})]


def test_every_batch_has_its_line_however_many_end_between_two_looks(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "spark_consumer.progress")
    stream, batches = Stream(), Batches("users", {0: 0})
    batches.ended(stream.has(progress(0, None, 1)))
    found = batches.ended(stream.has(progress(1, 1, 2), progress(2, 2, 4), idle(3)))
    assert [batch.end for batch in found] == [{0: 2}, {0: 4}]
    assert [record.getMessage().partition(",")[0] for record in caplog.records] == [
        "batch 0: 1 frames",
        "batch 1: 1 frames",
        "batch 2: 2 frames",
    ]


def test_all_recent_progress_is_asked_for_only_when_some_was_passed_over() -> None:
    stream, batches = Stream(), Batches("users", {0: 0})
    for made in (progress(0, None, 1), idle(1), progress(1, 1, 2)):
        batches.ended(stream.has(made))
        batches.ended(stream)
    assert stream.asked_for_all == 0
    batches.ended(stream.has(progress(2, 2, 3), progress(3, 3, 4)))
    assert stream.asked_for_all == 1


def test_a_batch_that_was_not_counted_is_one_with_refused_frames() -> None:
    uncounted = {**progress(0, None, 5), "observedMetrics": {}}
    assert Batches("users", {0: 0}).ended(Stream().has(uncounted))[0].refused


QUERY: Any = None


def test_epochs_between_two_looks_are_one_batch(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "spark_consumer.progress")
    committed = iter(
        [None, Epoch(2, {0: 5, 1: 3}), Epoch(2, {0: 5, 1: 3}), Epoch(4, {0: 5, 1: 3}), Epoch(9, {0: 8, 1: 3})]
    )
    epochs = Epochs({0: 3, 1: 3}, lambda query: next(committed))
    assert epochs.ended(QUERY) == []
    assert epochs.ended(QUERY) == [Batch({0: 3, 1: 3}, {0: 5, 1: 3})]
    assert epochs.ended(QUERY) == []
    assert epochs.ended(QUERY) == [Batch({0: 5, 1: 3}, {0: 5, 1: 3})], "an idle one is a sign of life"
    assert epochs.ended(QUERY) == [Batch({0: 5, 1: 3}, {0: 8, 1: 3})]
    assert [record.getMessage().partition(",")[0] for record in caplog.records] == [
        "epoch 2: 2 frames",
        "epoch 9: 3 frames",
    ]


class Passing:
    """Epochs of a stream, looked at each second of a clock of their own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: self.now))
        self.committed: Epoch | None = None
        self.epochs = Epochs({0: 3}, lambda query: self.committed)

    def wait(self, seconds: int) -> None:
        for _ in range(seconds):
            self.now += 1
            self.epochs.ended(QUERY)


def test_a_stream_without_epochs_is_stalled_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    passing = Passing(monkeypatch)
    passing.wait(40)
    passing.epochs.check()
    passing.wait(1)
    with pytest.raises(Stalled, match="for 40 s"):
        passing.epochs.check()
    passing.epochs.excuse()
    passing.wait(40)
    passing.epochs.check()
    passing.committed = Epoch(0, {0: 3})
    passing.wait(31)
    passing.epochs.check()
    passing.wait(1)
    with pytest.raises(Stalled, match="for 30 s"):
        passing.epochs.check()


def test_a_machine_that_stood_still_has_no_stream_stalled(monkeypatch: pytest.MonkeyPatch) -> None:
    passing = Passing(monkeypatch)
    passing.now += 3600
    passing.wait(1)
    passing.epochs.check()


def test_epochs_flow_since_the_last_gap_between_them(monkeypatch: pytest.MonkeyPatch) -> None:
    passing = Passing(monkeypatch)

    def commit(times: int) -> None:
        for _ in range(times):
            passing.committed = Epoch(passing.committed.number + 1 if passing.committed else 0, {0: 3})
            passing.wait(1)

    passing.wait(20)
    assert passing.epochs.flowing == 0
    commit(5)
    assert passing.epochs.flowing == 4
    passing.wait(2)
    assert passing.epochs.flowing == 0, "what it reads now may take long to write"
    commit(3)
    assert passing.epochs.flowing == 2
