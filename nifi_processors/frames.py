"""From a record to its Kafka frame: a zero byte, the schema id in 4 bytes, Avro binary."""

import io
import struct
from collections.abc import Callable
from typing import Any

import fastavro

from nifi_processors.contract import Contract

Encode = Callable[[dict[str, Any]], bytes]


def encoder(contract: Contract, schema_id: int) -> Encode:
    """The function from a record to its frame. The record has every field of the schema, in the schema's types."""
    head = struct.pack(">bI", 0, schema_id)
    kinds = {name: _kind(type_) for name, type_ in contract.types.items()}
    if None not in kinds.values():
        return _flat_encoder(head, kinds)
    schema = contract.schema

    def encode(record: dict[str, Any]) -> bytes:
        frame = io.BytesIO()
        frame.write(head)
        fastavro.schemaless_writer(frame, schema, record)
        return frame.getvalue()

    return encode


def _kind(type_: Any) -> str | None:
    """text, text? or number for the types that a flat record has, None for any other."""
    if type_ == ["null", "string"]:
        return "text?"
    name = type_["type"] if isinstance(type_, dict) else type_
    return {"string": "text", "long": "number", "int": "number"}.get(name) if isinstance(name, str) else None


def _flat_encoder(head: bytes, kinds: dict[str, str | None]) -> Encode:
    """For flat records, of which there are thousands a second: a fifth of the time that fastavro's unions take."""
    plan = list(kinds.items())

    def encode(record: dict[str, Any]) -> bytes:
        parts = [head]
        add = parts.append
        for name, kind in plan:
            if kind == "number":
                add(_varint(record[name]))
                continue
            text = record[name]
            if kind == "text?":
                if text is None:
                    add(b"\x00")
                    continue
                add(b"\x02")
            data = text.encode()
            size = len(data)
            add(_SIZES[size] if size < 256 else _varint(size))
            add(data)
        return b"".join(parts)

    return encode


def _varint(number: int) -> bytes:
    """Avro's long: zigzag, then 7 bits a byte, the lowest first."""
    rest = (number << 1) ^ (number >> 63)
    out = bytearray()
    while rest > 127:
        out.append(rest & 127 | 128)
        rest >>= 7
    out.append(rest)
    return bytes(out)


_SIZES = [_varint(size) for size in range(256)]
