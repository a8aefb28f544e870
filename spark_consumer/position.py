"""How far the consumer is in its topic, and where it starts again. Offsets are those of the next frame."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from spark_consumer.errors import TerminalError

Offsets = Mapping[int, int]  # partition -> offset

_RESET = "./scripts/pipeline consumer reset --earliest, once you know what is missing"


@dataclass(frozen=True)
class Span:
    """What a partition holds: the first offset, and the one that the next frame will get."""

    first: int
    end: int


@dataclass(frozen=True)
class Topic:
    """A topic as Kafka has it. id: tells it from another one of its name, which counts from 0 again."""

    name: str
    id: str
    spans: Mapping[int, Span]

    @property
    def ends(self) -> dict[int, int]:
        return {partition: span.end for partition, span in self.spans.items()}


@dataclass(frozen=True)
class Sending:
    """Dead letters that may be out already, although their frames don't count as swept yet.

    since: where the dead letter topic ended before the first of them was sent. until: they are of frames before it.
    """

    since: Offsets
    until: Offsets

    def extended(self, until: Offsets) -> "Sending":
        """With letters of frames up to there, too."""
        return Sending(self.since, {p: max(end, self.until.get(p, 0)) for p, end in {**self.until, **until}.items()})

    def ended(self, swept: Offsets) -> bool:
        """Whether all of their frames count as swept."""
        return all(swept.get(partition, 0) >= end for partition, end in self.until.items())


@dataclass(frozen=True)
class Position:
    """How far the consumer is, in three senses, each by partition.

    topic_id: of the topic that the offsets are of; empty where nobody noted it. done: the rows before it are
    acknowledged by Cassandra. safe: and it lived on for long enough to have them on its disk. swept: the frames before
    it that are no rows are dead letters. sending: those that are being made; None when there are none. A partition that
    one of them lacks is at its beginning there. lane: in which the stream goes; empty where nobody noted it.
    """

    topic_id: str
    done: Offsets
    safe: Offsets
    swept: Offsets
    sending: Sending | None = None
    lane: str = ""

    def notes(self) -> dict[int, str]:
        """What is noted beside `done` for each partition, in the metadata of its committed offset."""
        sending = {} if self.sending is None else {"since": self.sending.since, "until": self.sending.until}
        lane = {"lane": self.lane} if self.lane else {}
        return {
            partition: json.dumps(
                {
                    "topic": self.topic_id,
                    "safe": self.safe.get(partition, 0),
                    "swept": self.swept.get(partition, 0),
                    **lane,
                    **sending,
                },
                separators=(",", ":"),
            )
            for partition in self.done
        }


def noted(committed: Mapping[int, tuple[int, str]]) -> Position | None:
    """The position from what a group has committed: partition -> offset and metadata; None when it is nothing.

    An offset without our note, set by one of Kafka's own tools for one, is where to go on.
    """
    if not committed:
        return None
    notes = {partition: _parsed(text) for partition, (_, text) in committed.items()}
    done = {partition: offset for partition, (offset, _) in committed.items()}

    def of(name: str) -> dict[int, int]:
        return {
            partition: min(_number(notes[partition].get(name), offset), offset) for partition, offset in done.items()
        }

    ids = {note["topic"] for note in notes.values() if isinstance(note.get("topic"), str)}
    return Position(
        topic_id=ids.pop() if len(ids) == 1 else "",
        done=done,
        safe=of("safe"),
        swept={p: _number(notes[p].get("swept"), offset) for p, offset in done.items()},
        sending=next((sending for note in notes.values() if (sending := _sending(note))), None),
        lane=next((lane for note in notes.values() if isinstance(lane := note.get("lane"), str)), ""),
    )


def resumed(position: Position | None, topic: Topic) -> Position:
    """Where the stream starts: some seconds before it ended, since what it reads again changes nothing.

    Its three offsets are equal but for `swept`, which may be further: no frame before it becomes a dead letter twice.
    Raises TerminalError when frames are gone that were not read, or the topic is another one than before.
    """
    known = position or Position(topic.id, {}, {}, {})
    check_topic(known, topic)
    start, swept = {}, {}
    for partition, span in topic.spans.items():
        safe, settled = known.safe.get(partition, 0), known.swept.get(partition, 0)
        read = min(known.done.get(partition, 0), settled)
        if span.first > read:
            raise TerminalError(
                f"topic {topic.name} begins at offset {span.first} of partition {partition}, and was read up to "
                f"{read}: {span.first - read} frames were removed unread",
                _RESET,
            )
        start[partition] = max(span.first, min(safe, settled, span.end))
        swept[partition] = max(start[partition], min(settled, span.end))
    # a topic that lost its end has other frames at those offsets, whose letters are not out
    cut = known.sending and any(span.end < known.sending.until.get(p, 0) for p, span in topic.spans.items())
    return Position(topic.id, start, start, swept, None if cut else known.sending)


def check_topic(position: Position, topic: Topic) -> None:
    """Raises TerminalError when the position is that of another topic of this name."""
    if position.topic_id not in ("", topic.id):
        raise TerminalError(
            f"topic {topic.name} was made anew; what was read up to offset {_shown(position.done)} was an earlier one",
            _RESET,
        )


def reset(position: Position | None, topic: Topic, offsets: Offsets) -> Position:
    """The position at other offsets. Frames of the same topic that were swept stay so."""
    known = position if position and position.topic_id in ("", topic.id) else None
    swept = {p: max(offset, known.swept.get(p, 0) if known else 0) for p, offset in offsets.items()}
    return Position(topic.id, offsets, offsets, swept, known.sending if known else None)


def frames(start: Offsets, end: Offsets) -> int:
    """How many frames lie between; partitions that start doesn't know count from 0."""
    return sum(offset - start.get(partition, 0) for partition, offset in end.items())


def _parsed(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text) if text else {}
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _sending(note: Mapping[str, Any]) -> Sending | None:
    since, until = (_offsets(note.get(name)) for name in ("since", "until"))
    return None if since is None or until is None else Sending(since, until)


def _offsets(found: Any) -> dict[int, int] | None:
    if not isinstance(found, dict) or not all(key.isdecimal() for key in found):
        return None
    return {int(partition): _number(offset, 0) for partition, offset in found.items()}


def _number(found: Any, otherwise: int) -> int:
    return found if isinstance(found, int) and not isinstance(found, bool) and found >= 0 else otherwise


def _shown(offsets: Offsets) -> str:
    return ", ".join(f"{offset} of partition {partition}" for partition, offset in sorted(offsets.items()))
