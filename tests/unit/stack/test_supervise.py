"""The supervisor, with a real supervisord and engines that are tiny shell scripts."""

import contextlib
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import psutil
import pytest

from nifi_flows.errors import TerminalError, TransientError
from scripts.bootstrap import ROOT
from scripts.stack import stack, supervise
from scripts.stack.credentials import Credentials
from scripts.stack.engine import Engine, Launch
from scripts.stack.launch import living
from scripts.stack.settings import Settings
from scripts.stack.supervise import Supervisor

# A leader with a child, whose process id is in a file once both are there.
_FAMILY = "echo up; sleep 300 & echo $! > NAME.part; mv NAME.part NAME.child; wait"
_SECRET = "s3cret-%d-of-the-engine"


def until(met: Callable[[], Any], seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.02)


@dataclass
class Small:
    """A stack of shell scripts under one supervisord. launches: by name, all of the same script until changed."""

    settings: Settings
    launches: dict[str, Launch]

    @property
    def supervisor(self) -> Supervisor:
        return Supervisor(self.settings)

    def up(self) -> list[str]:
        return self.supervisor.start(self.launches)

    def begin(self, name: str) -> int:
        """Start an engine and return its process id once it has its child."""
        self.supervisor.start_engine(name)
        until(self._child_file(name).exists)
        return self.supervisor.pid(name)

    def child(self, name: str) -> int:
        return int(self._child_file(name).read_text())

    def forget_child(self, name: str) -> int:
        child = self.child(name)
        self._child_file(name).unlink()
        return child

    def kill_supervisor(self) -> None:
        pid = int((self.settings.run / "supervisor.pid").read_text())
        os.kill(pid, signal.SIGKILL)
        until(lambda: not living(pid))

    def processes(self) -> list[int]:
        """Whatever carries the marker of this stack."""
        marker = f"PIPELINE_RUN={self.settings.run}".encode()
        found = []
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if entry.name.isdigit() and marker in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
        return found

    def _child_file(self, name: str) -> Path:
        return self.settings.home / f"{name}.child"


def _shell(name: str, script: str, folder: Path) -> Launch:
    return Launch(["/bin/sh", "-c", script.replace("NAME", name)], folder, {"PASSWORD": _SECRET})


@contextlib.contextmanager
def _stack(home: Path, *names: str) -> Iterator[Small]:
    settings = Settings(home=home)
    for folder in (settings.home, settings.conf, settings.logs, settings.run):
        folder.mkdir(parents=True)
    made = Small(settings, {name: _shell(name, _FAMILY, home) for name in names})
    try:
        yield made
    finally:
        for pid in made.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder with a path that is short enough for a socket."""
    made = Path(tempfile.mkdtemp(prefix="sv-"))
    yield made / "h"
    shutil.rmtree(made)


@pytest.fixture
def small(home: Path) -> Iterator[Small]:
    """A stack of a test's own; nothing is started."""
    with _stack(home, "one", "two") as made:
        yield made


@pytest.fixture(scope="module")
def shared() -> Iterator[Small]:
    """A stack that is up; each test has engines of its own in it."""
    home = Path(tempfile.mkdtemp(prefix="sv-"))
    names = ["steady", "idle", "killed", "failing", "changing", "secretive", "restarted", "slow", "hung", "deaf"]
    with _stack(home / "h", *names, "frozen", "hopeless", "replaced") as made:
        assert made.up() == [], "nothing ran, so nothing ran under files that no longer hold"
        yield made
        assert made.supervisor.stop()
        assert made.processes() == []
    shutil.rmtree(home)


def test_an_engine_starts_only_when_told_to(shared: Small) -> None:
    supervisor = shared.supervisor
    assert supervisor.running()
    assert (supervisor.state("idle"), supervisor.pid("idle"), supervisor.uptime("idle")) == ("STOPPED", 0, 0)
    pid = shared.begin("steady")
    assert supervisor.state("steady") in ("STARTING", "RUNNING")
    assert living(pid)
    lived = time.time() - psutil.Process(pid).create_time()  # another test may have begun it long ago
    assert lived - 5 < supervisor.uptime("steady") < lived + 5
    assert "up\n" in (shared.settings.logs / "steady.log").read_text()


