"""The liveness watch: whom it asks, whom it starts again, and what it writes of that."""

import contextlib
import errno
import faulthandler
import logging
import os
import threading
import time
from collections.abc import Callable
from datetime import datetime
from http.client import BadStatusLine
from pathlib import Path
from types import SimpleNamespace
from typing import cast
from xmlrpc.client import Fault, ProtocolError

import pytest

from nifi_flows.errors import TerminalError, TransientError
from scripts.observe import engines as observed
from scripts.stack import configuration, watch
from scripts.stack.credentials import Credentials
from scripts.stack.engine import Ask, Engine
from scripts.stack.engines import watch as described
from scripts.stack.settings import Settings
from scripts.stack.supervise import Standing, Supervisor
from scripts.stack.watch import Asker, Watch

UP = Standing("RUNNING", 7, 900)


def refuses(login: Credentials | None, patience: float) -> str:
    raise TransientError("Connection refused\nby the kernel")


def answers(login: Credentials | None, patience: float) -> str:
    return "well"


def engine(name: str, ask: Ask) -> Engine:
    return Engine(name, name.title(), "", {}, ask)


class Supervised:
    """Instead of a supervisor. standings: as it has the engines. deeds: what it was told to do."""

    def __init__(self, **standings: Standing) -> None:
        self.known = standings
        self.deeds: list[str] = []
        self.same = True

    def standings(self) -> dict[str, Standing]:
        return self.known

    def resume(self) -> list[str]:
        return []

    def restart_silent(self, name: str, pid: int) -> bool:
        self.deeds.append(f"restart {name} {pid}")
        return self.same

    def retry_engine(self, name: str) -> bool:
        self.deeds.append(f"start {name}")
        return self.same


def looks(supervisor: Supervised, *watched: Engine, times: int, passed: float = 30.0) -> list[str]:
    watching = Watch(watched, cast(Supervisor, supervisor))
    for _ in range(times):
        watching.look(None, passed)
    return supervisor.deeds


def test_an_engine_that_is_silent_is_started_again_and_that_is_written_for_those_who_tell_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "watch")
    supervisor = Supervised(kafka=UP, nifi=UP)
    assert looks(supervisor, engine("nifi", answers), engine("kafka", refuses), times=4) == ["restart kafka 7"]
    first, deed = caplog.records
    assert first.getMessage() == "kafka does not answer: Connection refused"
    line = logging.Formatter("%(asctime)s %(levelname)s %(message)s").format(deed)
    (restart,) = observed.restarts_of(f"{line}\n", datetime(2020, 1, 1))["kafka"]
    assert restart.silent == 120
    assert "logs/kafka.log (Connection refused)" in line


def test_one_is_started_again_at_a_time() -> None:
    supervisor = Supervised(a=UP, b=UP, c=UP)
    watched = [engine(name, refuses) for name in ("a", "b", "c")]
    assert looks(supervisor, *watched, times=4) == ["restart a 7"]
    supervisor.deeds.clear()
    assert looks(supervisor, *watched, times=6) == ["restart a 7", "restart b 7", "restart c 7"]


def test_what_somebody_else_restarted_meanwhile_is_no_deed(caplog: pytest.LogCaptureFixture) -> None:
    supervisor = Supervised(kafka=UP, nifi=Standing("FATAL", 0, 0))
    supervisor.same = False
    looks(supervisor, engine("kafka", refuses), engine("nifi", refuses), times=4)
    assert {"restart kafka 7", "start nifi"} <= set(supervisor.deeds)
    assert not [record for record in caplog.records if record.levelno == logging.WARNING]


def test_an_engine_that_could_not_be_started_is_started_again() -> None:
    supervisor = Supervised(kafka=Standing("FATAL", 0, 0))
    assert looks(supervisor, engine("kafka", refuses), times=2) == ["start kafka"]


@pytest.mark.parametrize("state", ["STOPPED", "STARTING", "STOPPING", "BACKOFF", "EXITED", "DOWN"])
def test_what_does_not_run_is_neither_asked_nor_started(state: str) -> None:
    def ask(login: Credentials | None, patience: float) -> str:
        pytest.fail("it is asked")

    assert looks(Supervised(kafka=Standing(state, 0, 0)), engine("kafka", ask), times=20) == []
    assert looks(Supervised(), engine("kafka", ask), times=20) == [], "the supervisor itself does not answer"


def test_an_engine_that_cannot_be_asked_for_a_reason_of_ours_is_left_alone() -> None:
    def ask(login: Credentials | None, patience: float) -> str:
        raise TerminalError("the secrets to ask it with are missing")

    assert looks(Supervised(nifi=UP), engine("nifi", ask), times=20) == []


def test_an_engine_whose_client_hangs_is_silent_and_not_asked_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "_ANSWER", 0.05)
    monkeypatch.setattr(watch, "_GRACE", 0.05)
    released, asked = threading.Event(), []

    def hangs(login: Credentials | None, patience: float) -> str:
        asked.append(patience)
        released.wait(10)
        return "at last"

    asker, two = Asker(), [(engine("a", hangs), 7), (engine("b", answers), 8)]
    begun = time.monotonic()
    for _ in range(2):
        assert asker.answers(two, None) == {"a": "no answer within 0.1 s", "b": None}
    assert time.monotonic() - begun < 2
    assert len(asked) == 1
    released.set()
    deadline = time.monotonic() + 10
    while (why := asker.answers(two, None)["a"]) is not None:
        assert time.monotonic() < deadline, why


