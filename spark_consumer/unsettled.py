"""Which frames are neither rows nor dead letters yet: the stream writes rows, and a sweep makes letters of the rest."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from spark_consumer.position import Offsets, frames


@dataclass(frozen=True)
class Batch:
    """What the stream read in one go. refused: how many of its frames are no rows."""

    start: Offsets
    end: Offsets
    refused: int = 0

    @property
    def frames(self) -> int:
        return frames(self.start, self.end)


class Unobserved(Exception):
    """Raised for a batch that doesn't follow on what was seen before: what lies between has to be read again."""


@dataclass(frozen=True)
class Unsettled:
    """swept: up to where every frame is a row or a dead letter. most: frames in one sweep, which decodes them again.

    pending: batches from there on, in their order. swept_now: whether the first of them is being swept, and so is not
    to change.
    """

    swept: Offsets
    most: int
    pending: Sequence[Batch] = field(default_factory=tuple)
    swept_now: bool = False

    def with_batch(self, batch: Batch) -> "Unsettled":
        """After another batch. What was settled before, and is read again after a rewind, stays settled.

        Raises Unobserved.
        """
        known = self.pending[-1].end if self.pending else self.swept
        if any(start > known.get(partition, 0) for partition, start in batch.start.items()):
            raise Unobserved(f"frames from {dict(known)} to {dict(batch.start)} were not seen")
        end = {p: max(offset, known.get(p, 0)) for p, offset in batch.end.items()}
        if not self.pending and not batch.refused:
            return replace(self, swept=end)
        if end == dict(known):
            return self
        new = replace(batch, start=known, end=end)
        last = self.pending[-1] if len(self.pending) > self.swept_now else None
        if last and last.frames + new.frames <= self.most:
            merged = Batch(last.start, end, last.refused + new.refused)
            return replace(self, pending=(*self.pending[:-1], merged))
        return replace(self, pending=(*self.pending, new))

    @property
    def due(self) -> Batch | None:
        """The next to be swept."""
        return self.pending[0] if self.pending else None

    def sweeping(self) -> "Unsettled":
        """While the first is swept."""
        return replace(self, swept_now=True)

    def settled(self) -> "Unsettled":
        """After the first was swept."""
        end, left = self.pending[0].end, list(self.pending[1:])
        while left and not left[0].refused:
            end = left.pop(0).end
        return Unsettled(end, self.most, tuple(left))