def test_what_runs_already_is_not_started_again(shared: Small) -> None:
    pid = shared.begin("steady")
    assert shared.up() == []
    assert shared.begin("steady") == pid
    assert living(pid)


def test_the_supervisor_leads_nobody_elses_session(shared: Small) -> None:
    pid = shared.begin("steady")
    assert os.getsid(pid) != os.getsid(0), "Ctrl-C in our terminal would end the engines"


def test_a_name_that_is_no_engine_is_down(shared: Small) -> None:
    assert (shared.supervisor.state("nonesuch"), shared.supervisor.pid("nonesuch")) == ("DOWN", 0)


def test_a_killed_engine_comes_back_without_the_orphans_of_its_former_life(shared: Small) -> None:
    pid = shared.begin("killed")
    orphan = shared.forget_child("killed")
    os.kill(pid, signal.SIGKILL)
    until((shared.settings.home / "killed.child").exists)
    assert shared.supervisor.pid("killed") not in (0, pid)
    assert living(shared.child("killed"))
    assert not living(orphan)


def test_an_engine_that_fails_is_tried_again_and_may_be_mended_meanwhile(shared: Small) -> None:
    good = shared.launches["failing"]
    shared.launches["failing"] = _shell("failing", "exit 3", shared.settings.home)
    shared.up()
    shared.supervisor.start_engine("failing")
    until(lambda: shared.supervisor.state("failing") == "BACKOFF")
    shared.supervisor.start_engine("failing")
    shared.launches["failing"] = good
    assert shared.up() == ["failing"]
    shared.supervisor.restart_engine("failing")
    until((shared.settings.home / "failing.child").exists)
    assert shared.supervisor.state("failing") == "STARTING"


def test_a_restart_gives_another_process_and_ends_the_children_of_the_old_one(shared: Small) -> None:
    pid = shared.begin("restarted")
    child = shared.forget_child("restarted")
    shared.supervisor.restart_engine("restarted")
    until((shared.settings.home / "restarted.child").exists)
    assert shared.supervisor.pid("restarted") not in (0, pid)
    assert not living(pid)
    assert not living(child)


# As a JVM does on this signal, which tells it to say what its threads wait for.
_HANGS = "trap 'echo the threads of NAME' QUIT; echo > NAME.child; while :; do sleep 0.02; done"


def test_an_engine_that_hangs_is_restarted_after_it_has_said_where(shared: Small) -> None:
    shared.launches["hung"] = _shell("hung", _HANGS, shared.settings.home)
    shared.up()
    supervisor, log = shared.supervisor, shared.settings.logs / "hung.log"
    pid = shared.begin("hung")
    assert not supervisor.restart_hung("hung", waited=60, hangs=60), "it has only just been started"
    until(lambda: supervisor.uptime("hung") > 1)
    assert not supervisor.restart_hung("hung", waited=1, hangs=1), "it may answer yet"
    assert supervisor.pid("hung") == pid
    assert supervisor.restart_hung("hung", waited=1.1, hangs=1)
    assert supervisor.pid("hung") not in (0, pid)
    assert "the threads of hung" in log.read_text()
    supervisor.stop_engine("hung")
    assert not supervisor.restart_hung("hung", waited=60, hangs=1), "what is stopped does not hang"


