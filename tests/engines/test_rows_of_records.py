"""A row is its key's newest record and nothing else, whatever else of that key arrived, how often, in which order."""

import datetime as dt
import json
import random
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from cassandra.cluster import Session
from kafka import KafkaProducer

from nifi_flows.pipeline import USERS
from scripts.observe import consumer
from scripts.stack import credentials, schema_registry
from scripts.stack.engines import cassandra, kafka
from spark_consumer.contract import USER_SCHEMA
from spark_consumer.names import TableName, subject
from spark_consumer.table import insert_data
from tests.engines.conftest import LocalStack, until
from tests.unit.consumer.frames import frame

TABLE = TableName(USERS.keyspace, USERS.table)
KEYS = 300
WAVES = 3  # each is consumed before the next one is sent, so that a record meets earlier ones in the table as well
SECOND = dt.timedelta(seconds=1)
LATER_FIELDS = ("phone", "picture", "country")  # that the older schema does not have
# Of each field: what is absent, what enrichment can tell something of, and what it can't.
VALUES: dict[str, Sequence[str | None]] = {
    "first_name": ["Ann", "Bo"],
    "last_name": ["O'Neil", "Ås"],
    "email": ["ann@Example.com", "ann@", "bo@mail.example.no"],
    "gender": [None, "female"],
    "address": [None, "1 High Street, Oslo, Oslo, Norway", "2 Main Street, Nowhere"],
    "post_code": [None, "0150"],
    "username": [None, "ann"],
    "dob": [None, "1990-06-15T08:00:00.000Z", "2010-01-01", "unknown"],
    "registered_date": [None, "2015-06-01", "unknown"],
    "phone": [None, "12 34"],
    "picture": [None, "https://pictures.example/m.jpg"],
    "country": [None, "Norway", "Spain", "Atlantis"],
}


@dataclass(frozen=True)
class Schemas:
    """The ids of the contract as it is, and of an older one without LATER_FIELDS."""

    current: int
    older: int
    older_text: str


@dataclass(frozen=True)
class History:
    """What happens to one key. records: of rising event time. waves: which of them arrive, in order, by their index.

    olds: of each record, whether it was written under the older schema.
    """

    records: Sequence[dict[str, Any]]
    olds: Sequence[bool]
    waves: Sequence[Sequence[int]]


@pytest.fixture(scope="module")
def schemas(stack: LocalStack) -> Schemas:
    contract = json.loads(USER_SCHEMA)
    contract["fields"] = [field for field in contract["fields"] if field["name"] not in LATER_FIELDS]
    older = json.dumps(contract)
    of = subject(USERS.topic)
    current = schema_registry.register(stack.settings, of, USER_SCHEMA)
    return Schemas(current, schema_registry.register(stack.settings, of, older), older)


@contextmanager
def cql(stack: LocalStack) -> Iterator[Session]:
    with cassandra.session(stack.settings, credentials.ensure(stack.settings.secrets)) as session:
        yield session


def history(chance: random.Random, now: dt.datetime) -> History:
    """Any: late, twice, in another order, with fields that go and come back, under either schema."""
    count = chance.randint(2, 5)
    times = sorted(chance.sample(range(60_000_000), count))
    records = []
    for micros in times:
        at = now - dt.timedelta(microseconds=micros)
        told = {name: chance.choice(values) for name, values in VALUES.items()}
        lineage = {"source": "rows", "fetched_at": at, "event_time": at, "flow_version": f"v{micros}"}
        records.append(told | lineage)
    records.reverse()
    arriving = [*range(count), *chance.choices(range(count), k=chance.randint(0, 4))]
    chance.shuffle(arriving)
    cuts = sorted(chance.choices(range(len(arriving) + 1), k=WAVES - 1))
    waves = [arriving[i:j] for i, j in zip([0, *cuts], [*cuts, len(arriving)], strict=True)]
    return History(records, [chance.random() < 0.3 for _ in records], waves)


def publish(stack: LocalStack, frames: Sequence[tuple[uuid.UUID, bytes]], partition: int | None = None) -> list[int]:
    """Publish frames under their keys, in this order; their offsets.

    partition: of all of them; of each the one that its key says, without.
    """
    producer = KafkaProducer(bootstrap_servers=kafka.address(stack.settings))
    sent = [
        producer.send(USERS.topic, key=str(key).encode(), value=value, partition=partition) for key, value in frames
    ]
    producer.close(timeout=30)
    assert all(one.succeeded() for one in sent)
    return [one.value.offset for one in sent]


def finished(stack: LocalStack) -> None:
    """Wait until the consumer has finished all that is published."""
    until(lambda: consumer.unfinished(stack.settings, USERS) == 0, 60, "a consumer that has finished the frames")


def send(stack: LocalStack, frames: Sequence[tuple[uuid.UUID, bytes]], partition: int | None = None) -> list[int]:
    """Publish frames as `publish` does and wait until the consumer has finished them; their offsets."""
    offsets = publish(stack, frames, partition)
    finished(stack)
    return offsets


