"""The supervisor (supervisord) that keeps the engines running, reached over its Unix socket."""

import contextlib
import fcntl
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any
from xml.parsers.expat import ExpatError

from nifi_flows.errors import TerminalError, TransientError
from nifi_flows.files import write_private
from nifi_flows.wording import first_line
from scripts.bootstrap import ROOT
from scripts.stack.engine import Launch
from scripts.stack.launch import end_group, living, members, of_stack
from scripts.stack.settings import Settings
from spark_consumer import processes

WAKE = "./scripts/run wakes it, or ends it and starts another"  # what to do about a supervisord that is silent
_SOCKET_LIMIT = 100  # bytes; the kernel's own is 108 and supervisord adds a suffix while it starts

# Who asks for work or starts what is down, then who does the work: they finish it while the others still answer.
_FIRST = ({"airflow-scheduler", "watch"}, {"consumer", "nifi"})
_ANSWER = 10.0  # seconds that supervisord gets for one
_END = 60.0  # seconds that a process may take to end: supervisord kills an engine after stopwaitsecs
_YOUNG = 2  # seconds of an engine's life in which it may have missed a signal
_ORDERS = 90.0  # seconds that whoever else starts or stops an engine may take, with the thread dump before it
_AGAIN = 3.0  # seconds after which supervisord has started an engine again that ended, if it does so at all
_UP = ("STARTING", "RUNNING", "BACKOFF")  # states in which supervisord takes an engine for started

# Paths are relative to the home folder, where supervisord runs: it would expand some of them twice.
_CONFIGURATION = """\
[supervisord]
logfile = logs/supervisor.log
pidfile = run/supervisor.pid
childlogdir = logs
umask = 077

[unix_http_server]
file = run/supervisor.sock
chmod = 0700

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
"""

_PROGRAM = """
[program:{name}]
command = {python} -m scripts.stack.launch {launch_file}
directory = {root}
autostart = false
autorestart = {again}
exitcodes = {expected}
startsecs = {settled}
startretries = 3
stopwaitsecs = 40
stopasgroup = {whole_group}
killasgroup = true
redirect_stderr = true
stdout_logfile = logs/{name}.log
stdout_logfile_maxbytes = 20MB
stdout_logfile_backups = 2
"""


# What calls of supervisord raise while it is away, hangs or ends.
_NO_ANSWER = (OSError, HTTPException, xmlrpc.client.Error, ExpatError)


class _Busy(TransientError):
    """Somebody else starts or stops the engine."""


@dataclass(frozen=True)
class Standing:
    """An engine as supervisord has it.

    state: STOPPED, STARTING, RUNNING, STOPPING, BACKOFF when it has ended and is about to be started again, FATAL when
    it ended too often for that, EXITED when it gave up (see `Launch`), or DOWN when supervisord does not answer or does
    not know it. pid: of its first process, 0 when it does not run. uptime: seconds since its last start, 0 when it does
    not run.
    """

    state: str
    pid: int
    uptime: int


