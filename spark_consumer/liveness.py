"""Whether the stream's process lives, by the signs that it gives: which are too old, and how long to wait after one.

A sign is a byte: c for each commit of frames, i when all is read, a when it starts again or an engine does not
answer, f when it has failed and is about to end; l when it starts in the continuous lane, m in micro-batches. Times are
seconds of a clock that never goes back.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

COMMITTED, IDLE, AGAIN, FAILED, LANE, BATCHES = b"ciaflm"

BEGINNING = 180.0  # seconds from the start of the process, or its last new start, to its first word that all goes well
SILENT = 60.0  # seconds from one sign to the next after that: what a start takes longest for is loaded by then
FAILING = 30.0  # seconds that a process which failed may take to end
STOPPING = 25.0  # seconds that it may take when it is told to; who told us waits for 40
STEADY = 30.0  # seconds of commits after which earlier failures are forgotten

# A stopped machine or a stopped process of ours is no silence of the stream's: what passes at once beyond this is not
# counted.
LONGEST_LOOK = 5.0

_LONGEST_PAUSE = 15.0


@dataclass(frozen=True)
class Stream:
    """What is known of one process of the stream, all in seconds of one clock, None for what has not been.

    begun: it was started. first: commit, or word that all is read. last: the last sign since then. failed: it said so,
    or fell silent for good. told: to end. forced: it was ended, since it was overdue. continuous: in that lane.
    """

    begun: float
    first: float | None = None
    last: float | None = None
    failed: float | None = None
    told: float | None = None
    forced: bool = False
    continuous: bool = False

    def heard(self, signs: bytes, now: float) -> Stream:
        """With these signs of life; unknown ones mean nothing."""
        known = replace(self, continuous=_lane(signs, self.continuous))
        if AGAIN in signs:
            known = replace(known, begun=now) if known.first is None else replace(known, last=now)
        if COMMITTED in signs or IDLE in signs:
            known = replace(known, first=now if known.first is None else known.first, last=now)
        return known.broken(now) if FAILED in signs else known

    def broken(self, now: float) -> Stream:
        """Once it has said that it failed, or has closed the pipe through which it gives signs."""
        return self if self.failed is not None else replace(self, failed=now)

    def stopping(self, now: float) -> Stream:
        """Once it has been told to end."""
        return self if self.told is not None else replace(self, told=now)

    def overdue(self, now: float) -> str | None:
        """Why it has to be ended by force, in words that follow its name; None while it may go on."""
        if self.told is not None:
            return f"has not ended within {STOPPING:g} s" if now - self.told > STOPPING else None
        if self.failed is not None:
            return f"has failed and not ended within {FAILING:g} s" if now - self.failed > FAILING else None
        if self.last is None:
            silent = now - self.begun
            return f"has not begun to read within {silent:.0f} s" if silent > BEGINNING else None
        silent = now - self.last
        return f"has committed nothing for {silent:.0f} s, and there is something to read" if silent > SILENT else None

    @property
    def steady(self) -> bool:
        """Whether it has done well for so long that earlier failures no longer count."""
        return self.first is not None and self.last is not None and self.last - self.first >= STEADY


def _lane(signs: bytes, before: bool) -> bool:
    """Whether the last start that they tell of was in the continuous lane."""
    found = [sign for sign in signs if sign in (LANE, BATCHES)]
    return found[-1] == LANE if found else before


def pause(failures: int) -> float:
    """Seconds to wait before the next start: 1, 2, 4, 8, then always 15. failures: in a row, 1 or more."""
    return min(2.0 ** (min(failures, 5) - 1), _LONGEST_PAUSE)


@dataclass
class Clock:
    """Seconds that this process has seen pass: none of those in which the machine or the process itself stood still."""

    reading: float
    now: float = 0.0

    def tick(self, reading: float) -> float:
        """The time, at this reading of the machine's clock, in seconds."""
        self.now += min(max(0.0, reading - self.reading), LONGEST_LOOK)
        self.reading = reading
        return self.now
