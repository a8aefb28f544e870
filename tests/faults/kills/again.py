"""Dead letters that were published more than once: which, where and when. That is no finding."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Letter:
    """One message of the dead letter topic. key: as Kafka has it. at: when it was made, in seconds since 1970."""

    id: str
    key: str
    stage: str
    reasons: tuple[str, ...]
    partition: int
    offset: int
    at: float


def came_again(letters: Iterable[Letter]) -> list[list[Letter]]:
    """The letters of each id that is there more than once, as they came; the id that came again first is first."""
    found: defaultdict[str, list[Letter]] = defaultdict(list)
    for letter in letters:
        found[letter.id].append(letter)
    several = [sorted(group, key=lambda letter: letter.at) for group in found.values() if len(group) > 1]
    return sorted(several, key=lambda group: group[1].at)


def told(group: Sequence[Letter], begun: float) -> str:
    """All letters of one id on a line, with what they are of. begun: when the load began; moments count from there."""
    first = group[0]
    places = ", ".join(f"{letter.partition}#{letter.offset} at {letter.at - begun:.0f} s" for letter in group)
    key = "" if first.key == first.id else f" under the key {first.key}"
    return f"again: {first.id}{key} of the {first.stage} ({', '.join(first.reasons)}): {places}"
