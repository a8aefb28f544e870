"""What the engines themselves say has passed each hop: NiFi, the topics, Cassandra."""

import io
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import fastavro
import requests
from cassandra.cluster import Session
from confluent_kafka import Consumer, KafkaException, Message, TopicPartition
from nipyapi import canvas, nifi
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_fixed

from nifi_flows.canvas import connection_statuses, find_group, parameters, processors
from nifi_flows.errors import TransientError
from nifi_flows.pipeline import USERS
from scripts.stack.engines import kafka, registry
from scripts.stack.settings import Settings

_BATCH = 5_000  # messages
_STALLED = 30  # seconds without a message from a topic that should hold more


@dataclass(frozen=True)
class Cursor:
    """The pull run as NiFi's state has it. run: source/seed/page size. next_page: not known as handed over."""

    run: str
    next_page: int


@dataclass(frozen=True)
class Flow:
    """The flow as NiFi shows it. run and pages: what its parameters ask for. active: threads at work.

    cursor: None before the first page, and of a flow that pulls no run.
    queued: connection name -> FlowFiles, only where there are any. ill: components that are invalid or don't run.
    """

    cursor: Cursor | None
    run: str
    pages: int
    queued: dict[str, int]
    active: int
    ill: list[str]


@dataclass(frozen=True)
class Frames:
    """What the users topic holds. keys: page -> keys of its frames that decode; '' for frames that name no page.

    places: partition/offset of the frames that don't decode. gone: frames that retention has removed.
    """

    count: int
    keys: dict[str, set[UUID]]
    undecodable: set[str]
    gone: int


def flow(name: str) -> Flow:
    """Read the flow's state. Needs `connection.connected`; raises TransientError when it is not deployed."""
    group = find_group(name)
    if group is None:
        raise TransientError(f"NiFi has no flow {name!r} on its canvas", "run ./scripts/run")
    status = nifi.FlowApi().get_process_group_status(group, recursive=True).process_group_status
    snapshot = status.aggregate_snapshot
    queued = {
        connection.name: connection.flow_files_queued
        for connection in connection_statuses(snapshot)
        if connection.flow_files_queued
    }
    listed = processors(group)
    ill = [
        f"{p.component.name}: {p.component.validation_status.lower()}, {p.component.state.lower()}"
        for p in listed
        if p.component.validation_status != "VALID" or p.component.state != "RUNNING"
    ]
    cursor = next((_cursor(p) for p in listed if p.component.type == "PullRun"), None)
    asked = parameters(group)
    run = "/".join(asked.get(name) or "" for name in ("source.name", "run.seed", "run.page.size"))
    return Flow(cursor, run, int(asked.get("run.pages") or 0), queued, snapshot.active_thread_count, ill)


def _cursor(source: nifi.ProcessorEntity) -> Cursor | None:
    state = canvas.get_processor_state(source).component_state
    entries = {
        entry.key: entry.value
        for scope in (state.local_state, state.cluster_state)
        for entry in getattr(scope, "state", None) or []
    }
    return Cursor(entries["run"], int(entries["next_page"])) if "run" in entries else None


def receipts(settings: Settings) -> dict[str, dict[str, Any]]:
    """The last receipt of each page: receipt id -> page_receipt.avsc as a dict."""
    return _last_by_id(settings, USERS.pages)


def dead_letters(settings: Settings) -> dict[str, dict[str, Any]]:
    """Every dead letter once: its id -> dead_letter.avsc as a dict."""
    return _last_by_id(settings, USERS.dead_letters)


def _last_by_id(settings: Settings, topic: str) -> dict[str, dict[str, Any]]:
    decoder = Decoder(settings)
    records = (decoder.decode(message.value()) for message in read(settings, topic))
    return {record["id"]: record for record in records}


def frames(settings: Settings) -> Frames:
    """Read the whole users topic, decoding each frame independently of the consumer."""
    decoder = Decoder(settings)
    keys: dict[str, set[UUID]] = {}
    undecodable = set()
    count = 0
    for message in read(settings, USERS.topic):
        count += 1
        page = dict(message.headers() or []).get("page") or b""
        try:
            key = UUID(str(decoder.decode(message.value())["id"]))
        except Exception:  # noqa: BLE001 - untrusted bytes: whatever decoding raises, it is no user
            undecodable.add(f"{USERS.topic}/{message.partition()}#{message.offset()}")
        else:
            keys.setdefault(page if isinstance(page, str) else page.decode(errors="replace"), set()).add(key)
    return Frames(count, keys, undecodable, sum(low for low, _ in _offsets(settings, USERS.topic).values()))


@dataclass(frozen=True)
class Position:
    """One partition of the users topic. first, end: offsets that it holds. committed: the consumer's, None at first."""

    first: int
    end: int
    committed: int | None

    @property
    def lag(self) -> int:
        return self.end - max(self.first, self.committed or 0)


@retry(
    retry=retry_if_exception_type(TransientError),
    stop=stop_after_attempt(8),
    wait=wait_fixed(1),
    reraise=True,
)
def lag(settings: Settings) -> int:
    """Frames of the users topic that the consumer has not finished, by the offsets that it has committed."""
    return sum(position.lag for position in positions(settings).values())  # once Kafka has its group coordinator


def positions(settings: Settings) -> dict[int, Position]:
    """Partition -> how far the consumer is in it. Raises TransientError when Kafka does not answer."""
    consumer = _consumer(settings)
    try:
        ends = _offsets(settings, USERS.topic)
        asked = consumer.committed([TopicPartition(USERS.topic, partition) for partition in ends], timeout=10)
        committed = {p.partition: p.offset if p.offset >= 0 else None for p in asked}
        return {partition: Position(low, high, committed[partition]) for partition, (low, high) in ends.items()}
    except KafkaException as error:
        raise _no_kafka(settings, error) from error
    finally:
        consumer.close()