def rows(session: Session, keys: Sequence[uuid.UUID]) -> list[dict[str, Any]]:
    """The rows of these keys in their order, without the key; with the time of a cell that each has."""
    select = session.prepare(f"SELECT * FROM {TABLE} WHERE id = ?")
    time = session.prepare(f"SELECT writetime(flow_version) AS written FROM {TABLE} WHERE id = ?")
    found = []
    for key in keys:
        row = session.execute(select, [key]).one()
        assert row is not None, f"{key} has no row"
        cells = row._asdict() | session.execute(time, [key]).one()._asdict()
        assert cells.pop("id") == key
        found.append(cells)
    return found


def test_a_row_is_the_newest_record_of_its_key(stack: LocalStack, schemas: Schemas) -> None:
    chance = random.Random(random.getrandbits(64))
    histories = [history(chance, dt.datetime.now(dt.UTC)) for _ in range(KEYS)]
    mixed, clean = [uuid.uuid4() for _ in histories], [uuid.uuid4() for _ in histories]

    def written(key: uuid.UUID, one: History, index: int) -> tuple[uuid.UUID, bytes]:
        record = one.records[index] | {"id": str(key)}
        if one.olds[index]:
            return key, frame(record, schemas.older, schemas.older_text)
        return key, frame(record, schemas.current)

    for wave in range(WAVES):
        frames = [written(key, one, i) for key, one in zip(mixed, histories, strict=True) for i in one.waves[wave]]
        if wave == 0:
            frames += [written(key, one, len(one.records) - 1) for key, one in zip(clean, histories, strict=True)]
        send(stack, frames)
    with cql(stack) as session:
        pairs = zip(rows(session, mixed), rows(session, clean), histories, strict=True)
        wrong = [(found, wanted, one) for found, wanted, one in pairs if found != wanted]
    told = "\n".join(f"{_different(found, wanted)} after {one.waves}" for found, wanted, one in wrong[:5])
    assert not wrong, f"{len(wrong)} of {KEYS} rows are not those of their newest records:\n{told}"


def _different(found: dict[str, Any], wanted: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    return {column: (found[column], wanted[column]) for column in wanted if found[column] != wanted[column]}


def test_what_a_newer_record_lacks_is_gone_and_does_not_come_back(stack: LocalStack, schemas: Schemas) -> None:
    key, now = uuid.uuid4(), dt.datetime.now(dt.UTC)
    full: dict[str, Any] = {name: next(filter(None, values)) for name, values in VALUES.items()}
    full |= {"id": str(key), "source": "rows", "flow_version": "v", "fetched_at": now, "event_time": now - 2 * SECOND}
    bare = full | {name: None for name, values in VALUES.items() if None in values} | {"event_time": now}
    between = full | {"event_time": now - SECOND, "country": "Spain"}
    for record in (full, bare, between):
        send(stack, [(key, frame(record, schemas.current))])
    with cql(stack) as session:
        [row] = rows(session, [key])
    wanted = {name: value for name, value in bare.items() if value is not None and name in row}
    wanted |= {"full_name": "Ann O'Neil", "email_domain": "example.com", "schema_id": schemas.current}
    wanted |= {"fetched_at": now.replace(tzinfo=None, microsecond=now.microsecond // 1000 * 1000)}
    wanted |= {"written": int(now.timestamp()) * 1_000_000 + now.microsecond}
    assert {column: value for column, value in row.items() if value is not None} == wanted


def test_a_column_that_the_consumer_does_not_write_stays(stack: LocalStack, schemas: Schemas) -> None:
    key, now = uuid.uuid4(), dt.datetime.now(dt.UTC)
    record: dict[str, Any] = {name: values[0] for name, values in VALUES.items()}
    record |= {"id": str(key), "source": "rows", "flow_version": "v", "fetched_at": now}
    record |= {"event_time": now + 60 * SECOND}  # later than the note
    with cql(stack) as session:
        session.execute(f"ALTER TABLE {TABLE} ADD notes text")
        try:
            session.execute(f"UPDATE {TABLE} SET notes = 'theirs' WHERE id = %s", [key])
            send(stack, [(key, frame(record, schemas.current))])
            [row] = rows(session, [key])
        finally:
            session.execute(f"ALTER TABLE {TABLE} DROP notes")
    assert (row["notes"], row["first_name"]) == ("theirs", "Ann")


def test_insert_data_tells_none_from_absent(stack: LocalStack) -> None:
    key, now = uuid.uuid4(), dt.datetime.now(dt.UTC) - 9 * SECOND
    with cql(stack) as session:
        try:
            insert_data(session, id=key, event_time=now, first_name="Ann", flow_version="v", phone="1", gender="female")
            insert_data(session, id=key, event_time=now + SECOND, first_name="Bo", phone=None)
            insert_data(session, id=key, event_time=now - SECOND, first_name="Old", phone="0", dob="1990-01-01")
            [row] = rows(session, [key])
        finally:
            session.execute(f"DELETE FROM {TABLE} WHERE id = %s", [key])  # or the audit misses its frame
    told = {"first_name": "Bo", "gender": "female", "flow_version": "v", "dob": "1990-01-01"}
    assert row.items() >= told.items()
    assert row["phone"] is None
