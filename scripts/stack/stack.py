"""The local stack as a whole: everything that one home folder, one set of ports and one supervisor hold."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nifi_flows.errors import PipelineError, TerminalError
from nifi_flows.pipeline import Pipeline
from nifi_flows.wording import first_line
from scripts.stack import credentials, engines, install, preflight
from scripts.stack.credentials import Credentials
from scripts.stack.engine import Configuration, Engine, Launch, Local
from scripts.stack.engines import nifi, source, spark
from scripts.stack.settings import Settings
from scripts.stack.supervise import Supervisor

if TYPE_CHECKING:
    from nifi_flows.connection import NiFi

_SHOWN = 200  # characters of an engine's last error
_LOG_LINES = 12  # of an engine that does not start, shown with the error
_ANSWER = 5.0  # seconds that an engine gets for one answer while it is waited for


@dataclass(frozen=True)
class Stack:
    """A stack of this machine. engines: in the order of the data path; nothing runs by making one."""

    settings: Settings
    credentials: Credentials
    engines: Sequence[Engine]
    supervisor: Supervisor

    @property
    def nifi(self) -> NiFi:
        return nifi_of(self.settings, self.credentials)

    def engine(self, name: str) -> Engine:
        """Raises TerminalError for a name that is no engine."""
        for engine in self.engines:
            if engine.name == name:
                return engine
        raise TerminalError(f"no engine is called {name!r}", f"engines: {', '.join(e.name for e in self.engines)}")


def nifi_of(settings: Settings, credentials: Credentials) -> NiFi:
    from nifi_flows.connection import NiFi  # with NiFi's client, which takes long to import

    return NiFi(nifi.address(settings), credentials.ca, credentials.admin_certificate, credentials.admin_key)


def prepare(settings: Settings, pipeline: Pipeline, invalid_share: float | None = None) -> tuple[Stack, Configuration]:
    """Fetch what is missing, make secrets and write every engine's configuration for this pipeline.

    invalid_share: part of the users that the embedded source is to break; None leaves it as it is.
    """
    supervisor = Supervisor(settings)
    if not supervisor.awake():
        supervisor.end_leftovers()  # what they hold is free for those that are started instead
        preflight.check_memory()
        preflight.check_disk(settings.home)
        preflight.check_disk(settings.cache)
        credentials.renew(settings.secrets)  # now, since NiFi reads its certificates only when it starts
    install.ensure(settings.cache, settings.maven)  # before anything is made, since it may fail
    for folder in (settings.home, settings.conf, settings.data, settings.logs, settings.run):
        folder.mkdir(parents=True, exist_ok=True)
    settings.home.chmod(0o700)
    stack = _of(settings, credentials.ensure(settings.secrets))
    configured = configuration(stack, pipeline)
    if invalid_share is not None:
        source.break_users(settings, invalid_share)
    configured.write()
    return stack, configured


def configuration(stack: Stack, pipeline: Pipeline) -> Configuration:
    """What puts the stack's engines on this machine, for this pipeline; writes no configuration."""
    installed = install.ensure(stack.settings.cache, stack.settings.maven)
    return engines.configure(Local(stack.settings, installed, stack.credentials, pipeline))


def running(settings: Settings) -> Stack:
    """The stack that runs, as its settings describe it; writes nothing. Raises TransientError when it does not run."""
    Supervisor(settings).require()
    return _of(settings, credentials.require(settings.secrets))


def _of(settings: Settings, credentials: Credentials) -> Stack:
    return Stack(settings, credentials, engines.describe(settings), Supervisor(settings))


def start(stack: Stack, launches: Mapping[str, Launch]) -> bool:
    """Bring up the supervisor, refusing taken ports by name. Returns whether it was down before."""
    fresh = not stack.supervisor.awake()
    if fresh:
        stack.supervisor.end_leftovers()  # of a supervisor that has ended since `prepare`, or was killed just now
        preflight.check_ports(stack.engines)
        spark.forget(stack.settings)
    for name in stack.supervisor.start(launches):
        stack.supervisor.restart_engine(name)
    return fresh


def start_engines(stack: Stack, names: Sequence[str]) -> None:
    """Start engines at once; returns before they are ready."""
    for name in names:
        stack.supervisor.start_engine(name)


def wait_ready(stack: Stack, names: Sequence[str], report: Callable[[str, str], None]) -> None:
    """Wait until each engine has answered its own protocol.

    One that hangs is started again. report: called with an engine's name and how it became ready, from several threads.
    Raises TerminalError with the last lines of the log when an engine gives up or takes longer than its patience,
    TransientError when the supervisor does not answer.
    """
    interrupted = threading.Event()
    pool = ThreadPoolExecutor(len(names))
    waiting = [pool.submit(_wait_ready, stack, stack.engine(name), report, interrupted) for name in names]
    try:
        for future in waiting:
            future.result()
    finally:
        interrupted.set()  # Ctrl-C and the first engine that fails end the waiting for all of them
        pool.shutdown(wait=True)


def _wait_ready(stack: Stack, engine: Engine, report: Callable[[str, str], None], interrupted: threading.Event) -> None:
    begun = time.monotonic()
    while not interrupted.is_set():
        try:
            detail = engine.ask(stack.credentials, _ANSWER)
        except Exception as error:  # noqa: BLE001 - whatever a client raises means: not ready yet
            last = error
            if engine.set_up is not None:
                with contextlib.suppress(Exception):  # it may not even listen yet
                    engine.set_up(stack.credentials)
        else:
            report(engine.name, f"ready after {time.monotonic() - begun:.0f} s, {detail}")
            return
        waited = time.monotonic() - begun
        if stack.supervisor.down(engine.name):
            raise _failed(stack, engine, "does not start")
        if engine.hangs and stack.supervisor.restart_hung(engine.name, waited, engine.hangs):
            report(engine.name, f"does not answer after {waited:.0f} s; started again")
        if waited > engine.patience:
            raise _failed(stack, engine, f"is not ready after {engine.patience} s: {first_line(last, _SHOWN)}")
        time.sleep(0.4)


def _failed(stack: Stack, engine: Engine, what: str) -> PipelineError:
    log = stack.settings.logs / f"{engine.name}.log"
    lines = "".join(f"\n    {line}" for line in tail(log, _LOG_LINES))
    return TerminalError(f"{engine.title} {what}; the last lines of {log}:{lines}", "mend the cause, then run again")


def tail(log: Path, lines: int) -> list[str]:
    """The last lines of a log, without its line ends; empty when there is none."""
    return ending(log, 400 * lines).splitlines()[-lines:]


def ending(log: Path, size: int) -> str:
    """The last `size` bytes of a log as text; empty when there is none."""
    try:
        with open(log, "rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - size))
            return file.read().decode(errors="replace")
    except OSError:
        return ""
