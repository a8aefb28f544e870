"""In which lane the stream goes, after what has happened in the one before."""

from dataclasses import dataclass, replace

from spark_consumer.names import CONTINUOUS, MICRO_BATCH, Lane

_MOST_IN_VAIN = 3  # failures in a row of a continuous stream that got no further, after which micro-batches are tried
_MOST = 16.0  # times as long as set, for the calm


@dataclass(frozen=True)
class Course:
    """What is set, and where it stands.

    calm_seconds: set for how long a stream goes in micro-batches after the last frame that was refused, where the
    continuous lane is wanted. calm: for how long it really does, since a change costs a start. in_vain: failures in a
    row of a continuous stream that got no further; micro-batches that are tried for them take one off by success.
    """

    lane: Lane
    calm_seconds: float
    calm: float
    in_vain: int = 0

    def changed(self, lane: Lane, lasted: float) -> "Course":
        """After a change. lasted: seconds that the stream went in the lane before.

        One that does not last as long as the calm before it has twice the calm after it.
        """
        if lane == CONTINUOUS:  # one more failure is enough where only that lane had them
            return replace(self, lane=lane, in_vain=min(self.in_vain, _MOST_IN_VAIN - 1))
        calm = self._longer if lasted < self.calm else self.calm_seconds
        return replace(self, lane=lane, calm=calm, in_vain=0)

    def failed(self, *, advanced: bool) -> "Course":
        """After a failure of the stream itself. advanced: it got further than those before."""
        if self.lane == CONTINUOUS:
            if advanced or self.in_vain + 1 < _MOST_IN_VAIN:
                return replace(self, in_vain=0 if advanced else self.in_vain + 1)
            return self.in_doubt()
        if advanced:
            return replace(self, in_vain=min(self.in_vain, _MOST_IN_VAIN - 1))
        if self.in_vain < _MOST_IN_VAIN:
            return self
        # they fail at once as well, so it is an engine that is away
        return replace(self, lane=CONTINUOUS, calm=self.calm_seconds, in_vain=0)

    def in_doubt(self) -> "Course":
        """In micro-batches, since the continuous lane does not seem to work."""
        return replace(self, lane=MICRO_BATCH, calm=self._longer, in_vain=_MOST_IN_VAIN)

    @property
    def undecided(self) -> bool:
        """Whether the failures so far may be the lane's own, and another try or the other lane helps."""
        return self.in_vain > 0 if self.lane == CONTINUOUS else self.in_vain == _MOST_IN_VAIN

    @property
    def _longer(self) -> float:
        return min(2 * self.calm, _MOST * self.calm_seconds)
