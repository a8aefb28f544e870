"""What happened, kill by kill and kind by kind: in words and as JSON."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from tests.faults.kills.compare import WRONGS

AT_THE_END = ("(found at the end)",)


@dataclass(frozen=True)
class Kill:
    """kinds: what was struck, one after the other, or AT_THE_END. moment: seconds since the load began.

    heal: seconds until the flow flowed. hung: it did not heal by itself; heal is then how long it was waited for.
    counts: wrong -> records. lane: that the stream was in.
    """

    kinds: Sequence[str]
    moment: float
    heal: float
    hung: bool
    compared: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)
    lane: str = ""

    @property
    def right(self) -> bool:
        return not self.hung and not any(self.counts.values())

    def __str__(self) -> str:
        wrong = ", ".join(f"{count} {name}" for name, count in self.counts.items() if count) or "nothing wrong"
        compared = f", {self.compared:,} compared, {wrong}" if self.compared else ""
        healed = f"HUNG for {self.heal:.0f} s" if self.hung else f"healed in {self.heal:.1f} s"
        lane = f" ({self.lane})" if self.lane else ""
        return f"{self.moment:6.0f} s  {' + '.join(self.kinds)}{lane}: {healed}{compared}"


def render(kills: Sequence[Kill], about: str) -> str:
    """A table in Markdown with a line a kind, and one for all; the first line is `about`.

    What was struck together counts in the line of each.
    """
    lanes = Counter(kill.lane for kill in kills if kill.lane)
    about += "".join(f" Kills of a stream in the lane {lane}: {times}." for lane, times in sorted(lanes.items()))
    columns = ("kind", "times", *WRONGS, "hung", "longest heal, s")
    kinds = sorted({kind for kill in kills for kind in kill.kinds}, key=lambda kind: (kind in AT_THE_END, kind))
    lines = [_line(kind, [kill for kill in kills if kind in kill.kinds]) for kind in kinds]
    struck = sum(len(kill.kinds) for kill in kills if kill.kinds != AT_THE_END)
    lines.append(_line("all", kills, struck))
    head = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    return "\n".join([about, "", *head, *lines]) + "\n"


def _line(name: str, kills: Sequence[Kill], times: int | None = None) -> str:
    wrong = [str(sum(kill.counts.get(wrong, 0) for kill in kills)) for wrong in WRONGS]
    heal = f"{max(kill.heal for kill in kills):.1f}" if kills else ""
    cells = [name, str(len(kills) if times is None else times), *wrong, str(sum(kill.hung for kill in kills)), heal]
    return f"| {' | '.join(cells)} |"


def as_json(kills: Sequence[Kill]) -> list[dict[str, Any]]:
    return [asdict(kill) for kill in kills]
