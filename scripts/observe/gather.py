"""Take readings at once, each on its own: what is slow or broken hides and delays nothing else."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class ReadStep(Generic[T]):
    """One reading. name: of it, for people. read: may raise anything.

    needed: the rest of its chain makes no sense without it, as when an engine does not answer.
    """

    name: str
    read: Callable[[], T]
    needed: bool = False


@dataclass(frozen=True)
class Unread:
    """Why there is no reading."""


@dataclass(frozen=True)
class Failed(Unread):
    error: Exception


@dataclass(frozen=True)
class Late(Unread):
    """It was under way when the time was over. seconds: that it had to share with the others."""

    seconds: float


@dataclass(frozen=True)
class Skipped(Unread):
    """It was not begun. after: the step before it in its chain that was needed and failed, or took too long."""

    after: "ReadStep[Any]"


class Gathered:
    """What the steps have read."""

    def __init__(self, outcomes: "dict[ReadStep[Any], Any]") -> None:
        self._outcomes = outcomes

    def of(self, step: ReadStep[T]) -> T | Unread:
        found: T | Unread = self._outcomes[step]
        return found


def gather(chains: Sequence[Sequence[ReadStep[Any]]], seconds: float) -> Gathered:
    """Run the steps of a chain one after the other and the chains at once, for so many seconds at most.

    A step that fails ends its chain only when it was needed. What is not done in time is left behind in its thread.
    """
    found: dict[ReadStep[Any], Any] = {}

    def run(chain: Sequence[ReadStep[Any]]) -> None:
        for step in chain:
            try:
                found[step] = step.read()
            except Exception as error:  # noqa: BLE001 - a reading that fails is an outcome, too, whatever fails in it
                found[step] = Failed(error)
                if step.needed:
                    return

    deadline = time.monotonic() + seconds
    # Daemons: nobody waits at the end for one that an engine keeps waiting.
    threads = [threading.Thread(target=run, args=(chain,), daemon=True) for chain in chains]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    done = dict(found)  # what comes later is too late
    return Gathered({step: outcome for chain in chains for step, outcome in _outcomes(chain, done, seconds)})


def _outcomes(
    chain: Sequence[ReadStep[Any]], done: "dict[ReadStep[Any], Any]", seconds: float
) -> "list[tuple[ReadStep[Any], Any]]":
    outcomes: list[tuple[ReadStep[Any], Any]] = []
    broken: ReadStep[Any] | None = None
    for step in chain:
        if step in done:
            outcome = done[step]
        elif broken is None:
            outcome = Late(seconds)
        else:
            outcome = Skipped(broken)
        outcomes.append((step, outcome))
        if broken is None and (isinstance(outcome, Late) or (isinstance(outcome, Failed) and step.needed)):
            broken = step
    return outcomes