def test_what_the_process_before_a_restart_was_asked_says_nothing_of_the_one_after(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watch, "_ANSWER", 0.05)
    monkeypatch.setattr(watch, "_GRACE", 0.05)
    released, asked = threading.Event(), []

    def hangs_once(login: Credentials | None, patience: float) -> str:
        asked.append(patience)
        if len(asked) == 1:
            released.wait(10)
            raise TransientError("the answer of a process that is gone")
        return "well"

    asker, kafka = Asker(), engine("kafka", hangs_once)
    assert asker.answers([(kafka, 7)], None) == {"kafka": "no answer within 0.1 s"}
    assert asker.answers([(kafka, 8)], None) == {"kafka": None}, "the new one is asked although the old one hangs"
    released.set()
    assert asker.answers([(kafka, 8)], None) == {"kafka": None}
    assert len(asked) == 3


class Refusing(Supervised):
    """A supervisor that refuses orders."""

    def restart_silent(self, name: str, pid: int) -> bool:
        super().restart_silent(name, pid)
        raise TransientError("the supervisor refuses: FAILED")


def test_one_that_cannot_be_restarted_keeps_nobody_else_from_it_and_is_tried_again_as_soon() -> None:
    supervisor = Refusing(a=UP, b=UP)
    watching = Watch([engine("a", refuses), engine("b", refuses)], cast(Supervisor, supervisor))
    for _ in range(9):
        with contextlib.suppress(TransientError):
            watching.look(None, 30)
    assert supervisor.deeds == ["restart a 7", "restart b 7", "restart a 7", "restart b 7"]


@pytest.fixture
def looked(tmp_path: Path) -> Callable[[int, float], Engine]:
    """The watch's engine, which last looked so many seconds ago as that process."""
    settings = Settings(home=tmp_path)
    (own,) = described.describe(settings)

    def looked(pid: int, age: float) -> Engine:
        file = described.looked(settings)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(str(pid))
        then = time.time() - age
        os.utime(file, (then, then))
        return own

    return looked


def test_the_watch_itself_is_known_by_its_last_look(looked: Callable[[int, float], Engine]) -> None:
    own = looked(os.getpid(), 20)
    assert own.ask(None, 1) == "looks every 15 s"
    assert own.hangs, "a start restarts one that does not look, since nobody else does"
    assert 2 * own.hangs <= own.patience, "after that restart it has as long again"
    with pytest.raises(TransientError, match="its last look was 300 s ago"):
        looked(os.getpid(), 300).ask(None, 1)
    with pytest.raises(TransientError, match="it does not run"):
        looked(2**22 + 1, 0).ask(None, 1)


class Ended(Exception):
    """Instead of the next look."""


@pytest.fixture
def process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Settings:
    """The process of the watch, which makes two looks, without a supervisor."""
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 2:
            raise Ended

    settings = Settings(home=tmp_path)
    settings.run.mkdir(parents=True)
    monkeypatch.setattr(configuration, "load", lambda: settings)
    monkeypatch.setattr(faulthandler, "register", lambda number: None)
    monkeypatch.setattr(watch, "time", SimpleNamespace(monotonic=time.monotonic, sleep=sleep))
    return settings


def test_the_watch_asks_all_engines_but_itself(process: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    watched: list[str] = []
    monkeypatch.setattr(Watch, "look", lambda self, login, passed: watched.extend(e.name for e in self._engines))
    with pytest.raises(Ended):
        watch.main()
    assert {"nifi", "kafka", "consumer", "airflow-api"} <= set(watched)
    assert "watch" not in watched
    assert described.looked(process).read_text() == str(os.getpid())


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        ProtocolError("127.0.0.1/RPC2", 500, "Internal Server Error", {}),
        Fault(1, "UNKNOWN_METHOD"),
        BadStatusLine("HTTP/1.1"),
        TransientError("the stack is not running"),
    ],
)
@pytest.mark.parametrize("step", ["resume", "look", "note"])
def test_nobody_elses_error_ends_the_watch(
    process: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, step: str, error: Exception
) -> None:
    taken: list[str] = []

    def does(name: str) -> Callable[..., None]:
        def does(*arguments: object) -> None:
            taken.append(name)
            if name == step:
                raise error

        return does

    monkeypatch.setattr(Watch, "resume", does("resume"))
    monkeypatch.setattr(Watch, "look", does("look"))
    monkeypatch.setattr(described, "note", does("note"))
    with pytest.raises(Ended):
        watch.main()
    assert taken == ["resume", "look", "note"] * 2
    assert len([record for record in caplog.records if record.levelno >= logging.WARNING]) == 2, "a line each"


def test_a_full_disk_does_not_make_the_watch_look_late(process: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, text: str) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    described.note(process)
    file = described.looked(process)
    os.utime(file, (1, 1))
    monkeypatch.setattr(Path, "write_text", full)
    described.note(process)
    assert time.time() - file.stat().st_mtime < 60
