"""How long an engine may say nothing: counted by looks in a row, never by the clock alone."""

from collections.abc import Iterable
from dataclasses import replace

import pytest

from scripts.stack.engine import Engine
from scripts.stack.silence import Found, Look, Silence, judgeable, look
from scripts.stack.supervise import Standing

ENGINE = Engine("kafka", "Kafka", "", {}, lambda login, patience: "", patience=100, silence=120)
DEAF = Look(Found.SILENT, 7, "no answer within 5 s")
WELL = Look(Found.ANSWERS, 7)
UP = Standing("RUNNING", 7, 101)


def after(looks: Iterable[Look], passed: float = 20.0, silence: Silence | None = None) -> Silence:
    silence = silence or Silence()
    for each in looks:
        silence = silence.after(each, passed)
    return silence


def due(looks: list[Look], passed: float = 20.0, silence: Silence | None = None) -> bool:
    return after(looks, passed, silence).too_long(ENGINE, looks[-1])


def test_an_engine_that_is_silent_for_so_many_looks_in_a_row_is_due() -> None:
    assert not due([DEAF] * 5)
    assert due([DEAF] * 6)
    assert not due([DEAF] * 5 + [WELL] + [DEAF] * 5), "it has answered in between"
    assert not due([DEAF] * 6 + [WELL])


def test_a_machine_that_slept_or_stood_still_has_nobody_restarted() -> None:
    assert not due([DEAF], passed=36_000)
    assert not due([WELL, DEAF, DEAF], passed=36_000)
    assert due([DEAF] * 4, passed=36_000), "it goes on to be silent while we look"


def test_another_process_begins_anew() -> None:
    assert not due([DEAF] * 5 + [replace(DEAF, pid=8)])
    assert not due([DEAF] * 5 + [Look(Found.UNKNOWN, 8), replace(DEAF, pid=8)])
    assert not due([DEAF] * 5 + [Look(Found.UNKNOWN, 0)] + [DEAF])


def test_what_says_nothing_of_an_engine_counts_neither_for_it_nor_against_it() -> None:
    unknown = Look(Found.UNKNOWN, 7)
    assert not due([DEAF] * 5 + [unknown] * 50)
    assert due([DEAF] * 5 + [unknown] + [DEAF])


def test_an_engine_that_a_restart_does_not_help_is_left_alone_for_longer_each_time() -> None:
    once = after([DEAF] * 6).restarted()
    again = replace(DEAF, pid=8)
    assert not due([again] * 11, silence=once)
    assert due([again] * 12, silence=once)
    often = Silence()
    for _ in range(50):
        often = often.restarted()
    assert due([DEAF] * (6 * 32), silence=often), "but never for more than about an hour"
    assert due([replace(WELL, pid=8), *[again] * 6], silence=once), "an answer ends it"


def test_an_engine_that_could_not_be_started_is_due_after_a_while() -> None:
    gave_up = Look(Found.FAILED)
    assert not due([gave_up] * 2)
    assert due([gave_up] * 3)
    assert not due([gave_up], silence=after([gave_up] * 3).attended())
    assert due([gave_up] * 3, silence=after([gave_up] * 3).attended())


def test_attempts_to_start_do_not_count_as_restarts_for_silence() -> None:
    silence = Silence()
    for _ in range(10):
        silence = after([Look(Found.FAILED)] * 3, silence=silence).attended()
    assert due([DEAF] * 6, silence=silence)


@pytest.mark.parametrize(
    "standing",
    [None, Standing("RUNNING", 7, 100), *(Standing(s, 7, 900) for s in ("STARTING", "STOPPING", "BACKOFF", "EXITED"))],
)
def test_only_what_has_been_up_for_longer_than_its_patience_is_judged(standing: Standing | None) -> None:
    assert not judgeable(ENGINE, standing)
    assert judgeable(ENGINE, UP)
    standings = {"kafka": standing} if standing else {}
    assert look(ENGINE, standings, {"kafka": "no answer"}).found is Found.UNKNOWN


def test_what_a_look_says() -> None:
    standings = {"kafka": UP}
    assert look(ENGINE, standings, {"kafka": None}) == WELL
    assert look(ENGINE, standings, {"kafka": "no answer within 5 s"}) == DEAF
    assert look(ENGINE, standings, {}) == Look(Found.UNKNOWN, 7), "it could not be asked"
    assert look(ENGINE, {"kafka": Standing("FATAL", 0, 0)}, {}) == Look(Found.FAILED)


def test_who_needs_several_engines_is_not_blamed_while_one_of_them_is_away() -> None:
    consumer = replace(ENGINE, name="consumer", through=("kafka", "cassandra"))
    standings = dict.fromkeys(("consumer", "kafka", "cassandra"), UP)
    away: dict[str, str | None] = {"consumer": "no answer", "kafka": None, "cassandra": "no answer"}
    assert look(consumer, standings, away).found is Found.UNKNOWN
    assert look(consumer, standings, {**away, "cassandra": None}).found is Found.SILENT


@pytest.mark.parametrize(
    ("answers", "found"),
    [
        ({"worker": "no answer", "master": None}, Found.SILENT),
        ({"worker": "no answer", "master": "no answer"}, Found.UNKNOWN),
        ({"worker": "no answer"}, Found.UNKNOWN),
        ({"worker": None, "master": "no answer"}, Found.ANSWERS),
    ],
)
def test_who_is_asked_through_another_one_is_not_blamed_for_that_one(
    answers: dict[str, str | None], found: Found
) -> None:
    worker = replace(ENGINE, name="worker", through=("master",))
    assert look(worker, {"worker": UP, "master": UP}, answers).found is found
