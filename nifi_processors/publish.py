"""What becomes of one page: frames for the valid records, dead letters for the rest, and a receipt for the page."""

import json
import re
from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from nifi_processors.contract import contract
from nifi_processors.errors import FlowFileError
from nifi_processors.frames import encoder, page_encoder
from nifi_processors.normalise import NotAUser, Text, normalise
from nifi_processors.page import Page
from nifi_processors.publisher import Message, Publisher
from nifi_processors.pull_run import run_key
from nifi_processors.registry import SchemaIds
from nifi_processors.typed import texts
from nifi_processors.validate import MAX_FRAME_BYTES, Verdict, judge, judge_typed, without_long

MAX_DEAD_LETTER_BYTES = 72 * 1024 * 1024  # a record can be a whole page, and then there are its reasons

ATTRIBUTES = ("page:source", "page:url_digest", "page:seed", "page:size", "page:number", "page:fetched_at")


@dataclass(frozen=True)
class Fetch:
    """The page that was asked for. number: from 1. fetched_at: microseconds since 1970, UTC.

    digest: url_digest of the source's URL.
    """

    source: str
    digest: str
    seed: str
    size: int
    number: int
    fetched_at: int

    @property
    def origin(self) -> str:
        return f"{run_key(self.source, self.digest, self.seed, self.size)}/{self.number}"

    @classmethod
    def of(cls, attributes: dict[str, str | None]) -> "Fetch":
        """From the FlowFile's attributes (ATTRIBUTES); raises FlowFileError when one is absent or no number."""
        source, digest, seed, size, number, fetched_at = (attributes.get(name) or "" for name in ATTRIBUTES)
        try:
            if not source or not digest:
                raise ValueError
            return cls(source, digest, seed, int(size), int(number), int(fetched_at))
        except ValueError:
            found = ", ".join(f"{name}={attributes.get(name)!r}" for name in ATTRIBUTES)
            raise FlowFileError(
                f"the FlowFile does not say which page it holds ({found})",
                "connect PullRun and the stamping of page:fetched_at before this processor",
            ) from None


_COSTLY = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]")  # six letters for one in JSON


@dataclass(frozen=True)
class DeadLetter:
    """A record that is no row. position: index in the page, from 0. original: the bytes as received."""

    reasons: list[str]
    position: int
    original: bytes

    def line(self) -> str:
        """One line of JSON, at most twice as long as the original: NiFi takes it into memory, and a page can be huge.

        What is no text, or would be much longer as JSON, travels as base64.
        """
        line = {"reasons": self.reasons, "position": self.position}
        with suppress(UnicodeDecodeError):
            if not _COSTLY.search(self.original):
                return json.dumps(line | {"original": self.original.decode()}, ensure_ascii=False)
        return json.dumps(line | {"base64": b64encode(self.original).decode()})

    @classmethod
    def of(cls, line: bytes) -> "DeadLetter":
        """From such a line; raises FlowFileError for any other."""
        try:
            fields = json.loads(line)
            why, position = fields["reasons"], fields["position"]
            if not (isinstance(position, int) and isinstance(why, list) and all(isinstance(code, str) for code in why)):
                raise ValueError
            if "base64" in fields:
                return cls(why, position, b64decode(fields["base64"], validate=True))
            # lines of earlier versions, which may still be in a queue, have bytes that are no text as surrogates
            return cls(why, position, fields["original"].encode("utf-8", "surrogateescape"))
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            raise FlowFileError(
                f"not a line of invalid records: {line[:80]!r}", "connect the success of PublishUsers to this processor"
            ) from None


@dataclass(frozen=True)
class Partitioned:
    """A page's records, each in one of two places. keys: how many distinct ids the messages have.

    unusable: optional field -> how many of the valid records had it and are without it, since it could not be used.
    """

    messages: list[Message]
    invalid: list[DeadLetter]
    keys: int
    unusable: Mapping[str, int]

    @property
    def fetched(self) -> int:
        return len(self.messages) + len(self.invalid)


