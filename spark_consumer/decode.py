"""From Kafka messages to users, or to the reasons why a message is none.

A frame is one zero byte, the writer schema's id in four bytes (big-endian), and the Avro binary. Bytes after a
complete record are tolerated, as Avro readers do: the record before them is whole and must still keep the contract.
"""

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.avro.functions import from_avro

from spark_consumer.errors import told_by_spark

# What the flow publishes is shorter. A row can be two and a half times as long as its frame (full_name repeats the
# names, email_domain the address), and Cassandra refuses it from half a segment of its commit log on: 4 MiB.
MAX_FRAME_BYTES = 1_000_000

# The number that the header names, as text: also ids beyond an int, which only a forged frame has.
FRAME_ID = "conv(hex(substring(value, 2, 4)), 16, 10)"

# An invalid byte sequence would reach the row as U+FFFD without a word. One separator keeps each text's bytes apart.
_JOINED = "concat_ws('\n', {})"
_TIMES = ("event_time", "fetched_at")
# The write timestamp rules over every later write to the row: a clock gone wild must not get in. Held against the
# message's own time (brokers refuse one from the future), not this machine's: a replay decides the same, and
# the generated code stays the same from batch to batch, so it is compiled once.
_TIME_OK = "user.{0} BETWEEN TIMESTAMP '2000-01-01' AND timestamp + INTERVAL 1 DAY"
# A filter on what decoding says would be pushed through it, and decode each frame once for each mention of a field. One
# on a column that Spark holds to be another at each call stays where it is; this one costs nothing.
_PINNED = "spark_partition_id()"
USERS = "reasons IS NULL AND pinned >= 0"
REFUSED = "reasons IS NOT NULL AND pinned >= 0"
MET_REFUSED = "met a refused frame, "
USERS_OR_FAIL = f"""IF(
    reasons IS NULL,
    pinned >= 0,
    CAST(raise_error(concat('{MET_REFUSED}', topic, '/', partition, '#', offset, ' ', reasons[0])) AS BOOLEAN)
)"""
"""As `USERS`, but whatever evaluates it fails at the first frame that is refused, with `MET_REFUSED` in its error, the
frame's place and the first of its reasons"""

_UUID_OK = (
    "length(user.id) = 36 AND "
    "user.id RLIKE '^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}'"
)


def decode(frames: DataFrame, writers: Mapping[int, str], reader: str) -> DataFrame:
    """Decodes each frame with its own writer schema, all in one pass.

    frames: at least value and timestamp; the rest is kept. writers: schema id -> Avro JSON, at least
    one, each able to be resolved to reader. Adds

    - schema_id int: the frame's schema if it is among the writers, else null
    - user struct: the record in the reader's shape; its fields are null when the frame didn't decode
    - reasons array<string>: why this is no user; null for a good one
    - pinned int: for the filters `USERS`, `USERS_OR_FAIL` and `REFUSED`, with which each frame is decoded once
    """
    schema_id, user, reasons = _columns(tuple(sorted(writers.items())), reader)
    # two steps, or the optimizer would decode once for each use of a field
    decoded = frames.withColumns({"schema_id": schema_id, "user": user})
    return decoded.withColumns({"reasons": reasons, "pinned": F.expr(_PINNED)})


def why_unreadable(spark: SparkSession, writer: str, reader: str) -> str | None:
    """Why not all records of the writer's schema can be read as the reader's, in Avro's words; None if they can.

    Avro resolves each value for itself, so some frames of such a schema may decode; the others are refused as not_avro.
    """
    avro: Any = spark._jvm.org.apache.avro  # type: ignore[union-attr]
    try:
        schemas = [avro.Schema.Parser().parse(text) for text in (reader, writer)]  # as Spark parses the writer's
        result = avro.SchemaCompatibility.checkReaderWriterCompatibility(*schemas).getResult()
        found = [(at.getLocation(), at.getMessage()) for at in result.getIncompatibilities()]
    except (Py4JError, PySparkException) as error:
        return told_by_spark(error)
    # reading does not compare the names of the records themselves
    return "; ".join(f"{place}: {message}" for place, message in found if place != "/name") or None


@lru_cache(maxsize=4)
def _columns(writers: tuple[tuple[int, str], ...], reader: str) -> tuple[Column, Column, Column]:
    """schema_id, user and reasons. Made once: every call into the JVM by a class's full name searches its whole path,
    which took a fifth of a small batch."""
    head = F.substring("value", 1, 5)
    body = F.expr("substring(value, 6)")
    options = {"avroSchema": _bare(reader), "mode": "PERMISSIVE"}
    ids: list[tuple[Column, Column]] = []
    users = [(F.length("value") > MAX_FRAME_BYTES, F.lit(None))]  # decoded, a huge one might not fit into memory
    for schema_id, writer in writers:
        is_this = head == F.lit(bytearray(b"\0" + schema_id.to_bytes(4, "big")))
        ids.append((is_this, F.lit(schema_id)))
        users.append((is_this, from_avro(body, _bare(writer), options)))
    return _case(ids), _case(users), F.expr(_reasons(_texts(reader)))


def _case(branches: list[tuple[Column, Column]]) -> Column:
    (condition, value), *rest = branches
    chosen = F.when(condition, value)
    for condition, value in rest:
        chosen = chosen.when(condition, value)
    return chosen


@lru_cache(maxsize=16)
def _bare(schema: str) -> str:
    """The schema without its docs: Spark writes it into the text of every batch's plan."""

    def bare(node: Any) -> Any:
        if isinstance(node, dict):
            return {key: bare(value) for key, value in node.items() if key != "doc"}
        return [bare(item) for item in node] if isinstance(node, list) else node

    return json.dumps(bare(json.loads(schema)), separators=(",", ":"))


def _texts(schema: str) -> list[str]:
    """The fields of a record schema that are texts, or may be."""
    return [field["name"] for field in json.loads(schema)["fields"] if _is_text(field["type"])]


def _is_text(type_: Any) -> bool:
    if isinstance(type_, list):
        return any(_is_text(branch) for branch in type_)
    return bool((type_["type"] if isinstance(type_, dict) else type_) == "string")


def _reasons(texts: list[str]) -> str:
    joined = _JOINED.format(", ".join(f"user.{name}" for name in texts))
    rules = {
        "not_uuid:id": _UUID_OK,
        "not_utf8": f"CAST({joined} AS BINARY) = encode({joined}, 'UTF-8')",
        **{f"bad_{name}": _TIME_OK.format(name) for name in _TIMES},
    }
    broken = ", ".join(f"IF({rule}, NULL, '{reason}')" for reason, rule in rules.items())
    return f"""CASE
        WHEN value IS NULL OR length(value) = 0 THEN array('no_value')
        WHEN length(value) > {MAX_FRAME_BYTES} THEN array('too_large')
        WHEN substring(value, 1, 1) <> X'00' THEN array('bad_magic')
        WHEN length(value) < 6 THEN array('too_short')
        WHEN schema_id IS NULL THEN array(concat('unknown_schema:', {FRAME_ID}))
        WHEN user.id IS NULL THEN array('not_avro')
        WHEN {" AND ".join(f"({rule})" for rule in rules.values())} THEN NULL
        ELSE split(concat_ws(' ', {broken}), ' ')
    END"""
