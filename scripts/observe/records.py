"""What lies in the topics of a pipeline, decoded independently of the consumer: receipts, dead letters and frames."""

import io
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import fastavro

from nifi_flows.errors import TransientError
from nifi_flows.pipeline import Pipeline
from scripts.observe import topics
from scripts.observe.topics import Message, Offsets
from scripts.stack import schema_registry
from scripts.stack.settings import Settings

_WHOLE = 30.0  # seconds without a message of a topic that is read from its beginning
_RECEIPTS = 20_000  # page receipts that are read at a time
_BYTES = 64 * 1024 * 1024  # of dead letters, or of receipts, that are read at a time

Record = Mapping[str, Any]


class RegistryAway(TransientError):
    """Raised when the schema registry does not say what a frame was written with."""


class Decoder:
    """Decodes Confluent frames by the schema id that each names.

    schema_of: schema id -> its Avro schema as JSON, None when there is none; asked once an id.
    """

    def __init__(self, schema_of: Callable[[int], str | None]) -> None:
        self._schema_of = schema_of
        self._schemas: dict[int, Any] = {}

    def decode(self, frame: bytes) -> dict[str, Any]:
        """Raises ValueError for what is no frame, whatever fastavro raises for what does not decode, RegistryAway."""
        if len(frame) < 5 or frame[0] != 0:
            raise ValueError("not a Confluent frame")
        schema = self._schema(int.from_bytes(frame[1:5], "big"))
        body = io.BytesIO(frame)
        body.seek(5)
        record = fastavro.schemaless_reader(body, schema, None)
        if not isinstance(record, dict):
            raise ValueError("the frame holds no record")
        return record

    def decoded(self, frame: bytes) -> Record | None:
        """None for what does not decode, whoever wrote it. Raises RegistryAway."""
        try:
            return self.decode(frame)
        except RegistryAway:
            raise
        except Exception:  # noqa: BLE001 - untrusted bytes: whatever decoding raises
            return None

    def _schema(self, schema_id: int) -> Any:
        if schema_id not in self._schemas:
            text = self._schema_of(schema_id)
            self._schemas[schema_id] = None if text is None else fastavro.parse_schema(json.loads(text))
        if self._schemas[schema_id] is None:
            raise ValueError(f"the registry knows no schema {schema_id}")
        return self._schemas[schema_id]


def decoder_of(settings: Settings) -> Decoder:
    """A decoder that asks the schema registry of a stack."""

    def schema_of(schema_id: int) -> str | None:
        try:
            return schema_registry.schema(settings, schema_id)
        except TransientError as error:
            raise RegistryAway(str(error), error.remedy) from error

    return Decoder(schema_of)


def receipts(settings: Settings, pipeline: Pipeline) -> dict[str, Record]:
    """The last receipt of each page: receipt id -> page_receipt.avsc as a dict."""
    return _last_by_id(settings, pipeline.pages)


def dead_letters(settings: Settings, pipeline: Pipeline) -> dict[str, Record]:
    """Every dead letter once: its id -> dead_letter.avsc as a dict."""
    return _last_by_id(settings, pipeline.dead_letters)


def _last_by_id(settings: Settings, topic: str) -> dict[str, Record]:
    decode = decoder_of(settings).decode
    records = (decode(message.value) for message in topics.read(settings, topic, _WHOLE))
    return {record["id"]: record for record in records}


@dataclass(frozen=True)
class Frames:
    """What the topic of the records holds. keys: page -> keys of its frames that decode; '' for those of no page.

    undecodable: topic/partition#offset of the frames that don't decode. gone: frames that retention has removed.
    """

    count: int
    keys: dict[str, set[UUID]]
    undecodable: set[str]
    gone: int


def frames(settings: Settings, pipeline: Pipeline) -> Frames:
    """Read the whole topic of the records."""
    gone = sum(span.first for span in topics.spans(settings, pipeline.topic).values())
    messages = topics.read(settings, pipeline.topic, _WHOLE)
    return frames_of(pipeline.topic, messages, decoder_of(settings), gone)


def frames_of(topic: str, messages: Iterable[Message], decoder: Decoder, gone: int) -> Frames:
    """Raises RegistryAway."""
    keys: dict[str, set[UUID]] = {}
    undecodable = set()
    count = 0
    for message in messages:
        count += 1
        try:
            key = UUID(str((decoder.decoded(message.value) or {})["id"]))
        except (KeyError, ValueError):
            undecodable.add(place(topic, message))
        else:
            page = message.headers.get("page", b"").decode(errors="replace")
            keys.setdefault(page, set()).add(key)
    return Frames(count, keys, undecodable, gone)


def place(topic: str, message: Message) -> str:
    """Where a frame is; also the id of the dead letter that it may become."""
    return f"{topic}/{message.partition}#{message.offset}"


@dataclass(frozen=True)
class LettersSummary:
    """count: messages in the topic. read: how many of the newest were read. reasons: reason code -> times in those."""

    count: int
    read: int
    reasons: Mapping[str, int]


def summarise_letters(settings: Settings, pipeline: Pipeline, most: int) -> LettersSummary:
    """most: of each partition. Raises TransientError when Kafka does not answer.

    Reasons can be read only while the schema registry answers.
    """
    count = topics.length(settings, pipeline.dead_letters)
    messages = topics.newest(settings, pipeline.dead_letters, most) if count else iter(())
    read, reasons = _reasons(messages, decoder_of(settings))
    return LettersSummary(count, read, reasons)


@dataclass(frozen=True)
class NewLetters:
    """Dead letters since somebody looked last. read: how many of the new ones were read for their reasons.

    reasons: code -> letters among those. fetched: records that NiFi fetched in the same time, 0 while the registry is
    away. ends and page_ends: where the next look begins.
    """

    new: int
    read: int
    reasons: dict[str, int]
    fetched: int
    ends: Offsets
    page_ends: Offsets


def new_letters(
    settings: Settings, pipeline: Pipeline, letters_from: Offsets | None, pages_from: Offsets | None, most: int
) -> NewLetters:
    """letters_from, pages_from: where the look before ended, None at the first. most: letters that are read.

    Raises TransientError when Kafka does not answer. Without the registry what is new is counted all the same.
    """
    decoder = decoder_of(settings)
    letters, written = topics.since(settings, pipeline.dead_letters, letters_from, most, _BYTES)
    pages, receipts = topics.since(settings, pipeline.pages, pages_from, _RECEIPTS, _BYTES)
    read, reasons = _reasons(written, decoder)
    return NewLetters(letters.new, read, reasons, _fetched(receipts, decoder), letters.ends, pages.ends)


def _reasons(messages: Iterable[Message], decoder: Decoder) -> tuple[int, dict[str, int]]:
    """How many dead letters were read, and code -> how many of them say so; those before the registry went away."""
    reasons: Counter[str] = Counter()
    read = 0
    try:
        for message in messages:
            reasons.update(reasons_of(decoder.decoded(message.value) or {}))
            read += 1
    except RegistryAway:
        pass
    return read, dict(reasons.most_common())


def reasons_of(letter: Record) -> set[str]:
    """The reason codes of a dead letter; one for what is none."""
    reasons = letter.get("reasons")
    return {str(reason) for reason in reasons} if reasons and isinstance(reasons, list) else {"not_readable"}


def _fetched(receipts: Iterable[Message], decoder: Decoder) -> int:
    """Records of the pages with these receipts; 0 without the registry, since a part of them would mislead."""
    try:
        counts = [(decoder.decoded(message.value) or {}).get("fetched") for message in receipts]
    except RegistryAway:
        return 0
    return sum(count for count in counts if isinstance(count, int))
