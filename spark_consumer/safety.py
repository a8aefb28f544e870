"""When rows are on Cassandra's disk: it acknowledges them earlier, and loses the last ones when it is killed."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from spark_consumer.position import Offsets

_MANY = 256

Starts = Mapping[str, int]  # node -> a number that is another one after each of its starts


@dataclass(frozen=True)
class Safety:
    """What is acknowledged, and what of it is safe.

    seconds: that a node must live on after an acknowledgement. starts: of the nodes that the stream writes to. safe: up
    to where rows are on disk. acknowledged: monotonic seconds and offsets, those that are not safe yet, in their order.
    """

    seconds: float
    starts: Starts
    safe: Offsets
    acknowledged: tuple[tuple[float, Offsets], ...] = field(default=())

    def written(self, at: float, end: Offsets) -> "Safety":
        """Rows up to there were acknowledged, at the latest at this time."""
        known = self.acknowledged
        if len(known) >= _MANY:  # as nobody answers: half of them say as much, only less finely
            known = known[1::2]
        return replace(self, acknowledged=(*known, (at, end)))

    def asked(self, at: float, starts: Starts) -> "Safety":
        """Every node was asked at this time and answered; nodes that are new count from now on.

        Raises Restarted when one was started again: what it acknowledged and was not safe may be gone.
        """
        again = sorted(node for node, start in starts.items() if self.starts.get(node, start) != start)
        if again:
            raise Restarted(again)
        lived = [end for written, end in self.acknowledged if written + self.seconds <= at]
        return replace(
            self,
            starts=starts,
            safe=lived[-1] if lived else self.safe,
            acknowledged=self.acknowledged[len(lived) :],
        )


class Restarted(Exception):
    """Raised when nodes of Cassandra have been started again."""

    def __init__(self, nodes: list[str]) -> None:
        super().__init__(f"Cassandra was started again ({', '.join(nodes)})")
