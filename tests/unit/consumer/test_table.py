import datetime as dt
import json
import uuid
from typing import Any

import pytest
from cassandra.query import UNSET_VALUE

from spark_consumer import users
from spark_consumer.contract import USER_SCHEMA
from spark_consumer.errors import TableMismatch, TerminalError
from spark_consumer.names import TableName
from spark_consumer.table import COLUMNS, check_table, create_keyspace, create_table, insert_data

ID = "0b1f4c5e-58b4-4b0a-9d5e-0123456789ab"


class FakeSession:
    def __init__(self) -> None:
        self.prepared: list[str] = []
        self.executed: list[tuple[Any, Any]] = []

    def prepare(self, statement: str) -> str:
        self.prepared.append(statement)
        return f"prepared {len(self.prepared)}"

    def execute(self, statement: Any, values: Any = None) -> None:
        self.executed.append((statement, values))


def written(session: FakeSession) -> dict[str, Any]:
    """What the last insert writes, by the names in its statement; event time under 'timestamp'."""
    statement, values = session.prepared[-1], session.executed[-1][1]
    names = statement[statement.index("(") + 1 : statement.index(")")].split(", ")
    return {name: value for name, value in zip([*names, "timestamp"], values, strict=True) if value is not UNSET_VALUE}


def test_keyspace_and_table_are_created_once() -> None:
    session = FakeSession()
    create_keyspace(session)
    create_table(session)
    (keyspace, _), (table, _) = session.executed
    assert keyspace == (
        "CREATE KEYSPACE IF NOT EXISTS spark_streams "
        "WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}"
    )
    assert table == (
        "CREATE TABLE IF NOT EXISTS spark_streams.created_users (id uuid PRIMARY KEY, first_name text, "
        "last_name text, gender text, address text, post_code text, email text, username text, "
        "registered_date text, phone text, picture text, dob text, full_name text, email_domain text, age int, "
        "age_group text, tenure_days int, country_code text, region text, source text, fetched_at timestamp, "
        "schema_id int, flow_version text)"
    )


def test_another_table_is_created_in_its_own_keyspace() -> None:
    session = FakeSession()
    create_keyspace(session, TableName("k", "t"))
    create_table(session, TableName("k", "t"))
    (keyspace, _), (table, _) = session.executed
    assert keyspace.startswith("CREATE KEYSPACE IF NOT EXISTS k ")
    assert table.startswith("CREATE TABLE IF NOT EXISTS k.t (")


def test_a_table_of_another_name_is_told_by_it() -> None:
    with pytest.raises(TerminalError, match=r"no table k\.t$"):
        check_table(TableName("k", "t"), {})


def test_the_table_holds_what_the_contract_holds() -> None:
    # country becomes code and region, event_time the write timestamp
    assert {field["name"] for field in json.loads(USER_SCHEMA)["fields"]} - COLUMNS.keys() == {"country", "event_time"}


def test_insert_writes_what_is_said_as_of_the_event_time() -> None:
    session = FakeSession()
    event = dt.datetime(2026, 3, 1, 12, 0, 0, 123457, tzinfo=dt.UTC)
    insert_data(session, id=ID, first_name="Ann", dob=None, age=0, event_time=event)
    assert written(session) == {
        "id": uuid.UUID(ID),
        "first_name": "Ann",
        "dob": None,
        "age": 0,
        "timestamp": 1772366400123457,
    }
    assert session.prepared[0].endswith("USING TIMESTAMP ?")
    assert session.prepared[0].count("?") == len(COLUMNS) + 1


def test_insert_is_prepared_once_for_a_session() -> None:
    session = FakeSession()
    insert_data(session, id=ID, event_time=1)
    insert_data(session, id=ID, event_time=2)
    assert len(session.prepared) == 1
    assert [values[-1] for _, values in session.executed] == [1, 2]


@pytest.mark.parametrize(
    ("user", "complaint"),
    [
        ({"id": ID}, "event_time"),
        ({"event_time": 1}, "id"),
        ({"id": None, "event_time": 1}, "id"),
        ({"id": ID, "event_time": None}, "event_time"),
        ({"id": "x", "event_time": 1}, "'x' is no UUID"),
        ({"id": ID, "event_time": 1, "nickname": "A", "first_name": "Ann"}, "no column nickname"),
    ],
)
def test_insert_refuses_what_it_cannot_write(user: dict[str, Any], complaint: str) -> None:
    session = FakeSession()
    with pytest.raises(TerminalError, match=complaint):
        insert_data(session, **user)
    assert not session.executed


def test_a_table_that_has_all_and_more_passes() -> None:
    check_table(users.TABLE, {**COLUMNS, "notes": "text"})


def test_no_table_is_told_apart_from_a_wrong_one() -> None:
    with pytest.raises(TerminalError, match=r"no table spark_streams\.created_users"):
        check_table(users.TABLE, {})


def test_a_mismatch_names_each_difference() -> None:
    live = {name: cql for name, cql in COLUMNS.items() if name != "region"} | {"age": "text"}
    with pytest.raises(TableMismatch) as caught:
        check_table(users.TABLE, live)
    assert str(caught.value) == "table spark_streams.created_users: no column region text; column age is text, not int"
    assert caught.value.missing == {"region": "text"}
    assert caught.value.different == {"age": ("int", "text")}


def test_missing_columns_alone_come_with_the_statement_that_adds_them() -> None:
    with pytest.raises(TableMismatch) as caught:
        check_table(users.TABLE, {name: cql for name, cql in COLUMNS.items() if name != "region"})
    assert caught.value.remedy == "ALTER TABLE spark_streams.created_users ADD region text;"
