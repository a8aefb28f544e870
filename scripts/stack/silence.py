"""How long an engine has not answered, counted by looks at it, and when it has to be restarted."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum

from scripts.stack.engine import Engine
from scripts.stack.supervise import Standing

# What a single look can count for: time in which the machine was suspended is no time without an answer.
_LONGEST_LOOK = 30.0
_DOUBLINGS = 5  # exponential backoff for an engine that restarts don't help: an hour from one to the next in the end
_RETRY = 60.0  # seconds from one attempt to start an engine that fails to start to the next


class Found(Enum):
    """The outcome of one health check; UNKNOWN while the engine starts, or lacks another engine that it needs."""

    ANSWERS = "answers"
    SILENT = "silent"
    FAILED = "failed to start"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Look:
    """pid: of the engine, 0 when it does not run. why: in a few words, for one that is silent."""

    found: Found
    pid: int = 0
    why: str = ""


@dataclass(frozen=True)
class Silence:
    """The outcome of all health checks of an engine so far.

    seconds: that it has been silent, or down, over looks in a row that found it so. pid: of the process that was.
    restarts: for silence, since its last answer.
    """

    pid: int = 0
    seconds: float = 0.0
    restarts: int = 0

    def after(self, look: Look, passed: float) -> "Silence":
        """With one look more. passed: seconds since the look before."""
        if look.found is Found.ANSWERS:
            return Silence(look.pid)
        if look.found is Found.UNKNOWN:
            return self if look.pid == self.pid else Silence(look.pid, restarts=self.restarts)
        counted = self.seconds if look.pid == self.pid else 0.0
        return Silence(look.pid, counted + min(passed, _LONGEST_LOOK), self.restarts)

    def too_long(self, engine: Engine, look: Look) -> bool:
        """Whether the engine has to be started again."""
        if look.found is Found.FAILED:
            return self.seconds >= _RETRY
        return look.found is Found.SILENT and self.seconds >= engine.silence * 2 ** min(self.restarts, _DOUBLINGS)

    def attended(self) -> "Silence":
        """Once its time was up, whatever came of that: it is counted from zero."""
        return replace(self, pid=0, seconds=0.0)

    def restarted(self) -> "Silence":
        """Once it was restarted for its silence: the next time is twice as long."""
        return replace(self.attended(), restarts=self.restarts + 1)


def judgeable(engine: Engine, standing: Standing | None) -> bool:
    """Whether an engine has been up for so long that it has to answer."""
    return standing is not None and standing.state == "RUNNING" and standing.uptime > engine.patience


def look(engine: Engine, standings: Mapping[str, Standing], answers: Mapping[str, str | None]) -> Look:
    """What a look says of an engine.

    standings: of all engines as their supervisor has them. answers: engine -> why it did not answer, None where it did;
    only those that were asked.
    """
    standing = standings.get(engine.name)
    if standing is not None and standing.state == "FATAL":
        return Look(Found.FAILED)
    pid = standing.pid if standing is not None else 0
    if engine.name not in answers or not judgeable(engine, standing):
        return Look(Found.UNKNOWN, pid)
    why = answers[engine.name]
    if why is None:
        return Look(Found.ANSWERS, pid)
    if any(answers.get(other, "not asked") is not None for other in engine.through):
        return Look(Found.UNKNOWN, pid)
    return Look(Found.SILENT, pid, why)
