"""A check: one reading, and what it means. Readings are taken at once; one that is late is a finding, too."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

from scripts.doctor.diagnosis import Diagnosis, failed, problem
from scripts.observe.gather import Failed, Gathered, Late, ReadStep, Skipped, Unread, gather

T = TypeVar("T")
Chain = Sequence["Check[Any]"]


@dataclass(frozen=True)
class Check(Generic[T]):
    """area: of its findings. judge: what the reading means. broken: what it means that there is none.

    late: what to do when it is the first of its chain and does not come in time, "" for what the area suggests.
    """

    area: str
    step: ReadStep[T]
    judge: Callable[[T], Iterable[Diagnosis]]
    broken: Callable[[Exception], Diagnosis] | None = None
    late: str = ""


def findings(chains: Sequence[Chain], seconds: float) -> list[Diagnosis]:
    """Take the readings and judge them, in the order of the checks; see `gather` for chains.

    What is read from an engine comes after its answer in a chain: one that is down is one finding.
    """
    return judged(chains, gather([[check.step for check in chain] for chain in chains], seconds))


def judged(chains: Sequence[Chain], read: Gathered) -> list[Diagnosis]:
    """What the checks' readings mean, in the order of the checks."""
    return [finding for chain in chains for check in chain for finding in _judged(check, chain[0], read)]


def _judged(check: Check[T], first: Check[Any], read: Gathered) -> Iterator[Diagnosis]:
    found = read.of(check.step)
    match found:
        case Failed(error=error):
            yield (check.broken or partial(failed, check.area))(error)
        case Late():
            yield _late(first, answered=check is not first)
        case Skipped():
            return
        case Unread():
            raise AssertionError(f"{check.step.name} is unread for no reason")
        case _:
            yield from check.judge(found)


def _late(first: Check[Any], *, answered: bool) -> Diagnosis:
    what = "what it holds was not read in time" if answered else "no answer in time"
    remedy = f"./scripts/pipeline logs {first.step.name}" if first.area == "engines" else "ask again"
    return problem(first.area, f"{first.step.name}: {what}", first.late or remedy)