def partition(page: Page, fetch: Fetch, flow_version: str, schema_id: int) -> Partitioned:
    """Frames of the valid records, dead letters of the others, both in the order of the page."""
    same = {"source": fetch.source, "fetched_at": fetch.fetched_at, "flow_version": flow_version}
    encode = page_encoder(contract("user"), schema_id, same)
    messages: list[Message] = []
    invalid: list[DeadLetter] = []
    unusable: Counter[str] = Counter()
    for position, (found, (why, blanked)) in enumerate(_read(page)):
        if not why:
            frame = encode([*found, fetch.fetched_at + position])
            if len(frame) > MAX_FRAME_BYTES:
                frame = encode([*without_long(found), fetch.fetched_at + position])
            if len(frame) <= MAX_FRAME_BYTES:
                messages.append((found[0].encode(), frame))
                unusable.update(blanked)
                continue
            why = ["too_large"]
        invalid.append(DeadLetter(why, position, bytes(page.records[position])))
    return Partitioned(messages, invalid, len({key for key, _ in messages}), unusable)


def _read(page: Page) -> Iterator[tuple[Sequence[Text], Verdict]]:
    """The texts of each record, in the order of FIELDS, and what they are worth."""
    if page.users is not None:
        for user in page.users:
            found = texts(user)
            yield found, judge_typed(found)
        return
    for record in page.records:
        try:
            given = normalise(record)
        except NotAUser as finding:
            yield (), Verdict([finding.reason], [])
        else:
            yield given, judge(given)


def receipt(fetch: Fetch, found: Partitioned, flow_version: str) -> dict[str, Any]:
    """What the page receipt says, as page_receipt.avsc has it."""
    return {
        "id": fetch.origin,
        "source": fetch.source,
        "seed": fetch.seed,
        "page_size": fetch.size,
        "page": fetch.number,
        "fetched": found.fetched,
        "published": len(found.messages),
        "keys": found.keys,
        "invalid": len(found.invalid),
        "fetched_at": fetch.fetched_at,
        "flow_version": flow_version,
    }


def publish_page(
    content: bytes, fetch: Fetch, flow_version: str, topic: str, publisher: Publisher, registry: SchemaIds
) -> Partitioned:
    """Publish the valid records of a page, then its receipt; returns after Kafka acknowledged all of it.

    Raises PageRefused when content is no page of users, and ProcessorError when a record may not have arrived.
    """
    found = partition(Page(content, fetch.number), fetch, flow_version, registry.schema_id(topic, "user"))
    publisher.send(topic, found.messages, headers=[("page", fetch.origin.encode())])
    pages = f"{topic}.pages"
    encode = encoder(contract("page_receipt"), registry.schema_id(pages, "page_receipt"))
    publisher.send(pages, [(fetch.origin.encode(), encode(receipt(fetch, found, flow_version)))])
    return found


def publish_dead_letters(
    content: bytes, fetch: Fetch, flow_version: str, topic: str, publisher: Publisher, registry: SchemaIds
) -> int:
    """Publish a page's invalid records to the dead letter topic; returns how many, all acknowledged by Kafka.

    content: JSON lines as DeadLetter.line writes them. Raises ProcessorError.
    """
    letters = [DeadLetter.of(line) for line in content.split(b"\n") if line]
    if letters:
        encode = encoder(contract("dead_letter"), registry.schema_id(topic, "dead_letter"))
        records_out = (dead_letter(letter, fetch, flow_version) for letter in letters)
        publisher.send(topic, [(record["id"].encode(), encode(record)) for record in records_out])
    return len(letters)


def dead_letter(letter: DeadLetter, fetch: Fetch, flow_version: str) -> dict[str, Any]:
    """What the dead letter says, as dead_letter.avsc has it."""
    return {
        "id": f"{fetch.origin}#{letter.position}",
        "stage": "flow",
        "source": fetch.source,
        "origin": fetch.origin,
        "position": letter.position,
        "reasons": letter.reasons,
        "original": letter.original,
        "received_at": fetch.fetched_at,
        "flow_version": flow_version,
        "schema_id": None,
    }
