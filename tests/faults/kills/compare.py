"""Holds rows and dead letters against what was sent, and counts what is wrong. Pure: it reads no engine."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.faults.kills.expected import COLUMNS, Row

LOST, STALE, MIXED, DOUBLED = "lost", "stale", "mixed", "doubled"
WRONGS = (LOST, STALE, MIXED, DOUBLED)
_EXAMPLES = 5  # of each wrong


@dataclass(frozen=True)
class Version:
    """One record of a key. event: its time in microseconds. acknowledged: by Kafka, so it must count.

    row: what the key's row is while this record is its newest.
    """

    event: int
    acknowledged: bool
    row: Row


@dataclass
class Findings:
    """How many of each wrong, and some examples of each in words."""

    counts: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)
    compared: int = 0

    def add(self, wrong: str, about: object) -> None:
        self.counts[wrong] += 1
        if self.counts[wrong] <= _EXAMPLES:
            self.examples.append(f"{wrong}: {about}")

    def merge(self, other: "Findings") -> None:
        self.counts.update(other.counts)
        self.examples += other.examples
        self.compared += other.compared


def judge(row: Mapping[str, Any] | None, versions: Iterable[Version]) -> tuple[str, str] | None:
    """What is wrong with the row of a key that has these valid records, and in which way; None for nothing.

    versions: the newest first; only as many are taken as are needed, since each takes time to work out.
    Lost: no row, though a record was acknowledged. Stale: it is the row of a record that is older than the newest one
    acknowledged. Mixed: it is the row of none of the records. What was sent and not acknowledged may be there.
    """
    cells = {c: value for c, value in row.items() if value is not None and c in COLUMNS} if row is not None else None
    newest: int | None = None  # of those acknowledged
    seen = []
    for version in versions:
        if version.row == cells:
            return None if newest is None else (STALE, f"the record of {version.event}, the newest is of {newest}")
        if newest is None and version.acknowledged:
            newest = version.event
            if cells is None:
                return LOST, "no row"
        seen.append(version)
    return None if cells is None else (MIXED, _nearest(cells, seen))


def _nearest(cells: Mapping[str, Any], versions: Sequence[Version]) -> str:
    """The cells that differ from the record that has most in common with the row."""
    found: list[dict[str, tuple[Any, Any]]] = [
        {c: (cells.get(c), v.row.get(c)) for c in cells.keys() | v.row.keys() if cells.get(c) != v.row.get(c)}
        for v in versions
    ]
    return f"(found, wanted) {min(found, key=len)}" if found else "a row of no record"


def letters(
    refused: Iterable[tuple[str, bool]], rows_of_refused: Iterable[str], strays: Iterable[str], found: Collection[str]
) -> Findings:
    """Hold dead letters against the records that have to be one.

    refused: (id of the letter, whether the record was acknowledged). rows_of_refused: ids of those that have a row.
    strays: letters of records that are valid, and so have a row as well or should. found: the ids that
    are there; one that is published again counts once, see dead_letter.avsc, and is no finding.
    """
    findings = Findings()
    rows = set(rows_of_refused)
    for letter, acknowledged in refused:
        findings.compared += 1
        if letter in rows:
            findings.add(DOUBLED if letter in found else MIXED, f"{letter} is refused and has a row")
        elif acknowledged and letter not in found:
            findings.add(LOST, f"{letter} has neither row nor letter")
    for letter in strays:
        findings.add(DOUBLED, f"{letter} is valid and has a letter")
    return findings