class Supervisor:
    """Starts, stops and watches the engines of one stack."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._socket = settings.run / "supervisor.sock"

    def running(self) -> bool:
        try:
            self.require()
        except TransientError:
            return False
        return True

    def awake(self) -> bool:
        """Whether it runs, once one that somebody has stopped (SIGSTOP) goes on and one that hangs has been killed."""
        return self.running() or self._woken()

    def require(self) -> None:
        """Raise TransientError unless it runs and answers."""
        self._call("getState")

    def start(self, launches: Mapping[str, Launch]) -> list[str]:
        """Write the launch files and bring up supervisord, without starting an engine yet.

        launches: by the engines' names. Returns the names of those that have to be started again: they were running
        under launch files, or under a program of supervisord's configuration, that no longer hold.
        """
        if len(str(self._socket)) > _SOCKET_LIMIT:
            raise TerminalError(
                f"the path {self._socket} is too long for a Unix socket",
                "set PIPELINE_HOME to a folder with a shorter path",
            )
        changed = [name for name, launch in launches.items() if write_launch_file(self._settings, name, launch)]
        awake = self.awake()
        python = self._interpreter() if awake else sys.executable
        configuration = self._settings.conf / "supervisord.conf"
        programs = (
            _PROGRAM.format(
                name=name,
                whole_group=str(launch.whole_group).lower(),
                **_restarting(launch.gives_up),
                root=_escaped(ROOT),
                python=_escaped(shlex.quote(python)),
                launch_file=_escaped(shlex.quote(str(self._settings.run / f"{name}.json"))),
            )
            for name, launch in launches.items()
        )
        write_private(configuration, _CONFIGURATION + "".join(programs))
        if awake:
            before = self._known()
            self._update(before)
            return [name for name in launches if name in {*changed, *self._owed()} and _is_up(before.get(name))]
        self.end_leftovers()
        self._owe_nothing()
        done = subprocess.run(
            [sys.executable, "-m", "supervisor.supervisord", "-c", str(configuration)],
            start_new_session=True,  # Ctrl-C in the terminal is for the command, not for the engines
            cwd=self._settings.home,
            env={**os.environ, "PYTHONPATH": ROOT, "PIPELINE_RUN": str(self._settings.run)},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            said = (done.stderr or done.stdout).strip().splitlines()
            raise TerminalError(
                f"supervisord did not start: {next((line for line in said if 'Error' in line), ' '.join(said[-1:]))}",
                f"read {self._settings.logs}/supervisor.log",
            )
        deadline = time.monotonic() + 20
        while not self.running():
            if time.monotonic() > deadline:
                raise TransientError("supervisord did not answer within 20 s", "run the same command again")
            time.sleep(0.1)
        return []

    def start_engine(self, name: str) -> None:
        """Start one engine unless it runs already; returns at once, or when a stop that is under way has ended."""
        with self.alone(name):
            self._start(name)

    def stop_engine(self, name: str) -> None:
        """Stop one engine, unless it stands still already; returns when it has ended and won't come back by itself."""
        with self.alone(name):
            self._owed_file(name).unlink(missing_ok=True)
            self._stop(name)
            if self.standing(name).state == "FATAL":  # the liveness watch would start it again: a new one is STOPPED
                self._call("removeProcessGroup", name)
                self._call("addProcessGroup", name)

    def restart_engine(self, name: str) -> None:
        """Stop one engine and start it again with its launch file as it is now.

        When only the former succeeds, or this process is killed in between, `resume` does the latter.
        """
        with self.alone(name):
            self._restart(name)

    def resume(self) -> list[str]:
        """Start the engines that somebody has stopped for a restart and did not start; returns their names.

        Those that are being restarted right now are left alone. Raises TransientError.
        """
        resumed = []
        for name in self._owed():
            with contextlib.suppress(_Busy), self.alone(name, patience=0):
                if not self._owed_file(name).exists():  # somebody has stopped it for good meanwhile
                    continue
                if self._ended(name).state == "STOPPED":
                    self._start(name)
                    resumed.append(name)
                else:
                    self._owed_file(name).unlink()
        return resumed

    def retry_engine(self, name: str) -> bool:
        """Start an engine that failed to start, unless somebody has stopped or started it meanwhile.

        Returns whether it was started.
        """
        with self.alone(name):
            if self.standing(name).state != "FATAL":
                return False
            self._start(name)
            return True

    @contextlib.contextmanager
    def alone(self, name: str, patience: float = _ORDERS) -> Iterator[None]:
        """Keep whoever else wants to start or stop an engine waiting, in this process or another.

        Raises TransientError when somebody else does so for longer than `patience` seconds.
        """
        deadline = time.monotonic() + patience
        try:
            lock = open(self._settings.run / f"{name}.lock", "a")  # noqa: SIM115 - closed below
        except FileNotFoundError as error:  # no stack has run here
            raise _not_running() from error
        with lock:
            while not _locked(lock.fileno()):
                if time.monotonic() >= deadline:
                    raise _Busy(f"{name} is being started or stopped by another command", "run the same command again")
                time.sleep(0.1)
            yield

    def restart_hung(self, name: str, waited: float, hangs: float) -> bool:
        """Restart an engine that has given no answer for `waited` seconds, unless it runs for less than `hangs`.

        Returns whether it was restarted.
        """
        pid = self.pid(name)
        return min(waited, self.uptime(name)) > hangs and self.restart_silent(name, pid)

    def restart_silent(self, name: str, pid: int) -> bool:
        """Restart an engine once it has said in its log what its threads wait for, unless it is that process no more.

        Returns whether it was restarted: somebody may have stopped or restarted it meanwhile.
        """
        with self.alone(name):
            now = self.standing(name)
            if now.pid != pid or now.state not in ("STARTING", "RUNNING"):
                return False
            processes.dump(members(pid))
            now = self.standing(name)
            if now.pid == pid:
                self._restart(name)
            return now.state in _UP  # some end by their dump, and are started by supervisord

    def standings(self) -> dict[str, Standing]:
        """Every engine that supervisord knows; empty when it does not answer."""
        try:
            return self._known()
        except TransientError:
            return {}

    def standing(self, name: str) -> Standing:
        """Raises TransientError when supervisord does not answer or does not know the engine."""
        return _standing(self._call("getProcessInfo", name))

    def down(self, name: str) -> str:
        """The state FATAL, EXITED or STOPPED of an engine that has ended and is not being restarted; "" for any other.

        The liveness watch tries one that is FATAL again all the same. Raises TransientError as `standing`.
        """
        restarting = self._owed_file(name).exists()
        state = self.standing(name).state
        return state if state in ("FATAL", "EXITED", "STOPPED") and not restarting else ""

    def state(self, name: str) -> str:
        """See `Standing`."""
        return self._or_down(name).state

    def pid(self, name: str) -> int:
        """See `Standing`."""
        return self._or_down(name).pid

    def uptime(self, name: str) -> int:
        """See `Standing`."""
        return self._or_down(name).uptime

    def stop(self) -> bool:
        """Stop every engine and supervisord, and end whatever was left without a supervisor.

        Returns whether there was anything to stop.
        """
        was_up = self.awake()
        self._owe_nothing()
        if was_up:
            pid, patience = self._call("getPID"), _END
            try:
                self._stop_engines()
                self._call("shutdown")
            except TransientError:  # it was killed or stopped, hangs, or is shutting down already
                patience = _END if self._shuts_down() else 0
            _end(pid, patience)
        return self.end_leftovers() or was_up

    def _stop_engines(self) -> None:
        """In waves, each at once; supervisord itself would stop one after the other, by name."""
        up = {name for name, standing in self._known().items() if standing.state in _UP}
        for wave in (*(up & names for names in _FIRST), up - set().union(*_FIRST)):
            deadline = time.monotonic() + _END
            while (left := [name for name in wave if not self._told_to_end(name)]) and time.monotonic() < deadline:
                wave = set(left)
                time.sleep(0.1)

    def _stop(self, name: str) -> None:
        deadline = time.monotonic() + _END
        while not self._told_to_end(name):
            if time.monotonic() > deadline:
                raise _lingers(name)
            time.sleep(0.1)

    def _told_to_end(self, name: str) -> bool:
        """Have an engine end that is up; returns whether it has ended for good.

        To be repeated: supervisord refuses for one that has just ended by itself, and then starts it again.
        """
        standing = self.standing(name)
        if standing.state in _UP:
            if standing.pid:  # somebody may have stopped it (SIGSTOP): it gets no other signal before
                with contextlib.suppress(ProcessLookupError):  # it has just ended
                    os.killpg(standing.pid, signal.SIGCONT)
            self._call("stopProcess", name, False, done="NOT_RUNNING")  # noqa: FBT003 - no keywords; does not wait
        elif standing.state == "STOPPING" and standing.pid and standing.uptime < _YOUNG:
            # A child of supervisord loses a signal that comes before it executes its program, and would be killed only
            # after stopwaitsecs.
            with contextlib.suppress(ProcessLookupError):  # it has just ended
                os.kill(standing.pid, signal.SIGTERM)
        return standing.state not in (*_UP, "STOPPING")

    def _start(self, name: str) -> None:
        """Not to be looked up before: an engine that was killed is started by supervisord itself, at any moment."""
        self._ended(name)  # supervisord takes an order before that, and does nothing
        self._call("startProcess", name, False, done="ALREADY_STARTED")  # noqa: FBT003 - no keywords; does not wait
        self._owed_file(name).unlink(missing_ok=True)

    def _restart(self, name: str) -> None:
        self._owe(name)
        self._stop(name)
        self._start(name)

    def _ended(self, name: str) -> Standing:
        """An engine's standing, after its end if it was told to end."""
        deadline = time.monotonic() + _END
        while (standing := self.standing(name)).state == "STOPPING":
            if time.monotonic() > deadline:
                raise _lingers(name)
            time.sleep(0.1)
        return standing

    def _owed_file(self, name: str) -> Path:
        """It is there from before the stop of a restart until its start: who finds it later owes the start."""
        return self._settings.run / f"{name}.owed"

    def _owed(self) -> list[str]:
        return sorted(file.stem for file in self._settings.run.glob("*.owed"))

    def _owe(self, name: str) -> None:
        with contextlib.suppress(OSError):  # a full disk keeps nobody from a restart
            self._owed_file(name).touch()

    def _owe_nothing(self) -> None:
        for name in self._owed():
            self._owed_file(name).unlink(missing_ok=True)

    def _woken(self) -> bool:
        """Whether a supervisord that did not answer does now: a stopped one goes on, one that hangs is killed."""
        pid = _number(self._settings.run / "supervisor.pid")
        if not pid or not of_stack(pid, self._settings.run):
            return False
        os.kill(pid, signal.SIGCONT)
        if self.running():
            return True
        _end(pid, _END if self._shuts_down() else 0)
        return False

    def _interpreter(self) -> str:
        """The Python that a running supervisord starts engines with: its own, which is there as long as it runs."""
        try:
            command = Path("/proc", str(self._call("getPID")), "cmdline").read_text()
        except OSError:  # it has just ended
            return sys.executable
        return command.split("\0")[0]

    def _update(self, before: Mapping[str, Standing]) -> None:
        """Have a supervisord that runs take its programs from the configuration as it is now.

        before: as it had them. One whose program has changed is stopped for that, and is owed a start if it was up.
        """
        [[added, changed, removed]] = self._call("reloadConfig")
        for name in (*changed, *removed):
            with self.alone(name):
                if name in changed and _is_up(before.get(name)):
                    self._owe(name)
                self._stop(name)
                while self._call("removeProcessGroup", name, done="STILL_RUNNING") is None:
                    self._stop(name)
                if name in changed:
                    self._call("addProcessGroup", name)
                else:
                    self._owed_file(name).unlink(missing_ok=True)
        for name in added:
            self._call("addProcessGroup", name, done="ALREADY_ADDED")

    def end_leftovers(self) -> bool:
        """End engines whose supervisor was killed; returns whether there were any."""
        return any([end_group(group_file, patience=30) for group_file in self._settings.run.glob("*.group")])

    def _shuts_down(self) -> bool:
        """Whether it answers, and refuses all orders since it is about to end."""
        from supervisor.xmlrpc import Faults

        try:
            self._rpc().getState()
        except xmlrpc.client.Fault as fault:
            return bool(fault.faultCode == Faults.SHUTDOWN_STATE)
        except _NO_ANSWER:
            pass
        return False

    def _known(self) -> dict[str, Standing]:
        """Every engine that supervisord knows. Raises TransientError when it does not answer."""
        return {info["name"]: _standing(info) for info in self._call("getAllProcessInfo")}

    def _or_down(self, name: str) -> Standing:
        try:
            return self.standing(name)
        except TransientError:
            return Standing("DOWN", 0, 0)

    def _call(self, method: str, *arguments: object, done: str = "") -> Any:
        """What supervisord answers.

        done: the fault with which it refuses what is done already; the answer is then None. Raises TransientError when
        it refuses otherwise, or does not answer.
        """
        from supervisor.xmlrpc import Faults

        try:
            return getattr(self._rpc(), method)(*arguments)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode == Faults.SHUTDOWN_STATE:
                raise _not_running() from fault
            if done and fault.faultCode == getattr(Faults, done):
                return None
            raise TransientError(
                f"the supervisor refuses: {fault.faultString}", "./scripts/pipeline logs supervisor"
            ) from fault
        except (FileNotFoundError, ConnectionRefusedError) as error:
            raise _not_running() from error
        except _NO_ANSWER as error:
            raise TransientError(f"the stack's supervisor does not answer: {first_line(error)}", WAKE) from error

    def _rpc(self) -> Any:
        from supervisor.xmlrpc import SupervisorTransport

        transport = SupervisorTransport(None, None, f"unix://{self._socket}")
        transport._get_connection = lambda: _Connection(str(self._socket))  # its own waits for an answer for ever
        return xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport).supervisor


