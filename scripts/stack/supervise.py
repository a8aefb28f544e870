"""The supervisor (supervisord) that keeps the engines running, reached over its Unix socket."""

import contextlib
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

from nifi_flows.errors import TerminalError, TransientError
from nifi_flows.files import write_private
from scripts.bootstrap import ROOT
from scripts.stack.engine import Launch
from scripts.stack.launch import end_group, living, members, of_stack
from scripts.stack.settings import Settings
from spark_consumer import processes

_SOCKET_LIMIT = 100  # bytes; the kernel's own is 108 and supervisord adds a suffix while it starts

# Who asks for work or starts what is down, then who does the work: they finish it while the others still answer.
_FIRST = ({"airflow-scheduler", "watch"}, {"consumer", "nifi"})
_ANSWER = 10.0  # seconds that supervisord gets for one
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


@dataclass(frozen=True)
class Standing:
    """An engine as supervisord has it.

    state: STOPPED, STARTING, RUNNING, STOPPING, BACKOFF when it has ended and is about to be started again, FATAL when
    it ended too often for that, EXITED when it gave up (see `Launch`), or DOWN when supervisord itself is. pid: of its
    first process, 0 when it does not run. uptime: seconds since its last start, 0 when it does not run.
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
            self._rpc().getState()
        except (OSError, HTTPException, xmlrpc.client.Error):
            return False
        return True

    def require(self) -> None:
        """Raise TransientError unless it runs."""
        if not self.running():
            raise _not_running()

    def start(self, launches: Mapping[str, Launch]) -> list[str]:
        """Write the launch files and bring up supervisord, without starting an engine yet.

        launches: by the engines' names. Returns the names of those that were running under launch files that no longer
        hold.
        """
        if len(str(self._socket)) > _SOCKET_LIMIT:
            raise TerminalError(
                f"the path {self._socket} is too long for a Unix socket",
                "set PIPELINE_HOME to a folder with a shorter path",
            )
        changed = [name for name, launch in launches.items() if write_launch_file(self._settings, name, launch)]
        configuration = self._settings.conf / "supervisord.conf"
        programs = (
            _PROGRAM.format(
                name=name,
                whole_group=str(launch.whole_group).lower(),
                **_restarting(launch.gives_up),
                root=_escaped(ROOT),
                python=_escaped(shlex.quote(sys.executable)),
                launch_file=_escaped(shlex.quote(str(self._settings.run / f"{name}.json"))),
            )
            for name, launch in launches.items()
        )
        write_private(configuration, _CONFIGURATION + "".join(programs))
        if self.running():
            known = self.standings()
            self._add(name for name in launches if name not in known)
            return [name for name in changed if name in known and known[name].state != "STOPPED"]
        self.end_leftovers()
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
        self._order("startProcess", name, done="ALREADY_STARTED")

    def stop_engine(self, name: str) -> None:
        """Stop one engine, unless it stands still already; returns when it has ended."""
        self._go_on(name)
        self._order("stopProcess", name, done="NOT_RUNNING")
        self._stopped(name)

    def restart_engine(self, name: str) -> None:
        """Stop one engine and start it again with its launch file as it is now."""
        self.stop_engine(name)
        self.start_engine(name)

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
        processes.dump(members(pid))
        now = self._standing(name)
        if now.pid != pid or now.state not in ("STARTING", "RUNNING"):
            return False
        self.restart_engine(name)
        return True

    def standings(self) -> dict[str, Standing]:
        """Every engine that supervisord knows; empty when it does not answer."""
        try:
            return {info["name"]: _standing(info) for info in self._rpc().getAllProcessInfo()}
        except (OSError, HTTPException, xmlrpc.client.Error):
            return {}

    def state(self, name: str) -> str:
        """See `Standing`."""
        return self._standing(name).state

    def pid(self, name: str) -> int:
        """See `Standing`."""
        return self._standing(name).pid

    def uptime(self, name: str) -> int:
        """See `Standing`."""
        return self._standing(name).uptime

    def stop(self) -> bool:
        """Stop every engine and supervisord, and end whatever was left without a supervisor.

        Returns whether there was anything to stop.
        """
        was_up = self.running() or self._woken()
        if was_up:
            pid = self._rpc().getPID()
            self._stop_engines()
            self._rpc().shutdown()
            _end(pid)
        return self.end_leftovers() or was_up

    def _stop_engines(self) -> None:
        """In waves, each at once; supervisord itself would stop one after the other, by name."""
        up = {info["name"] for info in self._rpc().getAllProcessInfo() if info["statename"] in _UP}
        for name in up:
            self._go_on(name)
        for wave in (*(up & names for names in _FIRST), up - set().union(*_FIRST)):
            while left := {name: state for name in wave if (state := self.state(name)) in (*_UP, "STOPPING")}:
                for name in (name for name, state in left.items() if state in _UP):
                    with contextlib.suppress(xmlrpc.client.Fault):  # it has just ended by itself, and may come back
                        self._rpc().stopProcess(name, False)  # noqa: FBT003 - XML-RPC has no keywords; does not wait
                time.sleep(0.1)

    def _woken(self) -> bool:
        """Whether a supervisord that did not answer does now: one that was stopped goes on, one that hangs ends."""
        pid = _number(self._settings.run / "supervisor.pid")
        if not pid or not of_stack(pid, self._settings.run):
            return False
        os.kill(pid, signal.SIGCONT)
        if self.running():
            return True
        os.kill(pid, signal.SIGKILL)
        _end(pid)
        return False

    def _go_on(self, name: str) -> None:
        """Let an engine go on that somebody has stopped (SIGSTOP): it gets no other signal before."""
        if pid := self.pid(name):
            with contextlib.suppress(ProcessLookupError):  # it has just ended
                os.killpg(pid, signal.SIGCONT)

    def _stopped(self, name: str) -> None:
        while self.state(name) == "STOPPING":
            time.sleep(0.1)

    def _add(self, names: Iterable[str]) -> None:
        """Have a supervisord that runs know engines which its configuration did not have when it started."""
        if names := list(names):
            self._rpc().reloadConfig()
        for name in names:
            self._rpc().addProcessGroup(name)

    def end_leftovers(self) -> bool:
        """End engines whose supervisor was killed; returns whether there were any."""
        return any([end_group(group_file, patience=30) for group_file in self._settings.run.glob("*.group")])

    def _order(self, order: str, name: str, *, done: str) -> None:
        """Have supervisord begin something; done: the fault with which it refuses what is done already.

        Not to be looked up before: an engine that was killed is started again by supervisord itself, at any moment.
        """
        from supervisor.xmlrpc import Faults

        self._stopped(name)  # supervisord takes an order before that, and does nothing
        try:
            getattr(self._rpc(), order)(name, False)  # noqa: FBT003 - XML-RPC has no keywords; it does not wait
        except xmlrpc.client.Fault as fault:
            if fault.faultCode == Faults.SHUTDOWN_STATE:
                raise _not_running() from fault
            if fault.faultCode != getattr(Faults, done):
                raise TransientError(
                    f"the supervisor refuses: {fault.faultString}", f"./scripts/pipeline logs {name}"
                ) from fault
        except (OSError, HTTPException) as error:
            raise _not_running() from error

    def _standing(self, name: str) -> Standing:
        try:
            return _standing(self._rpc().getProcessInfo(name))
        except (OSError, HTTPException, xmlrpc.client.Error):
            return Standing("DOWN", 0, 0)

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
    if state == "EXITED" and info["now"] - info["stop"] <= _AGAIN:
        state = "BACKOFF"
    return Standing(state, int(info["pid"]), max(0, info["now"] - info["start"]) if info["pid"] else 0)


def _restarting(gives_up: int | None) -> dict[str, str]:
    """How an engine comes back that ends by itself.

    With an exit code by which it gives up, that one is heard however early it comes, and all others mean at once.
    """
    if gives_up is None:
        return {"again": "true", "expected": "0", "settled": "5"}
    return {"again": "unexpected", "expected": str(gives_up), "settled": "0"}


def _end(pid: int) -> None:
    """Wait for the end of a process."""
    while living(pid):
        time.sleep(0.1)


def _number(file: Path) -> int:
    """The process id in a file, 0 for none."""
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return 0


def _not_running() -> TransientError:
    return TransientError("the stack is not running", "start it with ./scripts/run")


def write_launch_file(settings: Settings, name: str, launch: Launch) -> bool:
    """Put down what `scripts.stack.launch` executes; mode 600, since environments can hold secrets.

    Returns whether that changed anything.
    """
    plan = {
        "command": list(launch.command),
        "environment": dict(launch.environment),
        "folder": str(launch.folder),
        "first": [[str(path), list(command)] for path, command in launch.first],
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
