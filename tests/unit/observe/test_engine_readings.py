"""The engines: asked at once, and what the supervisor's log says of those that ended by themselves."""

import datetime as dt

import pytest

from scripts.observe import engines
from scripts.observe.engines import Exit, Process, Restart, Supervised
from scripts.observe.gather import Failed, ReadStep, Skipped, gather
from scripts.stack.credentials import Credentials
from scripts.stack.engine import Ask, Engine
from scripts.stack.settings import Settings
from scripts.stack.supervise import Standing, Supervisor

LOG = """\
2026-06-01 09:00:00,000 WARN exited: kafka (exit status 1; not expected)
2026-06-01 11:30:00,000 INFO stopped: nifi (exit status 143)
2026-06-01 11:40:00,123 WARN exited: nifi (terminated by SIGKILL; not expected)
2026-06-01 11:50:00,123 WARN exited: nifi (exit status 1; not expected)
"""
SINCE = dt.datetime(2026, 6, 1, 11)


WATCHED = """\
2026-06-01 09:00:00,000 WARNING kafka did not answer for 125 s and was started again; what its threads wrote is in x
2026-06-01 11:30:00,000 INFO kafka does not answer: no answer within 5 s
2026-06-01 11:33:01,123 WARNING kafka did not answer for 130 s and was started again; what its threads wrote is in x
2026-06-01 11:40:00,123 WARNING nifi could not be started; that is tried again, see logs/nifi.log
"""


def engine(name: str, ask: Ask) -> Engine:
    return Engine(name, name.title(), "here", {}, ask)


def test_engines_that_ended_by_themselves_are_read_from_the_supervisors_log(settings: Settings) -> None:
    expected = {
        "nifi": [
            Exit(dt.datetime(2026, 6, 1, 11, 40), "terminated by SIGKILL"),
            Exit(dt.datetime(2026, 6, 1, 11, 50), "exit status 1"),
        ]
    }
    assert engines.exits(settings, SINCE) == {}
    settings.logs.mkdir(parents=True)
    (settings.logs / "supervisor.log").write_text(LOG)
    assert engines.exits(settings, SINCE) == expected
    assert engines.exits_of(LOG, SINCE.replace(hour=12)) == {}


def test_what_the_watch_has_started_again_is_read_from_its_log(settings: Settings) -> None:
    expected = {"kafka": [Restart(dt.datetime(2026, 6, 1, 11, 33, 1), 130)]}
    assert engines.restarts(settings, SINCE) == {}
    settings.logs.mkdir(parents=True)
    (settings.logs / "watch.log").write_text(WATCHED)
    assert engines.restarts(settings, SINCE) == expected
    assert len(engines.restarts_of(WATCHED, SINCE.replace(hour=1))["kafka"]) == 2
    assert engines.told("kafka", expected["kafka"][0]) == (
        "kafka did not answer for 130 s and was started again at 11:33:01; "
        "what its threads waited for is in logs/kafka.log"
    )


@pytest.mark.parametrize(
    ("log", "error"),
    [
        ("", ""),
        ("2026-06-01 11:30:00,000 INFO spark_consumer: batch 1\n", ""),
        (
            "2026-06-01 11:30:00,000 ERROR spark_consumer: older\n"
            "2026-06-01 11:30:00,000 ERROR spark_consumer: table x: no column y (ALTER TABLE x ADD y)\n"
            "2026-06-01 11:30:01,000 WARNING spark_consumer: the stream is not started again\n",
            "table x: no column y (ALTER TABLE x ADD y)",
        ),
        ("2026-06-01 11:30:00,000 ERROR \x1b[31mred", "[31mred"),
        (
            "2026-06-01 11:30:00,000 ERROR spark_consumer.consumer: the topic was made anew\n"
            "2026-06-01 11:30:01,000 ERROR MicroBatchExecution: Query terminated with error\n",
            "the topic was made anew",
        ),
        ("2026-06-01 11:30:01,000 ERROR TaskSchedulerImpl$: Lost executor 0\n", "Lost executor 0"),
    ],
)
def test_the_last_error_of_a_log(log: str, error: str) -> None:
    assert engines.last_error(log) == error


@pytest.mark.parametrize(("state", "error"), [("EXITED", "no table"), ("RUNNING", ""), ("STOPPED", "")])
def test_an_engine_that_is_down_by_itself_has_its_last_error(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, state: str, error: str
) -> None:
    settings.logs.mkdir(parents=True)
    (settings.logs / "consumer.log").write_text("2026-06-01 11:30:00,000 ERROR spark_consumer: no table\n")
    monkeypatch.setattr(Supervisor, "standing", lambda self, name: Standing(state, 0, 0))
    assert engines.process(settings, "consumer") == Process(state, 0, 0, error)


def test_each_engine_is_asked_with_what_it_takes_and_is_needed_by_what_follows() -> None:
    refused = OSError("refused")

    def ask(credentials: Credentials | None, patience: float) -> str:
        return f"{credentials} within {patience:g} s"

    def down(credentials: Credentials | None, patience: float) -> str:
        raise refused

    asks = engines.asks([engine("kafka", ask), engine("nifi", down)], None, 4.0)
    canvas = ReadStep("canvas", lambda: 1)
    read = gather([[asks["kafka"]], [asks["nifi"], canvas]], 5)
    assert read.of(asks["kafka"]) == "None within 4 s"
    assert read.of(asks["nifi"]) == Failed(refused)
    assert read.of(canvas) == Skipped(asks["nifi"])


def test_a_stack_that_never_ran_has_no_processes(settings: Settings) -> None:
    assert engines.supervised(settings, ["nifi"]) == Supervised(running=False)
    assert engines.process(settings, "nifi") == Process("DOWN", 0, 0)
    assert not settings.home.exists()
