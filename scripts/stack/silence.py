"""How long an engine has been silent, counted by looks at it, and when that is too long."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum

from scripts.stack.engine import Engine
from scripts.stack.supervise import Standing

# What a single look can count for. A laptop that slept, or a machine that stood still, was not silent meanwhile.
_LONGEST_LOOK = 30.0
_DOUBLINGS = 5  # at most: an engine that its restarts don't help is left alone for the longer, an hour in the end
_GIVEN_UP = 60.0  # seconds that an engine which can't be started is left alone


class Found(Enum):
    """What a look says of an engine; UNKNOWN: nothing, as while it starts or is asked through another one."""

    ANSWERS = "answers"
    SILENT = "silent"
    GAVE_UP = "gave up"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Look:
    """pid: of the engine, 0 when it does not run. why: in a few words, for one that is silent."""

    found: Found
    pid: int = 0
    why: str = ""


@dataclass(frozen=True)
class Silence:
    """What all looks at an engine say.

    seconds: that it has been silent, or down, over looks in a row that found it so. pid: of the process that was.
    restarts: that brought no answer yet.
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
        if look.found is Found.GAVE_UP:
            return self.seconds >= _GIVEN_UP
        return look.found is Found.SILENT and self.seconds >= engine.silence * 2 ** min(self.restarts, _DOUBLINGS)

    def restarted(self) -> "Silence":
        return replace(self, pid=0, seconds=0.0, restarts=self.restarts + 1)


def judgeable(engine: Engine, standing: Standing | None) -> bool:
    """Whether an engine has been up for so long that its silence would mean something."""
    return standing is not None and standing.state == "RUNNING" and standing.uptime > engine.patience


def look(engine: Engine, standings: Mapping[str, Standing], answers: Mapping[str, str | None]) -> Look:
    """What a look says of an engine.

    standings: of all engines as their supervisor has them. answers: engine -> why it did not answer, None where it did;
    only those that were asked.
    """
    standing = standings.get(engine.name)
    if standing is not None and standing.state == "FATAL":
        return Look(Found.GAVE_UP)
    pid = standing.pid if standing is not None else 0
    if engine.name not in answers or not judgeable(engine, standing):
        return Look(Found.UNKNOWN, pid)
    why = answers[engine.name]
    if why is None:
        return Look(Found.ANSWERS, pid)
    if engine.through is not None and answers.get(engine.through, "not asked") is not None:
        return Look(Found.UNKNOWN, pid)
    return Look(Found.SILENT, pid, why)
