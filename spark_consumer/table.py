"""The table: its columns, and what is done with them."""

import datetime as dt
import uuid
from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary

from cassandra.cluster import Session
from cassandra.query import UNSET_VALUE, PreparedStatement

from spark_consumer import users
from spark_consumer.errors import TableMismatch, TerminalError
from spark_consumer.names import TableName

COLUMNS: Mapping[str, str] = {
    "id": "uuid",
    "first_name": "text",
    "last_name": "text",
    "gender": "text",
    "address": "text",
    "post_code": "text",
    "email": "text",
    "username": "text",
    "registered_date": "text",
    "phone": "text",
    "picture": "text",
    "dob": "text",
    # enrichment
    "full_name": "text",
    "email_domain": "text",
    "age": "int",
    "age_group": "text",
    "tenure_days": "int",
    "country_code": "text",
    "region": "text",
    # lineage
    "source": "text",
    "fetched_at": "timestamp",
    "schema_id": "int",
    "flow_version": "text",
}
"""column -> CQL type, in the order of the table; id is the primary key"""

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_prepared: WeakKeyDictionary[Session, PreparedStatement] = WeakKeyDictionary()


def create_keyspace(session: Session, table: TableName = users.TABLE) -> None:
    """Creates the table's keyspace for one machine, if it isn't there."""
    session.execute(
        f"CREATE KEYSPACE IF NOT EXISTS {table.keyspace} "
        "WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}"
    )


def create_table(session: Session, table: TableName = users.TABLE) -> None:
    """Creates the table, if it isn't there."""
    columns = ", ".join(f"{name} {cql}{' PRIMARY KEY' if name == 'id' else ''}" for name, cql in COLUMNS.items())
    session.execute(f"CREATE TABLE IF NOT EXISTS {table} ({columns})")


def insert_data(session: Session, **user: Any) -> None:
    """Upserts one user of created_users as of its event time: a write with an earlier event time changes nothing.

    user: event_time (aware datetime, or int microseconds since 1970 UTC), id (UUID or its text) and any of COLUMNS.
    None says that there is none: the cell goes. What is absent stays as it is in the row. Raises TerminalError for a
    missing id or event_time, for a name that is no column, and for an id that is no UUID.
    """
    values = dict(user)
    event_time = values.pop("event_time", None)
    if event_time is None or values.get("id") is None:
        raise TerminalError("insert_data: a user needs id and event_time", "pass both")
    if unknown := sorted(values.keys() - COLUMNS.keys()):
        raise TerminalError(f"insert_data: no column {', '.join(unknown)}", f"columns are {', '.join(COLUMNS)}")
    try:
        values["id"] = uuid.UUID(str(values["id"]))
    except ValueError as error:
        raise TerminalError(f"insert_data: id {values['id']!r} is no UUID", "pass a UUID") from error
    session.execute(_insert(session), [*(values.get(name, UNSET_VALUE) for name in COLUMNS), _micros(event_time)])


def check_table(table: TableName, live: Mapping[str, str]) -> None:
    """Raises unless the live table takes what the consumer writes.

    live: column -> CQL type, as system_schema.columns has them; columns of others are none of our business.
    Raises TerminalError if it is empty (no such table), TableMismatch if a column is missing or of another type.
    """
    if not live:
        raise TerminalError(f"no table {table}", "create it with create_keyspace and create_table")
    missing = {name: wanted for name, wanted in COLUMNS.items() if name not in live}
    different = {
        name: (wanted, live[name]) for name, wanted in COLUMNS.items() if name in live and live[name] != wanted
    }
    if missing or different:
        raise TableMismatch(str(table), missing, different)


def _insert(session: Session) -> PreparedStatement:
    if session not in _prepared:
        marks = ", ".join("?" for _ in COLUMNS)
        _prepared[session] = session.prepare(
            f"INSERT INTO {users.TABLE} ({', '.join(COLUMNS)}) VALUES ({marks}) USING TIMESTAMP ?"
        )
    return _prepared[session]


def _micros(moment: dt.datetime | int) -> int:
    # whole-number arithmetic: a float of microseconds since 1970 loses the last digit
    return moment if isinstance(moment, int) else (moment - _EPOCH) // dt.timedelta(microseconds=1)
