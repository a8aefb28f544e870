"""The supervisor (supervisord) that keeps the engines running, reached over its Unix socket."""

import contextlib
import json
import os
import shlex
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Mapping
from http.client import HTTPException
from typing import Any

from nifi_flows.errors import TerminalError, TransientError
from nifi_flows.files import write_private
from scripts.bootstrap import ROOT
from scripts.stack.engine import Launch
from scripts.stack.launch import end_group, living
from scripts.stack.settings import Settings

_SOCKET_LIMIT = 100  # bytes; the kernel's own is 108 and supervisord adds a suffix while it starts

# Who asks for work, then who does it: they finish what is under way while the others still answer.
_FIRST = ({"airflow-scheduler"}, {"consumer", "nifi"})
_DUMP = 2.0  # seconds in which a JVM writes down its threads
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
autorestart = true
startsecs = 5
startretries = 3
stopwaitsecs = 40
stopasgroup = {whole_group}
killasgroup = true
redirect_stderr = true
stdout_logfile = logs/{name}.log
stdout_logfile_maxbytes = 20MB
stdout_logfile_backups = 2
"""


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
                root=_escaped(ROOT),
                python=_escaped(shlex.quote(sys.executable)),
                launch_file=_escaped(shlex.quote(str(self._settings.run / f"{name}.json"))),
            )
            for name, launch in launches.items()
        )
        write_private(configuration, _CONFIGURATION + "".join(programs))
        if self.running():
            return [name for name in changed if self.state(name) != "STOPPED"]
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
        self._order("startProcess", name, wait=False, done="ALREADY_STARTED")

    def stop_engine(self, name: str) -> None:
        """Stop one engine, unless it stands still already; returns when it has ended."""
        self._order("stopProcess", name, wait=True, done="NOT_RUNNING")

    def restart_engine(self, name: str) -> None:
        """Stop one engine and start it again with its launch file as it is now."""
        self.stop_engine(name)
        self.start_engine(name)

    def restart_hung(self, name: str, waited: float, hangs: float) -> bool:
        """Restart an engine that has given no answer for `waited` seconds, unless it runs for less than `hangs`.

        A JVM says first, in its log, what its threads wait for. Returns whether it was restarted.
        """
        if min(waited, self.uptime(name)) <= hangs:
            return False
        with contextlib.suppress(xmlrpc.client.Fault, OSError, HTTPException):  # it has just ended by itself
            self._rpc().signalProcess(name, "QUIT")
            time.sleep(_DUMP)
        self.restart_engine(name)
        return True

    def state(self, name: str) -> str:
        """STOPPED, STARTING, RUNNING, BACKOFF, EXITED or FATAL; DOWN when the supervisor itself is."""
        return str(self._info(name)["statename"])

    def pid(self, name: str) -> int:
        """Process id of a running engine, else 0."""
        return int(self._info(name)["pid"])

    def uptime(self, name: str) -> int:
        """Seconds since the engine's last start, 0 when it does not run."""
        info = self._info(name)
        return max(0, info["now"] - info["start"]) if info["pid"] else 0

    def stop(self) -> bool:
        """Stop every engine and supervisord, and end whatever was left without a supervisor.

        Returns whether there was anything to stop.
        """
        was_up = self.running()
        if was_up:
            pid = self._rpc().getPID()
            self._stop_engines()
            self._rpc().shutdown()
            while living(pid):
                time.sleep(0.1)
        return self.end_leftovers() or was_up

    def _stop_engines(self) -> None:
        """In waves, each at once; supervisord itself would stop one after the other, by name."""
        up = {info["name"] for info in self._rpc().getAllProcessInfo() if info["statename"] in _UP}
        for wave in (*(up & names for names in _FIRST), up - set().union(*_FIRST)):
            for name in wave:
                with contextlib.suppress(xmlrpc.client.Fault):  # it has just ended by itself
                    self._rpc().stopProcess(name, False)  # noqa: FBT003 - XML-RPC has no keywords; it does not wait
            while any(self.state(name) in (*_UP, "STOPPING") for name in wave):
                time.sleep(0.1)

    def end_leftovers(self) -> bool:
        """End engines whose supervisor was killed; returns whether there were any."""
        return any([end_group(group_file, patience=30) for group_file in self._settings.run.glob("*.group")])

    def _order(self, order: str, name: str, *, wait: bool, done: str) -> None:
        """Have supervisord do something; done: the fault with which it refuses what is done already.

        Not to be looked up before: an engine that was killed is started again by supervisord itself, at any moment.
        """
        from supervisor.xmlrpc import Faults

        while self.state(name) == "STOPPING":  # supervisord takes an order then, and does nothing
            time.sleep(0.1)
        try:
            getattr(self._rpc(), order)(name, wait)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode == Faults.SHUTDOWN_STATE:
                raise _not_running() from fault
            if fault.faultCode != getattr(Faults, done):
                raise TransientError(
                    f"the supervisor refuses: {fault.faultString}", f"./scripts/pipeline logs {name}"
                ) from fault
        except (OSError, HTTPException) as error:
            raise _not_running() from error

    def _info(self, name: str) -> dict[str, Any]:
        try:
            info: dict[str, Any] = self._rpc().getProcessInfo(name)
        except (OSError, HTTPException, xmlrpc.client.Error):
            return {"statename": "DOWN", "pid": 0, "now": 0, "start": 0}
        return info

    def _rpc(self) -> Any:
        from supervisor.xmlrpc import SupervisorTransport

        transport = SupervisorTransport(None, None, f"unix://{self._socket}")
        return xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport).supervisor


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