def totals(settings: Settings, session: Session) -> dict[str, int]:
    """hop -> count, from what is cheap to ask: receipts, offsets and the keys of the rows."""
    pages = receipts(settings).values()
    return {
        "users fetched": sum(page["fetched"] for page in pages),
        "users published": sum(page["published"] for page in pages),
        "users invalid": sum(page["invalid"] for page in pages),
        f"frames in {USERS.topic}": length(settings, USERS.topic),
        f"frames in {USERS.dead_letters}": length(settings, USERS.dead_letters),
        "rows in created_users": len(row_keys(session)),
    }


def any_row(session: Session) -> bool:
    return session.execute("SELECT id FROM spark_streams.created_users LIMIT 1").one() is not None


def at_rest(state: Flow) -> bool:
    """Whether a finite run has handed out its last page and nothing is under way in the flow."""
    if state.cursor is None or not state.pages or state.queued or state.active:
        return False
    return state.cursor.run == state.run and state.cursor.next_page > state.pages


def describe(state: Flow) -> str:
    """The flow in a few words, such as `3 of 10 pages handed out, 2 FlowFiles in 'retry'`."""
    handed = state.cursor.next_page - 1 if state.cursor and state.cursor.run == state.run else 0
    parts = [f"{handed} of {state.pages or 'endless'} pages handed out"]
    parts += [f"{count} FlowFiles in {name!r}" for name, count in state.queued.items()]
    return ", ".join(parts + state.ill)


def row_keys(session: Session) -> set[UUID]:
    """The key of every row of created_users."""
    rows = session.execute("SELECT id FROM spark_streams.created_users")
    return {row.id for row in rows}


class Decoder:
    """Decodes Confluent frames by the schema id that each names, asking the registry once per id."""

    def __init__(self, settings: Settings) -> None:
        self._base = registry.address(settings)
        self._schemas: dict[int, Any] = {}

    def decode(self, frame: bytes | None) -> dict[str, Any]:
        """Raises ValueError for what is no frame, and whatever fastavro raises for what does not decode."""
        if not frame or len(frame) < 5 or frame[0] != 0:
            raise ValueError("not a Confluent frame")
        schema = self._schema(int.from_bytes(frame[1:5], "big"))
        body = io.BytesIO(frame)
        body.seek(5)
        record = fastavro.schemaless_reader(body, schema, None)
        if not isinstance(record, dict):
            raise ValueError("the frame holds no record")
        return record

    def _schema(self, schema_id: int) -> Any:
        if schema_id not in self._schemas:
            response = requests.get(f"{self._base}/schemas/ids/{schema_id}", timeout=10)
            if response.status_code == 404:
                self._schemas[schema_id] = None
            else:
                response.raise_for_status()
                self._schemas[schema_id] = fastavro.parse_schema(json.loads(response.json()["schema"]))
        if self._schemas[schema_id] is None:
            raise ValueError(f"the registry knows no schema {schema_id}")
        return self._schemas[schema_id]


def read(settings: Settings, topic: str, last: int | None = None) -> Iterator[Message]:
    """Every message that a topic holds now, partition by partition as Kafka serves them; or the last of each."""
    consumer = _consumer(settings)
    try:
        ends = _offsets(settings, topic)
        left = {partition: high for partition, (low, high) in ends.items() if high > low}
        begins = {p: low if last is None else max(low, high - last) for p, (low, high) in ends.items()}
        consumer.assign([TopicPartition(topic, partition, begins[partition]) for partition in left])
        heard = time.monotonic()
        while left:
            messages = consumer.consume(_BATCH, timeout=0.2)
            if messages:
                heard = time.monotonic()
            elif time.monotonic() - heard > _STALLED:
                raise TransientError(f"{topic} sent nothing for {_STALLED} s", "./scripts/pipeline logs kafka")
            for message in messages:
                if message.error():
                    raise KafkaException(message.error())
                if message.offset() < ends[message.partition()][1]:  # type: ignore[operator, index]
                    yield message
            for position in consumer.position([TopicPartition(topic, partition) for partition in left]):
                if position.offset >= left[position.partition]:
                    del left[position.partition]
    except KafkaException as error:
        raise _no_kafka(settings, error) from error
    finally:
        consumer.close()


def length(settings: Settings, topic: str) -> int:
    """Messages that a topic holds, by its offsets."""
    return sum(high - low for low, high in _offsets(settings, topic).values())


def _offsets(settings: Settings, topic: str) -> dict[int, tuple[int, int]]:
    """partition -> (first, end) offset of a topic."""
    consumer = _consumer(settings)
    try:
        partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
        return {p: consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=10) for p in partitions}
    except KafkaException as error:
        raise _no_kafka(settings, error) from error
    finally:
        consumer.close()


def _consumer(settings: Settings) -> Consumer:
    return Consumer(
        {
            "bootstrap.servers": kafka.address(settings),
            "group.id": USERS.consumer_group,  # only to read what it has committed; nothing here joins or commits
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "queued.max.messages.kbytes": 65536,
            "fetch.message.max.bytes": 8 * 1024 * 1024,
            "receive.message.max.bytes": 256 * 1024 * 1024,
            "log_level": 0,
        }
    )


def _no_kafka(settings: Settings, error: KafkaException) -> TransientError:
    return TransientError(
        f"Kafka at {kafka.address(settings)} does not answer: {error.args[0]}", "./scripts/pipeline status"
    )
