"""Readings are taken at once, each on its own, under one deadline."""

import threading
import time
from typing import Any

import pytest

from scripts.observe.gather import Failed, Late, ReadStep, Skipped, gather


def fails(error: Exception) -> Any:
    raise error


def test_chains_run_at_once_and_a_step_that_fails_hides_nothing_that_does_not_need_it() -> None:
    met, odd = threading.Barrier(2), ValueError("odd")
    answers = ReadStep("NiFi", lambda: met.wait(5) >= 0, needed=True)
    broken: ReadStep[int] = ReadStep("flow", lambda: fails(odd))
    fine, beside = ReadStep("drift", lambda: 3), ReadStep("alerts", lambda: met.wait(5) >= 0)
    read = gather([[answers, broken, fine], [beside]], 5)
    assert (read.of(answers), read.of(fine), read.of(beside)) == (True, 3, True)
    assert read.of(broken) == Failed(odd)


def test_what_needs_an_answer_is_not_begun_without_it() -> None:
    down = OSError("refused")
    first: ReadStep[int] = ReadStep("NiFi", lambda: fails(down), needed=True)
    second, third = ReadStep("flow", lambda: 1), ReadStep("drift", lambda: 2)
    read = gather([[first, second, third]], 5)
    assert read.of(first) == Failed(down)
    assert read.of(second) == read.of(third) == Skipped(first)


def test_what_hangs_keeps_nobody_waiting() -> None:
    release = threading.Event()
    silent = ReadStep("NiFi", lambda: release.wait(20), needed=True)
    behind = ReadStep("flow", lambda: 1)
    answers, slow = ReadStep("Kafka", lambda: 7, needed=True), ReadStep("dead letters", lambda: release.wait(20))
    after = ReadStep("newest", lambda: 2)
    begun = time.monotonic()
    read = gather([[silent, behind], [answers, slow, after]], 0.2)
    assert time.monotonic() - begun < 5
    release.set()
    assert (read.of(silent), read.of(behind)) == (Late(0.2), Skipped(silent))
    assert (read.of(answers), read.of(slow), read.of(after)) == (7, Late(0.2), Skipped(slow))


def test_what_comes_late_changes_nothing_any_more() -> None:
    release, done = threading.Event(), threading.Event()
    slow = ReadStep("slow", lambda: release.wait(20))
    end = ReadStep("end", done.set)
    read = gather([[slow, end]], 0.05)
    release.set()
    assert done.wait(5)
    assert read.of(slow) == Late(0.05)


def test_two_steps_of_one_name_are_two() -> None:
    one, other = ReadStep("lag", lambda: 1), ReadStep("lag", lambda: 2)
    read = gather([[one], [other]], 5)
    assert (read.of(one), read.of(other)) == (1, 2)
    with pytest.raises(KeyError):
        read.of(ReadStep("lag", lambda: 1))
