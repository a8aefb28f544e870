"""What an area of the monitor is: a file in scripts/monitor/areas that says in its AREA what to read and how to judge.

A module of an area is imported by each DAG file once a minute: what is heavy, such as the client of an engine, it
imports in its `read`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec

from nifi_flows.wording import one_line
from scripts.monitor.missing import Missing

if TYPE_CHECKING:
    from nifi_flows.pipeline import Pipeline
    from scripts.monitor.deploys import Deploys
    from scripts.stack.settings import Settings

Limits = TypeVar("Limits")
Reading = TypeVar("Reading")
Memory = TypeVar("Memory")

NAMED = 8  # differences, components or reasons that are named one by one


@dataclass(frozen=True)
class ReadContext(Generic[Limits, Memory]):
    """What a reading starts from. limits: the area's thresholds, None for an area without.

    memory: what the area remembered in the last look that could read it, None without. readings: area -> what has been
    read of the areas before it in its chain, or Missing.
    """

    settings: Settings
    pipeline: Pipeline
    limits: Limits
    memory: Memory | None
    readings: Mapping[str, Any]


@dataclass(frozen=True)
class JudgeContext(Generic[Limits, Memory]):
    """What a judgement knows besides its reading. now: with a time zone. before: when the look before was, or None.

    limits and memory: as in ReadContext. readings: area -> its reading, or Missing, of all areas.
    """

    now: datetime
    before: datetime | None
    limits: Limits
    memory: Memory | None
    readings: Mapping[str, Any]
    deploys: Deploys

    def age(self, moment: datetime) -> float:
        """Seconds since then; 0 for what a clock that was set back calls the future."""
        return max(0.0, (self.now - moment).total_seconds())


@dataclass
class Judgement:
    """trouble: in words, empty when there is none. notes: what else should be known. figures: name -> number or word.

    healable: a redeploy may end the trouble. known: whether it could be judged.
    """

    trouble: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    figures: dict[str, int | float | str] = field(default_factory=dict)
    healable: bool = False
    known: bool = True


@dataclass(frozen=True)
class Area(Generic[Limits, Reading, Memory]):
    """One thing to look at; its name is that of its file, and of its table in airflow/thresholds.toml.

    meaning: what is so as long as all is well. order: its place in the grid and in reports.
    read: changes nothing in an engine; may raise anything. judge: asks nobody.
    limits: a msgspec.Struct of its thresholds. memory: a type that JSON can hold, of what `remember` hands to the next
    look, given the reading and the time of this one.
    after: the area that is read before it. engine: the one that its reading is the first to ask; if that does not
    answer, the areas after it are not known. paused_by_deploys: not judged while somebody deploys.
    """

    meaning: str
    order: int
    read: Callable[[ReadContext[Limits, Memory]], Reading | Missing]
    judge: Callable[[Reading, JudgeContext[Limits, Memory]], Judgement]
    limits: type[Limits] | None = None
    memory: type[Memory] | None = None
    remember: Callable[[Reading, datetime], Memory] | None = None
    after: str | None = None
    engine: str = ""
    paused_by_deploys: bool = False

    def recalled(self, value: Any) -> Memory | None:
        """What `remembered` gave; None for what it never gives, such as what another version of the area remembered."""
        if self.memory is None or value is None:
            return None
        try:
            return msgspec.convert(value, self.memory, str_keys=True)
        except (ValueError, OverflowError, RecursionError):
            return None

    def remembered(self, reading: Reading, now: datetime) -> Any:
        """What the area remembers of its reading, as JSON knows it; None for an area that remembers nothing."""
        return None if self.remember is None else msgspec.to_builtins(self.remember(reading, now), str_keys=True)


def listed(words: Sequence[str]) -> list[str]:
    """The first NAMED of them, each on one line, and how many more there are."""
    more = len(words) - NAMED
    return [*map(one_line, words[:NAMED]), *([f"and {more} more"] if more > 0 else [])]
