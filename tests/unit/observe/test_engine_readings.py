"""The engines: asked at once, and what the supervisor's log says of those that ended by themselves."""

import datetime as dt

from scripts.observe import engines
from scripts.observe.engines import Exit, Process, Supervised
from scripts.observe.gather import Failed, ReadStep, Skipped, gather
from scripts.stack.credentials import Credentials
from scripts.stack.engine import Ask, Engine
from scripts.stack.settings import Settings

LOG = """\
2026-06-01 09:00:00,000 WARN exited: kafka (exit status 1; not expected)
2026-06-01 11:30:00,000 INFO stopped: nifi (exit status 143)
2026-06-01 11:40:00,123 WARN exited: nifi (terminated by SIGKILL; not expected)
2026-06-01 11:50:00,123 WARN exited: nifi (exit status 1; not expected)
"""
SINCE = dt.datetime(2026, 6, 1, 11)


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
