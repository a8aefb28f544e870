"""Watch the engines: `python -m scripts.stack.watch`, under their supervisor.

Every few seconds each engine that runs is asked in its own protocol. One that has not answered for too long says what
its threads wait for and is started again, one in a look; so is one that could not be started. What is stopped, is
starting or has ended by itself is left to whoever sees to that. Each deed is a line of the log.
"""

import faulthandler
import logging
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait

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
    """Asks engines beside each other, so many at once. One whose client hangs is not asked anew meanwhile."""

    def __init__(self, most: int) -> None:
        self._pool = ThreadPoolExecutor(most, thread_name_prefix="asks")
        self._asked: dict[str, Future[str]] = {}

    def answers(self, wanted: Sequence[Engine], login: Credentials | None) -> dict[str, str | None]:
        """Engine's name -> why it does not answer, None where it does; without one that can't be asked at all."""
        for engine in wanted:
            if engine.name not in self._asked:
                self._asked[engine.name] = self._pool.submit(engine.ask, login, _ANSWER)
        wait([self._asked[engine.name] for engine in wanted], _ANSWER + _GRACE)
        found: dict[str, str | None] = {}
        for engine in wanted:
            if not self._asked[engine.name].done():
                found[engine.name] = f"no answer within {_ANSWER + _GRACE:g} s"
                continue
            error = self._asked.pop(engine.name).exception()
            if not isinstance(error, TerminalError):  # it is ours to mend, not the engine's
                found[engine.name] = one_line(first_line(error)) if isinstance(error, Exception) else None
        return found


class Watch:
    """What the looks so far have found of these engines."""

    def __init__(self, watched: Sequence[Engine], supervisor: Supervisor) -> None:
        self._engines = watched
        self._supervisor = supervisor
        self._asker = Asker(len(watched))
        self._silences: dict[str, Silence] = {}

    def look(self, login: Credentials | None, passed: float) -> None:
        """Look at all engines, and start again one that has to be. passed: seconds since the look before."""
        standings = self._supervisor.standings()
        answers = self._asker.answers([e for e in self._engines if judgeable(e, standings.get(e.name))], login)
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
        self._silences[name] = silence.restarted()
        if standing.state == "FATAL":
            self._supervisor.start_engine(name)
            _log.warning("%s could not be started; that is tried again, see logs/%s.log", name, name)
        elif self._supervisor.restart_silent(name, standing.pid):
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
        try:
            watching.look(_login(settings), now - before)
        except PipelineError as error:  # the supervisor goes, or is told otherwise by somebody else
            _log.warning("%s", first_line(error))
        before = now
        watch.looked(settings).write_text(str(os.getpid()))
        time.sleep(watch.INTERVAL)


def _login(settings: Settings) -> Credentials | None:
    try:
        return credentials.load(settings.secrets)
    except TerminalError:
        return None


if __name__ == "__main__":
    main()