def test_an_engine_that_was_stopped_says_where_it_stood_before_it_is_restarted(shared: Small) -> None:
    shared.launches["frozen"] = _shell("frozen", _HANGS, shared.settings.home)
    shared.up()
    pid = shared.begin("frozen")
    os.kill(pid, signal.SIGSTOP)
    begun = time.monotonic()
    assert shared.supervisor.restart_silent("frozen", pid)
    assert time.monotonic() - begun < 10
    assert "the threads of frozen" in (shared.settings.logs / "frozen.log").read_text()
    again = shared.supervisor.pid("frozen")
    os.kill(again, signal.SIGSTOP)
    begun = time.monotonic()
    shared.supervisor.stop_engine("frozen")
    assert not living(again)
    assert time.monotonic() - begun < 5, "it goes on, so that it hears that it should end"


def test_what_somebody_has_stopped_or_restarted_meanwhile_is_left_alone(shared: Small) -> None:
    pid = shared.begin("replaced")
    child = shared.child("replaced")
    assert not shared.supervisor.restart_silent("replaced", child), "another process than it was"
    assert shared.supervisor.pid("replaced") == pid
    shared.supervisor.stop_engine("replaced")
    assert not shared.supervisor.restart_silent("replaced", pid)
    assert shared.supervisor.state("replaced") == "STOPPED"