class _Connection(HTTPConnection):
    """HTTP over a Unix socket, each answer in so many seconds."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=_ANSWER)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_ANSWER)
        self.sock.connect(self._path)


def _standing(info: Mapping[str, Any]) -> Standing:
    """What XML-RPC tells of an engine."""
    state = str(info["statename"])
    if state == "EXITED" and abs(info["now"] - info["stop"]) <= _AGAIN:  # also when the clock was set back meanwhile
        state = "BACKOFF"
    return Standing(state, int(info["pid"]), max(0, info["now"] - info["start"]) if info["pid"] else 0)


def _restarting(gives_up: int | None) -> dict[str, str]:
    """How an engine comes back that ends by itself.

    With an exit code by which it gives up, that one is heard however early it comes, and all others mean at once.
    """
    if gives_up is None:
        return {"again": "true", "expected": "0", "settled": "5"}
    return {"again": "unexpected", "expected": str(gives_up), "settled": "0"}


def _is_up(standing: Standing | None) -> bool:
    """Whether somebody wants it to run."""
    return standing is not None and standing.state != "STOPPED"


def _locked(file: int) -> bool:
    """Lock an open file, unless somebody else has; returns whether that went well."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _end(pid: int, patience: float) -> None:
    """Wait for the end of a process, and kill it after so many seconds."""
    deadline = time.monotonic() + patience
    while living(pid):
        if time.monotonic() >= deadline:
            with contextlib.suppress(ProcessLookupError):  # it has just ended
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.1)


def _number(file: Path) -> int:
    """The process id in a file, 0 for none."""
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return 0


def _not_running() -> TransientError:
    return TransientError("the stack is not running", "start it with ./scripts/run")


def _lingers(name: str) -> TransientError:
    return TransientError(f"{name} has not ended within {_END:g} s", f"./scripts/pipeline logs {name}")


def write_launch_file(settings: Settings, name: str, launch: Launch) -> bool:
    """Put down what `scripts.stack.launch` executes; mode 600, since environments can hold secrets.

    Returns whether that changed anything.
    """
    plan = {
        "command": list(launch.command),
        "environment": dict(launch.environment),
        "folder": str(launch.folder),
        "first": [[path and str(path), list(command)] for path, command in launch.first],
        "secrets": launch.secrets,
    }
    path, text = settings.run / f"{name}.json", json.dumps(plan, indent=1)
    if path.exists() and path.read_text() == text:
        return False
    write_private(path, text)
    return True


def _escaped(path: object) -> str:
    """supervisord expands %(names)s in its configuration."""
    return str(path).replace("%", "%%")
