"""What a stream stands before without reading it.

Kafka keeps records of its own in a topic, of transactions that somebody ended. Micro-batches end behind them; the
continuous lane only with the next frame, since it counts what it was given.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from spark_consumer.position import Offsets


@dataclass(frozen=True)
class Unread:
    """Partitions that hold more than what was read.

    standing: partition -> offset read up to, and since when, in seconds of some clock.
    """

    standing: Mapping[int, tuple[int, float]] = field(default_factory=dict)

    def seen(self, read: Offsets, ends: Offsets, now: float) -> "Unread":
        """After another look."""
        standing = {}
        for partition, end in ends.items():
            offset = read.get(partition, 0)
            if offset < end:
                before, since = self.standing.get(partition, (offset, now))
                standing[partition] = (offset, since if before == offset else now)
        return Unread(standing)

    def seconds(self, now: float) -> float:
        """For how long one of them has not moved; 0 when all is read."""
        return max((now - since for _, since in self.standing.values()), default=0.0)
