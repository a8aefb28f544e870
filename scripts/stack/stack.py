"""The local stack as a whole: everything that one home folder, one set of ports and one supervisor hold."""

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from nifi_flows.connection import NiFi
from nifi_flows.errors import PipelineError, TerminalError
from scripts.stack import credentials as made
from scripts.stack import install, preflight
from scripts.stack.credentials import Credentials
from scripts.stack.engine import Engine
from scripts.stack.engine import configure as configure_engine
from scripts.stack.engines import airflow, cassandra, kafka, nifi, registry, source, spark
from scripts.stack.install import Installed
from scripts.stack.settings import Settings
from scripts.stack.supervise import Supervisor

_LOG_LINES = 12  # of an engine that does not start, shown with the error


@dataclass(frozen=True)
class Stack:
    """A configured stack. engines: in the order of the data path; nothing runs by making one."""

    settings: Settings
    credentials: Credentials
    installed: Installed
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
    return NiFi(settings.nifi, credentials.ca, credentials.admin_certificate, credentials.admin_key)


def configure(settings: Settings, invalid_share: float | None = None) -> Stack:
    """Fetch what is missing, make secrets and write every engine's configuration."""
    if not Supervisor(settings).running():
        preflight.check_memory()
        preflight.check_disk(settings.home)
        preflight.check_disk(settings.cache)
        made.renew(settings.secrets)  # now, since NiFi reads its certificates only when it starts
    installed = install.ensure(settings.cache, settings.maven)
    for folder in (settings.home, settings.conf, settings.data, settings.logs, settings.run):
        folder.mkdir(parents=True, exist_ok=True)
    settings.home.chmod(0o700)
    stack = _define(settings, installed, made.ensure(settings.secrets))
    if invalid_share is not None:
        source.break_users(settings, invalid_share)
    for engine in stack.engines:
        configure_engine(engine)
    return stack


def running(settings: Settings) -> Stack:
    """The stack that runs, as its settings describe it; writes nothing. Raises TransientError when it does not run."""
    Supervisor(settings).require()
    credentials = made.require(settings.secrets)
    return _define(settings, install.ensure(settings.cache, settings.maven), credentials)


def _define(settings: Settings, installed: Installed, credentials: Credentials) -> Stack:
    """Describe every engine; changes nothing."""
    supervisor = Supervisor(settings)
    engines = [
        source.define(settings),
        nifi.define(settings, installed, credentials),
        kafka.define(settings, installed),
        registry.define(settings, installed),
        *spark.define(settings, installed, credentials),
        cassandra.define(settings, installed, credentials),
        *airflow.define(settings, credentials),
    ]
    return Stack(settings, credentials, installed, engines, supervisor)


def start(stack: Stack) -> bool:
    """Bring up the supervisor, refusing taken ports by name. Returns whether it was down before."""
    fresh = not stack.supervisor.running()
    if fresh:
        stack.supervisor.end_leftovers()
        preflight.check_ports(stack.engines)
        spark.forget(stack.settings)
    for name in stack.supervisor.start(stack.engines):
        stack.supervisor.restart_engine(name)
    return fresh


def start_engines(stack: Stack, names: Sequence[str]) -> None:
    """Start engines at once; returns before they are ready."""
    for name in names:
        stack.supervisor.start_engine(name)


def wait_ready(stack: Stack, names: Sequence[str], report: Callable[[str, str], None]) -> None:
    """Wait until each engine has answered its own protocol.

    One that hangs is started again. report: called with an engine's name and how it became ready, from several threads.
    Raises TerminalError with the last lines of the log when an engine gives up or takes longer than its patience.
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
            detail = engine.ready()
        except Exception as error:  # noqa: BLE001 - whatever a client raises means: not ready yet
            last = error
            if engine.set_up is not None:
                with contextlib.suppress(Exception):  # it may not even listen yet
                    engine.set_up()
        else:
            report(engine.name, f"ready after {time.monotonic() - begun:.0f} s, {detail}")
            return
        state = stack.supervisor.state(engine.name)
        waited = time.monotonic() - begun
        if state in ("FATAL", "DOWN", "STOPPED"):
            raise _failed(stack, engine, "does not start")
        if engine.hangs and stack.supervisor.restart_hung(engine.name, waited, engine.hangs):
            report(engine.name, f"does not answer after {waited:.0f} s; started again")
        if waited > engine.patience:
            raise _failed(stack, engine, f"is not ready after {engine.patience} s: {_short(last)}")
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


def _short(error: Exception) -> str:
    return (str(error).splitlines() or [repr(error)])[0][:200]
