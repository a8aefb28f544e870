"""Records whose every cell is a function of key and version: a row that mixes two of them shows at once."""

import io
import json
import struct
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any
from uuid import UUID

import fastavro

from spark_consumer.contract import USER_SCHEMA
from tests.faults.kills.compare import Version
from tests.faults.kills.expected import CODES, row_of

MOST = 3  # versions of a key
REFUSED = 400  # one key in so many is a frame that can't be decoded, for a while in each period
PERIOD = 550_000  # keys
DIRTY = range(20_000, 70_000)  # those of each period among which there are such frames
RUBBISH = (b"\x00\x00\x00\x00\x00killed ", b"\x01killed ")  # no registry gives the id 0; not a frame at all
_COUNTRIES = sorted(CODES)
_SCHEMA = fastavro.parse_schema(json.loads(USER_SCHEMA))


@dataclass(frozen=True)
class Plan:
    """What is sent of one key. order: its versions, from 0, as they are sent. refused: it is rubbish instead."""

    order: tuple[int, ...]
    refused: bool


@dataclass(frozen=True)
class Content:
    """The records of the keys 0, 1, 2 and so on under a seed."""

    seed: str
    schema_id: int

    def id(self, key: int) -> UUID:
        return UUID(bytes=self._digest(key), version=4)

    def plan(self, key: int) -> Plan:
        """One to three versions; of every fifth key with three the last two change places: an old record comes late."""
        chance = self._digest(key, b"plan")
        order = list(range(1 + chance[0] % MOST))
        if chance[1] % 5 == 0 and len(order) == MOST:
            order[1], order[2] = order[2], order[1]
        refused = key % PERIOD in DIRTY and int.from_bytes(chance[2:6], "big") % REFUSED == 0
        return Plan((0,) if refused else tuple(order), refused)

    def record(self, key: int, version: int, first: int) -> dict[str, Any]:
        """first: event time of the key's version 0, in microseconds. Each version lacks other fields."""
        bits = self._digest(key, b"%d" % version)
        token = f"{key}v{version}"
        optional = {
            "gender": f"gender {token}",
            "address": f"{token} Street, Town",
            "post_code": f"post {token}",
            "username": f"user {token}",
            "dob": f"{1940 + bits[10] % 60}-0{1 + bits[11] % 9}-1{version}T00:00:00Z",
            "registered_date": f"{2001 + bits[12] % 20}-0{1 + bits[13] % 9}-1{version}",
            "phone": f"phone {token}",
            "picture": f"https://pictures.example/{token}.jpg",
            "country": _COUNTRIES[bits[14] % len(_COUNTRIES)],
        }
        kept = {name: value if bits[place] & 1 else None for place, (name, value) in enumerate(optional.items())}
        event = first + version * 1000
        return kept | {
            "id": str(self.id(key)),
            "first_name": f"First {token}",
            "last_name": f"Last {token}",
            "email": f"{token}@V{version}.example",
            "source": f"kills {token}",
            "fetched_at": event,
            "event_time": event,
            "flow_version": token,
        }

    def frame(self, key: int, version: int, first: int) -> bytes:
        body = io.BytesIO()
        fastavro.schemaless_writer(body, _SCHEMA, self.record(key, version, first))
        return struct.pack(">bI", 0, self.schema_id) + body.getvalue()

    def rubbish(self, key: int) -> bytes:
        return RUBBISH[key % len(RUBBISH)] + b"%d" % key

    def _digest(self, key: int, what: bytes = b"") -> bytes:
        return blake2b(f"{self.seed} {key} ".encode() + what, digest_size=16).digest()


@dataclass
class Sent:
    """What was sent of each key, and what of that Kafka has acknowledged. Lists by key, compact: there are millions."""

    content: Content
    firsts: "array[int]" = field(default_factory=lambda: array("q"))
    acknowledged: bytearray = field(default_factory=bytearray)  # bit v of it: version v
    places: dict[int, str] = field(default_factory=dict)  # key that is refused -> topic/partition#offset

    def begin(self, first: int) -> int:
        """The next key; its version 0 has this event time in microseconds."""
        self.firsts.append(first)
        self.acknowledged.append(0)
        return len(self.firsts) - 1

    def acknowledge(self, key: int, version: int) -> None:
        self.acknowledged[key] |= 1 << version

    def versions(self, key: int, acknowledged: int) -> Iterator[Version]:
        """The valid records of a key, the newest first; none of one that is refused.

        acknowledged: which of them count, as bits.
        """
        plan = self.content.plan(key)
        if plan.refused:
            return
        first, schema = self.firsts[key], self.content.schema_id
        for version in sorted(plan.order, reverse=True):
            record = self.content.record(key, version, first)
            yield Version(record["event_time"], bool(acknowledged >> version & 1), row_of(record, schema))
