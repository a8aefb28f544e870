"""How far the pipeline is, once a second; whether it flows again after a kill; and why not, when it doesn't."""

import datetime as dt
import os
import re
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

from nifi_flows.errors import PipelineError, TransientError
from nifi_flows.pipeline import USERS
from scripts.observe import consumer, topics
from scripts.observe import engines as observed
from scripts.observe.consumer import Positions
from scripts.stack import engines
from scripts.stack.stack import ending, tail
from scripts.stack.supervise import Supervisor
from tests.engines.conftest import LocalStack

_LOOK = 1.0  # seconds
_ANSWER = 5.0  # seconds that Kafka gets for an answer
_PAGES = 2  # that the flow has to publish after a kill
_LINES = 12  # of the consumer's log
_LOG_END = 4 * 1024 * 1024  # bytes of it that are searched
_ENDED = ("was ended by", "it is started again in")  # what the consumer says when its stream has ended
_LANE = re.compile(r": started in the lane (\S+) at ")
_JOIN = 30.0  # seconds for a look that is under way: two answers, and each may be asked for again


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

    def standing(self, sample: Sample | None) -> str:
        """What is missing until it flows again."""
        if sample is None:
            return "nothing was ever seen of Kafka"
        behind = {
            p: f"{sample.positions[p].committed or 0:,} of {end:,}"
            for p, end in self.ends.items()
            if p in sample.positions and (sample.positions[p].committed or 0) < end
        }
        consumer_ = ", ".join(f"partition {p} is finished up to {how}" for p, how in behind.items())
        flow = "" if self.published(sample) else f"{sample.pages - self.pages} of {_PAGES} pages are published"
        stands = [f"the consumer stands: {consumer_}"] * bool(behind) + [f"the flow stands: {flow}"] * bool(flow)
        return "; ".join(stands) or "it flows by now"


class Watch:
    """A thread that looks once a second. heard: called with the lag of each look."""

    def __init__(self, stack: LocalStack, heard: Callable[[int], None]) -> None:
        self._stack = stack
        self._heard = heard
        self._begun = dt.datetime.now()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self.latest: Sample | None = None
        self.trouble = ""

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, failure: BaseException | None, _: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(_JOIN)
        assert failure is not None or not self._thread.is_alive(), f"a look at Kafka did not end within {_JOIN:g} s"

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

    def keeps_up(self, most: int, seconds: float) -> None:
        """Wait until the consumer is so many frames behind at most. Raises AssertionError, saying why it isn't."""
        self._wait(consumer.lag_of, most, time.time() + _LOOK, seconds, "frames behind")

    def drain(self, seconds: float) -> None:
        """Wait until every frame is a row or a dead letter. Raises AssertionError, saying why it hasn't in time."""
        self._wait(consumer.unfinished_of, 0, time.time(), seconds, "frames are left")

    def _wait(self, count: Callable[[Positions], int], most: int, begun: float, seconds: float, what: str) -> None:
        """Until so many are counted at most, in a look that began after `begun`. what: is counted, for the error."""
        deadline = time.monotonic() + seconds
        while (counted := count(self.after(begun, seconds).positions)) > most:
            assert time.monotonic() < deadline, f"{counted} {what} after {seconds:.0f} s:\n{self.explain()}"
            time.sleep(0.2)

    def lane(self) -> str:
        """The lane that the stream was last started in, by the consumer's log."""
        return lane_of(ending(self._stack.settings.logs / "consumer.log", _LOG_END))

    def explain(self) -> str:
        """Lag by partition, the engines' states, who was started again, and what the consumer's log says."""
        settings = self._stack.settings
        supervisor = Supervisor(settings)
        sample = self.latest
        lags = {p: position.lag for p, position in sample.positions.items()} if sample else {}
        age = f"{time.time() - sample.at:.0f} s ago" if sample else "never seen"
        names = [engine.name for engine in engines.describe(settings) if not engine.optional]
        lines = "\n".join(f"    {line[:300]}" for line in tail(settings.logs / "consumer.log", _LINES))
        again = [
            *(f"{name} {e.how} at {e.at:%X}" for name, es in observed.exits(settings, self._begun).items() for e in es),
            *(observed.told(name, r) for name, rs in observed.restarts(settings, self._begun).items() for r in rs),
        ]
        ends = "\n".join(f"    {line[:300]}" for line in ends_of(ending(settings.logs / "consumer.log", _LOG_END)))
        return (
            f"lag by partition {lags}, {sample.pages if sample else 0} receipts ({age}; {self.trouble})\n"
            f"engines { ({name: supervisor.state(name) for name in names}) }\n"
            f"started again: {'; '.join(again) or 'none'}\n"
            f"ends of the stream\n{ends or '    none'}\nconsumer.log\n{lines}"
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


def ends_of(log: str) -> list[str]:
    """The lines of the consumer's log that tell of an end of its stream."""
    return [line for line in log.splitlines() if any(words in line for words in _ENDED)]


def lane_of(log: str) -> str:
    return next(reversed(_LANE.findall(log)), "")


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
