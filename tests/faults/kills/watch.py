"""How far the pipeline is, once a second; whether it flows again after a kill; and why not, when it doesn't."""

import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

from nifi_flows.errors import PipelineError, TransientError
from nifi_flows.pipeline import USERS
from scripts.observe import consumer, topics
from scripts.observe.consumer import Positions
from scripts.stack import engines
from scripts.stack.stack import tail
from scripts.stack.supervise import Supervisor
from tests.engines.conftest import LocalStack

_LOOK = 1.0  # seconds
_ANSWER = 5.0  # seconds that Kafka gets for an answer
_PAGES = 2  # that the flow has to publish after a kill
_LINES = 12  # of the consumer's log


@dataclass(frozen=True)
class Sample:
    """at: when the look began, seconds since 1970. pages: messages in the topic of the receipts."""

    at: float
    positions: Positions
    pages: int


@dataclass(frozen=True)
class Mark:
    """What there was right after a strike; once all of it is finished and pages are published again, it flows."""

    ends: dict[int, int]
    pages: int

    @classmethod
    def of(cls, sample: Sample) -> "Mark":
        return cls({partition: position.end for partition, position in sample.positions.items()}, sample.pages)

    def consumed(self, sample: Sample) -> bool:
        return all((sample.positions[p].committed or 0) >= end for p, end in self.ends.items() if p in sample.positions)

    def published(self, sample: Sample) -> bool:
        return sample.pages >= self.pages + _PAGES


class Watch:
    """A thread that looks once a second. heard: called with the lag of each look."""

    def __init__(self, stack: LocalStack, heard: Callable[[int], None]) -> None:
        self._stack = stack
        self._heard = heard
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self.latest: Sample | None = None
        self.trouble = ""

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *failure: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()

    def after(self, moment: float, seconds: float) -> Sample:
        """The first look that began after then. Raises AssertionError, saying why, when there is none in time."""
        deadline = time.monotonic() + seconds
        while not ((sample := self.latest) and sample.at > moment):
            assert time.monotonic() < deadline, (
                f"no look at Kafka for {seconds:.0f} s: {self.trouble}\n{self.explain()}"
            )
            time.sleep(0.1)
        return sample

    def mark(self, moment: float, seconds: float) -> Mark:
        """What there was at the first look after `moment`, as `after`."""
        return Mark.of(self.after(moment, seconds))

    def heal(self, mark: Mark, seconds: float) -> bool:
        """Wait until the pipeline flows again; whether it did in time."""
        deadline = time.monotonic() + seconds
        while not ((sample := self.latest) and mark.consumed(sample) and mark.published(sample)):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.2)
        return True

    def drain(self, seconds: float) -> None:
        """Wait until every frame is a row or a dead letter. Raises AssertionError, saying why it hasn't in time."""
        begun, deadline = time.time(), time.monotonic() + seconds
        while consumer.unfinished_of(self.after(begun, seconds).positions):
            assert time.monotonic() < deadline, f"frames are left after {seconds:.0f} s:\n{self.explain()}"
            time.sleep(0.2)

    def explain(self) -> str:
        """Lag by partition, the engines' states and the last lines of the consumer's log."""
        settings = self._stack.settings
        supervisor = Supervisor(settings)
        sample = self.latest
        lags = {p: position.lag for p, position in sample.positions.items()} if sample else {}
        age = f"{time.time() - sample.at:.0f} s ago" if sample else "never seen"
        names = [engine.name for engine in engines.describe(settings) if not engine.optional]
        lines = "\n".join(f"    {line[:300]}" for line in tail(settings.logs / "consumer.log", _LINES))
        return (
            f"lag by partition {lags}, {sample.pages if sample else 0} receipts ({age}; {self.trouble})\n"
            f"engines { ({name: supervisor.state(name) for name in names}) }\nconsumer.log\n{lines}"
        )

    def _run(self) -> None:
        settings = self._stack.settings
        while not self._stop.wait(_LOOK):
            at = time.time()
            try:
                found = consumer.positions(settings, USERS, _ANSWER)
                pages = topics.length(settings, USERS.pages, _ANSWER)
            except (TransientError, PipelineError, KeyError) as error:  # KeyError: a Kafka that knows no topic yet
                self.trouble = str(error)
                continue
            self.trouble = ""
            self.latest = Sample(at, found, pages)
            self._heard(consumer.lag_of(found))


def by_hand(stack: LocalStack, mark: Mark, sample: Sample | None) -> list[str]:
    """Kill what does not come back by itself, as somebody who reads the lag would; returns what was killed."""
    supervisor = Supervisor(stack.settings)
    stuck = {"consumer": not (sample and mark.consumed(sample)), "nifi": not (sample and mark.published(sample))}
    for name in (killed := [name for name, is_stuck in stuck.items() if is_stuck]):
        if pid := supervisor.pid(name):
            os.kill(pid, signal.SIGKILL)  # what hangs takes no order to stop
        else:
            supervisor.start_engine(name)
    return killed
