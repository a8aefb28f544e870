"""The doctor on the engines: what their answers and their supervisor mean."""

import datetime as dt
import os
import subprocess

import pytest

from scripts.doctor import engines
from scripts.doctor.diagnosis import Grade, ok
from scripts.observe import engines as running
from scripts.observe.engines import Exit, Process, Restart, Supervised
from scripts.stack.launch import boot_id
from scripts.stack.settings import Settings
from tests.unit.doctor.severities import OK, PROBLEM, WARNING, severities


@pytest.mark.parametrize(
    ("process", "answer", "severity", "passing", "words"),
    [
        (Process("RUNNING", 900, 0), "version 1", OK, False, "nifi: version 1"),
        (Process("STOPPED", 0, 0), OSError("refused"), PROBLEM, False, "nifi is stopped"),
        (Process("STOPPED", 0, 0), "somebody else answers", PROBLEM, False, "nifi is stopped"),
        (Process("FATAL", 0, 0), OSError("refused"), PROBLEM, False, "given up"),
        (Process("FATAL", 0, 0, "no disk"), OSError("refused"), PROBLEM, False, "given up starting: no disk"),
        (
            Process("EXITED", 0, 0, "no table (make it)"),
            OSError("refused"),
            PROBLEM,
            False,
            "ended: no table (make it)",
        ),
        (Process("EXITED", 0, 0), OSError("refused"), PROBLEM, False, "ended: somebody must act"),
        (Process("BACKOFF", 0, 0), OSError("refused"), PROBLEM, False, "ends right after"),
        (Process("RUNNING", 12, 0), OSError("refused\n"), PROBLEM, True, "12 s ago and is not ready yet: refused"),
        (Process("RUNNING", 900, 0), OSError("refused"), PROBLEM, False, "nifi does not answer: refused"),
        (None, OSError(), PROBLEM, False, "nifi does not answer: OSError"),
    ],
)
def test_the_health_of_an_engine(
    process: Process | None, answer: str | Exception, severity: Grade, passing: bool, words: str
) -> None:
    found = engines.check_engine("nifi", process, answer, optional=False)
    assert severities([found]) == [severity]
    assert found.passing is passing
    assert words in found.what


@pytest.mark.parametrize(
    ("name", "restarts"),
    [("kafka", "./scripts/pipeline down and ./scripts/run restart it"), ("watch", "./scripts/run restarts it")],
)
def test_an_engine_that_is_silent_is_told_with_who_restarts_it(name: str, restarts: str) -> None:
    found = engines.check_engine(name, Process("RUNNING", 900, 0), OSError("refused"), optional=False)
    assert found.remedy == f"./scripts/pipeline logs {name}; {restarts}"


def test_engines_that_outlived_their_supervisor_are_told_until_they_end(settings: Settings) -> None:
    settings.run.mkdir(parents=True)
    (settings.run / "kafka.group").write_text(f"{os.getpgrp()} {boot_id()}")  # a number that came to be ours
    with subprocess.Popen(
        ["sh", "-c", "echo; read forever"],
        start_new_session=True,
        env={**os.environ, "PIPELINE_RUN": str(settings.run)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as left:
        assert left.stdout
        left.stdout.readline()  # it is itself now, no more a copy of this process
        (settings.run / "nifi.group").write_text(f"{left.pid} {boot_id()}")
        found = running.supervised(settings, ["nifi", "kafka"])
        left.kill()
    assert found == Supervised(running=False, leftovers=["nifi"])
    assert severities(engines.check_supervised(found, set_up=True)) == [PROBLEM]
    assert running.supervised(settings, ["nifi"]).leftovers == []


def test_a_stack_that_is_down_is_no_problem() -> None:
    for set_up in (True, False):
        assert severities(engines.check_supervised(Supervised(running=False), set_up=set_up)) == [OK]


def test_an_engine_that_may_be_left_out_is_fine_while_it_is_stopped() -> None:
    stopped = Process("STOPPED", 0, 0)
    found = engines.check_engine("airflow-api", stopped, OSError("refused"), optional=True)
    assert found == ok("engines", "airflow-api is left out; ./scripts/run starts it")


def test_engines_that_ended_by_themselves() -> None:
    times = [
        Exit(dt.datetime(2026, 6, 1, 11, 40), "terminated by SIGKILL"),
        Exit(dt.datetime(2026, 6, 1, 11, 50), "exit status 1"),
    ]
    (found,) = engines.check_exits({"nifi": times})
    assert severities([found]) == [WARNING]
    assert "nifi ended by itself 2 times" in found.what
    assert "at 11:50:00, exit status 1" in found.what


def test_engines_that_hung_and_were_started_again() -> None:
    times = [Restart(dt.datetime(2026, 6, 1, 11, 40), 125), Restart(dt.datetime(2026, 6, 1, 12, 3), 130)]
    once, twice = engines.check_restarts({"kafka": times[1:], "nifi": times})
    assert severities([once, twice]) == [WARNING, WARNING]
    assert once.what.startswith("kafka did not answer for 130 s and was started again at 12:03:00; ")
    assert twice.what.endswith("logs/nifi.log, 2 times in the last hour")
