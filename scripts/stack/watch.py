"""The watchdog of the engines: `python -m scripts.stack.watch`, under their supervisor.

Every few seconds each engine that runs is asked in its own protocol. One that has not answered for too long writes a
thread dump and is restarted, one in a look; so is one that failed to start. One that somebody has stopped for a restart
and did not start is started. What is stopped, is starting or has exited is left to whoever sees to that. Each restart
is a line of the log.
"""

import faulthandler
import logging
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, wait
from functools import partial

from nifi_flows.errors import PipelineError, TerminalError
from nifi_flows.wording import first_line, one_line
from scripts.stack import configuration, credentials, engines
from scripts.stack.credentials import Credentials
from scripts.stack.engine import Engine
from scripts.stack.engines import watch
from scripts.stack.settings import Settings
from scripts.stack.silence import Found, Silence, judgeable, look
from scripts.stack.supervise import Standing, Supervisor

_log = logging.getLogger("watch")
_ANSWER = 5.0  # seconds that an engine gets for an answer
_GRACE = 3.0  # seconds beyond that which its client may take to give up


class Asker:
    """Asks engines beside each other. One whose client hangs is not asked anew meanwhile, unless it was restarted."""

    def __init__(self) -> None:
        self._asked: dict[str, tuple[int, Future[str]]] = {}

    def answers(self, wanted: Sequence[tuple[Engine, int]], login: Credentials | None) -> dict[str, str | None]:
        """Engine's name -> why it does not answer, None where it does; without one that can't be asked at all.

        wanted: engines with their process ids; what an earlier process was asked counts no more.
        """
        for engine, pid in wanted:
            if engine.name not in self._asked or self._asked[engine.name][0] != pid:
                self._asked[engine.name] = pid, _asked(engine, login)
        wait([self._asked[engine.name][1] for engine, _ in wanted], _ANSWER + _GRACE)
        found: dict[str, str | None] = {}
        for engine, _ in wanted:
            if not self._asked[engine.name][1].done():
                found[engine.name] = f"no answer within {_ANSWER + _GRACE:g} s"
                continue
            error = self._asked.pop(engine.name)[1].exception()
            if not isinstance(error, TerminalError):  # it is ours to mend, not the engine's
                found[engine.name] = one_line(first_line(error)) if isinstance(error, Exception) else None
        return found


def _asked(engine: Engine, login: Credentials | None) -> Future[str]:
    """An engine's answer, in a thread of its own: one that hangs for good takes nobody's place."""
    answer: Future[str] = Future()

    def ask() -> None:
        try:
            answer.set_result(engine.ask(login, _ANSWER))
        except Exception as error:  # noqa: BLE001 - whatever a client raises means: no answer
            answer.set_exception(error)

    threading.Thread(target=ask, name=f"asks {engine.name}", daemon=True).start()
    return answer


class Watch:
    """What the looks so far have found of these engines."""

    def __init__(self, watched: Sequence[Engine], supervisor: Supervisor) -> None:
        self._engines = watched
        self._supervisor = supervisor
        self._asker = Asker()
        self._silences: dict[str, Silence] = {}

    def resume(self) -> None:
        """Start what was stopped for a restart that was cut short."""
        for name in self._supervisor.resume():
            _log.warning("%s was stopped for a restart that was cut short, and is started", name)

    def look(self, login: Credentials | None, passed: float) -> None:
        """Look at all engines, and restart one that has to be. passed: seconds since the look before."""
        standings = self._supervisor.standings()
        judged = [(e, standings[e.name].pid) for e in self._engines if judgeable(e, standings.get(e.name))]
        answers = self._asker.answers(judged, login)
        if engine := self._count(standings, answers, passed):
            self._restart(engine, standings[engine.name], answers.get(engine.name))

    def _count(
        self, standings: Mapping[str, Standing], answers: Mapping[str, str | None], passed: float
    ) -> Engine | None:
        """The first engine that has been silent for too long."""
        due = None
        for engine in self._engines:
            found, before = look(engine, standings, answers), self._silences.get(engine.name, Silence())
            self._silences[engine.name] = silence = before.after(found, passed)
            if found.found is Found.SILENT and not before.seconds:
                _log.info("%s does not answer: %s", engine.name, found.why)
            if due is None and silence.too_long(engine, found):
                due = engine
        return due

    def _restart(self, engine: Engine, standing: Standing, why: str | None) -> None:
        name, silence = engine.name, self._silences[engine.name]
        self._silences[name] = silence.attended()
        if standing.state == "FATAL":
            if self._supervisor.retry_engine(name):
                _log.warning("%s failed to start; that is tried again, see logs/%s.log", name, name)
        elif self._supervisor.restart_silent(name, standing.pid):
            self._silences[name] = silence.restarted()
            _log.warning(
                "%s did not answer for %.0f s and was started again; what its threads wrote is in logs/%s.log (%s)",
                name,
                silence.seconds,
                name,
                why,
            )


def main() -> None:
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    for chatty in ("cassandra", "urllib3"):
        logging.getLogger(chatty).setLevel(logging.CRITICAL)  # what they meet is told as the engine's silence
    faulthandler.register(signal.SIGQUIT)
    settings = configuration.load()
    watched = [engine for engine in engines.describe(settings) if engine.name != watch.NAME]
    watching, before = Watch(watched, Supervisor(settings)), time.monotonic()
    while True:
        now = time.monotonic()
        _attempt(watching.resume)
        _attempt(partial(_look, watching, settings, now - before))
        before = now
        _attempt(partial(watch.note, settings))
        time.sleep(watch.INTERVAL)


def _look(watching: Watch, settings: Settings, passed: float) -> None:
    watching.look(_login(settings), passed)


def _attempt(step: Callable[[], None]) -> None:
    """A step that may fail, by what others answer or for want of disk: the watchdog goes on with the next one."""
    try:
        step()
    except PipelineError as error:  # the supervisor goes, or is told otherwise by somebody else
        _log.warning("%s", first_line(error))
    except Exception as error:  # noqa: BLE001 - it must not end by anybody's fault
        _log.exception("%s", first_line(error))


def _login(settings: Settings) -> Credentials | None:
    try:
        return credentials.load(settings.secrets)
    except TerminalError:
        return None


if __name__ == "__main__":
    main()
