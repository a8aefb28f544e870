"""When rows are on Cassandra's disk: it acknowledges them earlier, and loses the last ones when it is killed."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from spark_consumer.position import Offsets

_MANY = 256
_LONGEST = 5.0  # seconds from one answer to the next that count: a node that was stopped meanwhile wrote nothing

Starts = Mapping[str, int | None]  # node -> a number that is another one after each of its starts; None: no answer


@dataclass(frozen=True)
class Safety:
    """What is acknowledged, and what of it is safe. Times are monotonic seconds.

    seconds: that every node must live on after an acknowledgement. starts: of the nodes that ever answered. safe: up to
    where rows are on disk. seen: when all nodes were asked and answered last. lived: seconds from answer to answer, as
    far as they count. acknowledged: what is not safe yet, in its order, and how much of `lived` was over by then.
    """

    seconds: float
    starts: Mapping[str, int]
    safe: Offsets
    seen: float
    lived: float = 0.0
    acknowledged: tuple[tuple[float, Offsets], ...] = field(default=())

    def written(self, at: float, end: Offsets) -> "Safety":
        """Rows up to there were acknowledged, at the latest at this time."""
        known = self.acknowledged
        if len(known) >= _MANY:  # as nobody answers: half of them say as much, only less finely
            known = known[1::2]
        return replace(self, acknowledged=(*known, (self._lived(at), end)))

    def asked(self, at: float, starts: Starts) -> "Safety":
        """Every node was asked at this time; those that are new count from now on.

        While one doesn't answer nothing becomes safe. Raises Restarted when one was started again: what it acknowledged
        and was not safe may be gone.
        """
        answered = {node: start for node, start in starts.items() if start is not None}
        if again := sorted(node for node, start in answered.items() if self.starts.get(node, start) != start):
            raise Restarted(again)
        known = replace(self, starts={**self.starts, **answered})
        if len(answered) < len(starts):
            return known
        lived = self._lived(at)
        safe = [end for written, end in self.acknowledged if written + self.seconds <= lived]
        return replace(
            known,
            safe=safe[-1] if safe else self.safe,
            seen=at,
            lived=lived,
            acknowledged=self.acknowledged[len(safe) :],
        )

    def _lived(self, at: float) -> float:
        return self.lived + min(max(0.0, at - self.seen), _LONGEST)


class Restarted(Exception):
    """Raised when nodes of Cassandra have been started again."""

    def __init__(self, nodes: list[str]) -> None:
        super().__init__(f"Cassandra was started again ({', '.join(nodes)})")
