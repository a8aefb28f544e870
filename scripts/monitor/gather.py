"""Take readings at once, each on its own: what is slow or broken hides and delays nothing else."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from nifi_flows.errors import PipelineError
from scripts.stack.wording import one_line


@dataclass(frozen=True)
class Unread:
    """Why an area could not be read. reported: by another area, whose trouble it is."""

    why: str
    reported: bool = False


@dataclass(frozen=True)
class Step:
    """One reading. engine: whose, and it is the first that is asked of that engine; else empty."""

    area: str
    read: Callable[[], Any]
    engine: str = ""


def gather(chains: Sequence[Sequence[Step]], seconds: float) -> dict[str, Any]:
    """Area -> what its step has read, or Unread. The steps of a chain run one after the other, the chains at once.

    When an engine does not give its first answer, the rest of the chain is not known, which is not reported as
    trouble again; neither is what a slow step has kept from being read.
    """
    found: dict[str, Any] = {}

    def run(chain: Sequence[Step]) -> None:
        for step in chain:
            try:
                found[step.area] = step.read()
            except Exception as error:  # noqa: BLE001 - a reading that fails is a finding, whatever fails in it
                found[step.area] = Unread(words(error))
                if step.engine:
                    return

    deadline = time.monotonic() + seconds
    # Daemons: nobody waits at the end for one that an engine keeps waiting.
    threads = [threading.Thread(target=run, args=(chain,), daemon=True) for chain in chains]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    done = dict(found)  # what comes later is too late
    for chain in chains:
        head, *_ = chain
        missing = [step for step in chain if step.area not in done]
        if head.engine and isinstance(done.get(head.area, Unread("")), Unread):
            kept = f"not known: {head.engine} does not answer"
        else:
            kept = "not known: it was not reached in time"
        for step in missing:
            # The step that is under way is late; those behind it are only kept from being read.
            late = step is missing[0] and not isinstance(done.get(head.area), Unread)
            done[step.area] = Unread(f"no answer within {seconds:g} s") if late else Unread(kept, reported=True)
    return done


def words(error: Exception) -> str:
    """What went wrong, on one line."""
    if isinstance(error, PipelineError):
        return one_line(str(error))
    return one_line(f"cannot be read: {type(error).__name__}: {error}")