def test_a_restart_that_is_cut_short_is_finished_by_whoever_looks_next(
    small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    small.up()
    pid = small.begin("one")
    with monkeypatch.context() as cut, pytest.raises(TransientError, match="cut"):
        cut.setattr(Supervisor, "_start", lambda self, name: _fail())
        small.supervisor.restart_silent("one", pid)
    assert small.supervisor.state("one") == "STOPPED"
    with small.supervisor.alone("one"):
        assert small.supervisor.resume() == [], "somebody is at it"
    assert small.supervisor.resume() == ["one"]
    assert small.supervisor.pid("one") not in (0, pid)
    assert small.supervisor.resume() == []
    small.supervisor.stop_engine("one")
    assert small.supervisor.resume() == [], "somebody wants it to stand still"


def _fail() -> None:
    raise TransientError("it is cut short")


@pytest.mark.parametrize("end", ["stop_engine", "stop", "start"])
def test_a_start_that_is_owed_is_cancelled_by_who_stops_the_engine_or_the_stack(
    small: Small, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    small.up()
    small.begin("one")
    with monkeypatch.context() as cut, pytest.raises(TransientError, match="cut"):
        cut.setattr(Supervisor, "_start", lambda self, name: _fail())
        small.supervisor.restart_engine("one")
    if end == "stop_engine":
        small.supervisor.stop_engine("one")
    elif end == "stop":
        small.supervisor.stop()
        small.up()
    else:
        small.kill_supervisor()
        small.up()
    assert small.supervisor.resume() == []
    assert small.supervisor.state("one") == "STOPPED"
    small.supervisor.stop()


def test_who_stops_an_engine_waits_for_a_restart_that_is_under_way(small: Small) -> None:
    small.up()
    small.begin("one")
    with small.supervisor.alone("one"):
        with pytest.raises(TransientError, match="one is being started or stopped"), small.supervisor.alone("one", 0.2):
            pytest.fail("two at once")
        stopping = threading.Thread(target=small.supervisor.stop_engine, args=["one"])
        stopping.start()
        small.supervisor._restart("one")
    stopping.join(15)
    assert small.supervisor.state("one") == "STOPPED"
    small.supervisor.stop()


def test_a_stop_right_after_an_end_holds(small: Small) -> None:
    small.launches["one"] = replace(small.launches["one"], gives_up=2)
    small.up()
    for wait in (0.0, 0.0, 0.002, 0.02, 0.2):
        small.begin("one")
        small.forget_child("one")
        os.kill(small.supervisor.pid("one"), signal.SIGKILL)
        time.sleep(wait)
        begun = time.monotonic()
        small.supervisor.stop_engine("one")
        assert time.monotonic() - begun < 5, "it has missed the signal, as it was being started"
        for _ in range(11):
            assert small.supervisor.state("one") == "STOPPED"
            time.sleep(0.1)
        (small.settings.home / "one.child").unlink(missing_ok=True)
    small.supervisor.stop()


def test_a_stop_holds_that_supervisord_refuses_since_the_engine_has_just_ended(
    small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It starts the engine again a moment later, up to a second."""
    states = ["EXITED", "RUNNING", "STOPPING", "STOPPED"]
    told: list[str] = []

    def call(self: Supervisor, method: str, *arguments: object, done: str = "") -> Any:
        if method == "getProcessInfo":
            return {"statename": states[0], "now": 100, "stop": 100, "start": 90, "pid": 0}
        told.append(method)
        refused = states[0] == "EXITED"
        states.pop(0)
        return None if refused else True

    def sleep(seconds: float) -> None:
        if states[0] == "STOPPING":
            states.pop(0)

    monkeypatch.setattr(Supervisor, "_call", call)
    monkeypatch.setattr(supervise, "time", SimpleNamespace(monotonic=time.monotonic, sleep=sleep))
    small.supervisor.stop_engine("one")
    assert told == ["stopProcess", "stopProcess"]


def _supervisor_pid(small: Small) -> int:
    return int((small.settings.run / "supervisor.pid").read_text())


def test_who_stops_an_engine_that_failed_to_start_has_it_stay_down(small: Small) -> None:
    small.launches["one"] = _shell("one", "exit 3", small.settings.home)
    small.up()
    small.supervisor.start_engine("one")
    until(lambda: small.supervisor.state("one") == "FATAL", 30)
    small.supervisor.stop_engine("one")
    assert small.supervisor.state("one") == "STOPPED", "what is FATAL, the liveness watch starts again"
    assert not small.supervisor.retry_engine("one"), "as when it has looked before the stop"
    assert small.supervisor.state("one") == "STOPPED"
    small.supervisor.start_engine("one")
    assert small.supervisor.state("one") in ("STARTING", "BACKOFF")
    small.supervisor.stop()


# As it was before engines could give up.
_FORMER_PROGRAM = supervise._PROGRAM.replace("autorestart = {again}\nexitcodes = {expected}\n", "autorestart = true\n")
_FORMER_PROGRAM = _FORMER_PROGRAM.replace("startsecs = {settled}", "startsecs = 5")


def test_a_supervisor_that_runs_takes_over_programs_that_have_changed(
    small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "{again}" not in _FORMER_PROGRAM
    assert "{settled}" not in _FORMER_PROGRAM
    home = small.settings.home
    small.launches["one"] = replace(_shell("one", _OBEYS, home), gives_up=2)
    small.launches["three"] = replace(_shell("three", _FAMILY, home), gives_up=2)
    with monkeypatch.context() as former:
        former.setattr(supervise, "_PROGRAM", _FORMER_PROGRAM)
        small.up()
    small.supervisor.start_engine("one")
    two = small.begin("two")
    until((home / "one.lives").exists)
    assert small.up() == ["one"], "the third has changed, too, but does not run"
    assert small.supervisor.resume() == ["one"], "should its start be cut short"
    assert small.supervisor.pid("two") == two, "its program is as it was"
    until(lambda: len((home / "one.lives").read_text().split()) == 2)
    (home / "part").write_text("2")
    os.rename(home / "part", home / "one.code")
    until(lambda: small.supervisor.state("one") == "EXITED")
    assert small.up() == []
    del small.launches["two"]
    assert small.up() == []
    assert not living(two), "it is no engine any more"
    assert set(small.supervisor.standings()) == {"one", "three"}
    small.supervisor.stop()


def test_another_python_environment_restarts_no_engine_of_a_supervisor_that_runs(
    small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    small.up()
    pid = small.begin("one")
    other = small.settings.home / "python"
    other.symlink_to(sys.executable)
    monkeypatch.setattr(sys, "executable", str(other))
    assert small.up() == []
    assert small.supervisor.pid("one") == pid
    assert small.supervisor.stop()


def test_a_start_lets_a_supervisor_go_on_that_was_stopped(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervise, "_ANSWER", 1.0)
    small.up()
    pid, own = small.begin("one"), _supervisor_pid(small)
    os.kill(own, signal.SIGSTOP)
    assert not small.supervisor.running()
    with pytest.raises(TransientError, match="supervisor does not answer"):
        small.supervisor.stop_engine("one")
    whole = stack.Stack(small.settings, cast(Any, None), [], small.supervisor)
    assert stack.start(whole, small.launches) is False, "it is the same stack"
    assert (_supervisor_pid(small), small.supervisor.pid("one")) == (own, pid)
    assert small.supervisor.stop()


def test_a_supervisor_that_shuts_down_is_left_to_it(small: Small) -> None:
    polite = "trap 'sleep 2; echo bye; exit' TERM; echo > NAME.child; while :; do sleep 0.02; done"
    small.launches["one"] = _shell("one", polite, small.settings.home)
    small.up()
    small.begin("one")
    own = _supervisor_pid(small)
    os.kill(own, signal.SIGTERM)
    until(lambda: not small.supervisor.running())
    assert living(own)
    small.up()
    assert not living(own)
    assert "bye" in (small.settings.logs / "one.log").read_text()
    assert small.supervisor.stop()


def test_who_needs_to_know_how_an_engine_stands_is_told_when_nobody_can_say(small: Small) -> None:
    with pytest.raises(TransientError, match="the stack is not running"):
        small.supervisor.standing("one")
    small.up()
    assert small.supervisor.standing("one").state == "STOPPED"
    with pytest.raises(TransientError, match="BAD_NAME"):
        small.supervisor.standing("nonesuch")
    small.supervisor.stop()


def test_an_engine_that_ends_too_often_is_given_up_until_somebody_starts_it(small: Small) -> None:
    good = small.launches["one"]
    small.launches["one"] = _shell("one", "exit 2", small.settings.home)
    small.up()
    small.supervisor.start_engine("one")
    until(lambda: small.supervisor.state("one") == "FATAL", 30)
    assert small.supervisor.retry_engine("one")
    until(lambda: small.supervisor.state("one") == "FATAL", 30)
    small.launches["one"] = good
    small.up()
    assert living(small.begin("one"))
    small.supervisor.stop()


# Ends as a file tells it to.
_OBEYS = "echo $$ >> NAME.lives; until [ -e NAME.code ]; do sleep 0.02; done; c=$(cat NAME.code); rm NAME.code; exit $c"


def test_an_engine_that_says_that_no_restart_helps_stays_down_and_any_other_end_is_none(small: Small) -> None:
    home = small.settings.home

    def lives() -> list[str]:
        return (home / "one.lives").read_text().split() if (home / "one.lives").exists() else []

    def lived(times: int) -> None:
        until(lambda: len(lives()) == times)

    def end(code: int) -> None:
        (home / "part").write_text(f"{code}")
        os.rename(home / "part", home / "one.code")

    small.launches["one"] = replace(_shell("one", _OBEYS, home), gives_up=2)
    small.up()
    small.supervisor.start_engine("one")
    for life, code in enumerate((1, 0, 1, 3), 1):
        lived(life)
        end(code)
    lived(5)
    os.kill(int(lives()[-1]), signal.SIGKILL)
    lived(6)
    end(2)
    until(lambda: small.supervisor.state("one") == "EXITED")
    assert small.supervisor.standings()["one"].state == "EXITED"
    assert len(lives()) == 6
    small.supervisor.start_engine("one")
    lived(7)
    small.supervisor.stop()


def test_who_waits_for_an_engine_that_gave_up_is_told_at_once(small: Small) -> None:
    def ask(credentials: Credentials | None, patience: float) -> str:
        raise OSError("no answer")

    script = "echo 'the table is not there'; exit 2"
    small.launches["one"] = replace(_shell("one", script, small.settings.home), gives_up=2)
    small.up()
    small.supervisor.start_engine("one")
    whole = stack.Stack(small.settings, cast(Any, None), [Engine("one", "One", "", {}, ask)], small.supervisor)
    begun = time.monotonic()
    with pytest.raises(TerminalError, match="the table is not there"):
        stack.wait_ready(whole, ["one"], lambda name, how: None)
    assert time.monotonic() - begun < 15
    small.supervisor.stop()


def test_who_waits_for_an_engine_waits_through_a_restart_of_it(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    small.up()
    small.begin("one")
    with monkeypatch.context() as cut, pytest.raises(TransientError, match="cut"):
        cut.setattr(Supervisor, "_start", lambda self, name: _fail())
        small.supervisor.restart_engine("one")
    asked: list[str] = []

    def ask(credentials: Credentials | None, patience: float) -> str:
        asked.append(small.supervisor.state("one"))
        if len(asked) == 1:
            raise OSError("no answer")
        assert small.supervisor.resume() == ["one"]
        return "well"

    whole = stack.Stack(small.settings, cast(Any, None), [Engine("one", "One", "", {}, ask)], small.supervisor)
    stack.wait_ready(whole, ["one"], lambda name, how: None)
    assert asked == ["STOPPED", "STOPPED"]
    assert small.supervisor.down("one") == ""
    small.supervisor.stop_engine("one")
    assert small.supervisor.down("one") == "STOPPED"
    small.supervisor.stop()


def test_a_supervisor_that_runs_learns_of_engines_that_are_new(small: Small) -> None:
    one = {"one": small.launches["one"]}
    small.supervisor.start(one)
    pid = small.begin("one")
    assert small.supervisor.state("two") == "DOWN"
    assert small.up() == []
    assert living(small.begin("two"))
    assert small.supervisor.pid("one") == pid
    assert set(small.supervisor.standings()) == {"one", "two"}
    assert small.supervisor.stop()


@pytest.mark.parametrize("deaf", [False, True])
def test_a_stop_ends_although_the_supervisor_was_stopped(
    small: Small, monkeypatch: pytest.MonkeyPatch, deaf: bool
) -> None:
    """deaf: and does not answer either when it goes on."""
    monkeypatch.setattr(supervise, "_ANSWER", 1.0)
    small.up()
    pids = [small.begin("one"), small.child("one")]
    own = int((small.settings.run / "supervisor.pid").read_text())
    os.kill(own, signal.SIGSTOP)
    if deaf:
        monkeypatch.setattr(Supervisor, "running", lambda self: False)
    assert small.supervisor.stop() is True
    assert not any(living(pid) for pid in (*pids, own))
    assert small.processes() == []


def test_a_supervisor_that_is_silent_is_told_apart_from_a_stack_that_is_down(
    small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervise, "_ANSWER", 0.5)
    small.up()
    own = _supervisor_pid(small)
    os.kill(own, signal.SIGSTOP)
    assert not small.supervisor.running()
    with pytest.raises(TransientError, match=r"^the stack's supervisor does not answer: ") as silent:
        small.supervisor.require()
    assert silent.value.remedy == "./scripts/run wakes it, or ends it and starts another"
    assert small.supervisor.awake()
    small.supervisor.require()
    small.kill_supervisor()
    with pytest.raises(TransientError, match=r"^the stack is not running$"):
        small.supervisor.require()


def test_a_process_number_that_is_somebody_elses_now_is_left_alone(small: Small) -> None:
    with subprocess.Popen(["sleep", "60"]) as other:
        (small.settings.run / "supervisor.pid").write_text(str(other.pid))
        assert small.supervisor.stop() is False
        assert other.poll() is None
        other.kill()


def test_who_waits_for_an_engine_that_hangs_has_it_restarted(shared: Small) -> None:
    supervisor = shared.supervisor

    def ask(credentials: Credentials | None, patience: float) -> str:
        if supervisor.pid("deaf") == pid:
            raise OSError("no answer")
        return "well"

    shared.launches["deaf"] = _shell("deaf", _HANGS, shared.settings.home)
    shared.up()
    pid = shared.begin("deaf")
    said: list[str] = []
    deaf = Engine("deaf", "Deaf", "", {}, ask, hangs=1, patience=30)
    whole = stack.Stack(shared.settings, cast(Any, None), [deaf], supervisor)
    stack.wait_ready(whole, ["deaf"], lambda name, how: said.append(f"{name}: {how}"))
    assert re.fullmatch(r"deaf: does not answer after \d+ s; started again", said[0])
    assert re.fullmatch(r"deaf: ready after \d+ s, well", said[1])
    assert len(said) == 2


def test_a_start_waits_for_a_stop_that_is_under_way(shared: Small) -> None:
    """As when whoever stopped it was killed meanwhile; supervisord itself would take the order and do nothing."""
    shared.launches["slow"] = _shell(
        "slow", "trap 'sleep 1; exit' TERM; echo > NAME.child; while :; do sleep 0.02; done", shared.settings.home
    )
    shared.up()
    supervisor = shared.supervisor
    pid = shared.begin("slow")
    supervisor._rpc().stopProcess("slow", False)
    assert supervisor.state("slow") == "STOPPING"
    supervisor.start_engine("slow")
    assert supervisor.pid("slow") not in (0, pid)
    supervisor._rpc().stopProcess("slow", False)
    supervisor.stop_engine("slow")
    assert (supervisor.state("slow"), supervisor.pid("slow")) == ("STOPPED", 0)
    supervisor.stop_engine("slow")


def test_an_order_that_no_supervisor_takes_is_told(small: Small) -> None:
    for order in (small.supervisor.start_engine, small.supervisor.stop_engine, small.supervisor.restart_engine):
        with pytest.raises(TransientError, match="the stack is not running"):
            order("one")


def test_a_running_engine_whose_launch_file_changes_is_reported_and_left_running(shared: Small) -> None:
    pid = shared.begin("changing")
    shared.launches["changing"] = replace(shared.launches["changing"], environment={"CHANGED": "yes"})
    shared.launches["idle"] = replace(shared.launches["idle"], environment={"CHANGED": "yes"})
    assert shared.up() == ["changing"], "the idle one has changed, too, but does not run"
    assert shared.up() == []
    assert shared.supervisor.pid("changing") == pid
    shared.forget_child("changing")
    shared.supervisor.restart_engine("changing")
    until((shared.settings.home / "changing.child").exists)
    environment = Path("/proc", str(shared.supervisor.pid("changing")), "environ").read_bytes()
    assert b"CHANGED=yes" in environment.split(b"\0")


def test_secrets_reach_the_engine_but_no_command_line_and_no_file_that_others_can_read(shared: Small) -> None:
    pid = shared.begin("secretive")
    assert f"PASSWORD={_SECRET}".encode() in Path("/proc", str(pid), "environ").read_bytes().split(b"\0")
    for line in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            assert _SECRET.encode() not in line.read_bytes(), line
    holding = [
        path for path in shared.settings.home.rglob("*") if path.is_file() and _SECRET.encode() in path.read_bytes()
    ]
    assert shared.settings.run / "secretive.json" in holding
    assert {path.parent for path in holding} == {shared.settings.run}
    for path in (*holding, shared.settings.conf / "supervisord.conf", shared.settings.logs / "secretive.log"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert stat.S_IMODE((shared.settings.run / "supervisor.sock").stat().st_mode) == 0o700


def test_a_stop_leaves_no_process_and_can_be_repeated(small: Small) -> None:
    small.up()
    pids = [small.begin("one"), small.child("one"), small.begin("two"), small.child("two")]
    assert small.supervisor.stop() is True
    assert not any(living(pid) for pid in pids)
    assert small.processes() == []
    assert not small.supervisor.running()
    assert (small.supervisor.state("one"), small.supervisor.pid("one")) == ("DOWN", 0)
    assert small.supervisor.stop() is False


def test_who_needs_the_others_stops_before_them(home: Path) -> None:
    """NiFi and the consumer finish what is under way, and for that the others must still answer."""
    polite = "trap 'sleep 0.2; echo NAME >> order; exit' TERM; echo > NAME.child; while :; do sleep 0.02; done"
    with _stack(home) as made:
        made.launches = {name: _shell(name, polite, home) for name in ("cassandra", "consumer", "kafka", "nifi")}
        made.up()
        for name in made.launches:
            made.begin(name)
        begun = time.monotonic()
        made.supervisor.stop()
        order = (home / "order").read_text().split()
        assert sorted(order[:2]) == ["consumer", "nifi"]
        assert sorted(order[2:]) == ["cassandra", "kafka"]
        assert time.monotonic() - begun < 5


def test_engines_that_outlive_their_supervisor_are_ended(small: Small) -> None:
    small.up()
    pids = [small.begin("one"), small.child("one")]
    small.kill_supervisor()
    assert not small.supervisor.running()
    assert all(living(pid) for pid in pids)
    assert small.supervisor.end_leftovers() is True
    assert not any(living(pid) for pid in pids)
    assert small.supervisor.end_leftovers() is False


def test_a_start_after_the_supervisor_died_ends_what_it_left(small: Small) -> None:
    small.up()
    pid, child = small.begin("one"), small.forget_child("one")
    small.kill_supervisor()
    assert small.up() == []
    assert not living(pid)
    assert not living(child)
    assert small.begin("one") != pid
    assert small.supervisor.stop()


def test_a_stop_ends_what_a_dead_supervisor_left_and_says_so(small: Small) -> None:
    small.up()
    pid = small.begin("one")
    small.kill_supervisor()
    assert small.supervisor.stop() is True
    assert not living(pid)


def test_any_name_of_a_folder_will_do(home: Path) -> None:
    with _stack(home / '100%d "we\'re", ünlucky', "one") as odd:
        odd.up()
        pid = odd.begin("one")
        assert "up\n" in (odd.settings.logs / "one.log").read_text()
        odd.kill_supervisor()
        assert odd.supervisor.stop() is True, "the marker names the folder as it is"
        assert not living(pid)


def test_a_path_that_is_too_long_for_a_socket_is_named(tmp_path: Path) -> None:
    with _stack(tmp_path / ("long" * 25), "one") as deep, pytest.raises(TerminalError) as refused:
        deep.up()
    assert str(deep.settings.run / "supervisor.sock") in str(refused.value)
    assert "PIPELINE_HOME" in refused.value.remedy
    assert list(deep.settings.run.iterdir()) == [], "nothing is half done"


def test_what_supervisord_says_against_its_start_is_told(small: Small) -> None:
    small.settings.logs.rmdir()
    with pytest.raises(TerminalError, match=r"^supervisord did not start: Error: .*logs") as refused:
        small.up()
    assert "\n" not in str(refused.value)
    assert not small.supervisor.running()


def test_a_stop_ends_even_where_nobody_asks_for_dead_processes(home: Path) -> None:
    """As in a container whose first process is no init: the supervisor stays there as a zombie."""
    script = """
        import ctypes, sys, time
        from pathlib import Path
        from scripts.stack.settings import Settings
        from scripts.stack.supervise import Supervisor

        PR_SET_CHILD_SUBREAPER = 36
        assert ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
        settings = Settings(home=sys.argv[1])
        for folder in (settings.conf, settings.logs, settings.run):
            folder.mkdir(parents=True)
        supervisor = Supervisor(settings)
        supervisor.start({})
        pid = int((settings.run / "supervisor.pid").read_text())
        assert supervisor.stop() is True
        print(Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()[0])
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), str(home)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.stdout == "Z\n", done.stderr
