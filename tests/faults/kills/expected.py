"""The row that a record has to become, worked out from the documents and not by the pipeline's own code."""

import datetime as dt
import unicodedata
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from scripts.source import people

Row = Mapping[str, Any]  # column -> value; without the columns that have none

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
CODES = {nation.country: nation.code for nation in people.BY_CODE.values()}
_AMERICA = "Latin America and the Caribbean"
_REGIONS = {
    **{"AU": "Oceania", "NZ": "Oceania", "BR": _AMERICA, "MX": _AMERICA, "CA": "Northern America"},
    **{"US": "Northern America", "IN": "Asia", "IR": "Asia", "TR": "Asia"},
}  # the rest of CODES is in Europe
_COPIED = (
    *("first_name", "last_name", "gender", "address", "post_code", "email", "username", "registered_date"),
    *("phone", "picture", "dob", "source", "flow_version"),
)
_GROUPS = ((17, "0-17"), (24, "18-24"), (34, "25-34"), (44, "35-44"), (54, "45-54"), (64, "55-64"))
COLUMNS = frozenset(_COPIED) | {
    *("id", "full_name", "email_domain", "age", "age_group", "tenure_days", "country_code", "region"),
    *("fetched_at", "schema_id"),
}


def row_of(record: Mapping[str, Any], schema_id: int) -> dict[str, Any]:
    """record: the fields of user.avsc, times in microseconds since 1970. Countries: those of the embedded source."""
    day = _moment(record["event_time"]).date()
    born, joined = _day(record.get("dob")), _day(record.get("registered_date"))
    age = day.year - born.year - ((day.month, day.day) < (born.month, born.day)) if born and born <= day else None
    code = CODES.get(record.get("country") or "")
    fetched = _moment(record["fetched_at"])
    row = {column: record.get(column) for column in _COPIED} | {
        "id": UUID(record["id"]),
        "full_name": f"{record['first_name']} {record['last_name']}",
        "email_domain": record["email"].rpartition("@")[2].lower(),
        "age": age,
        "age_group": None if age is None else next((name for last, name in _GROUPS if age <= last), "65+"),
        "tenure_days": (day - joined).days if joined and joined <= day else None,
        "country_code": code,
        "region": _REGIONS.get(code, "Europe") if code else None,
        "fetched_at": fetched.replace(tzinfo=None, microsecond=fetched.microsecond // 1000 * 1000),
        "schema_id": schema_id,
    }
    return {column: value for column, value in row.items() if value is not None}


def record_of(user: Mapping[str, Any], fetched_at: int, position: int, source: str, version: str) -> dict[str, Any]:
    """The record of a valid user of the embedded source. fetched_at: of its page. position: in the page, from 0."""
    place, street = user["location"], user["location"]["street"]
    texts = {
        "first_name": user["name"]["first"],
        "last_name": user["name"]["last"],
        "gender": user["gender"],
        "address": ", ".join((f"{street['number']} {street['name']}", place["city"], place["state"], place["country"])),
        "post_code": str(place["postcode"]),
        "email": user["email"],
        "username": user["login"]["username"],
        "dob": user["dob"]["date"],
        "registered_date": user["registered"]["date"],
        "phone": user["phone"],
        "picture": user["picture"]["medium"],
        "country": place["country"],
    }
    record: dict[str, Any] = {name: unicodedata.normalize("NFC", text.strip()) for name, text in texts.items()}
    lineage = {"source": source, "fetched_at": fetched_at, "event_time": fetched_at + position, "flow_version": version}
    return record | lineage | {"id": user["login"]["uuid"]}


def micros(moment: dt.datetime) -> int:
    """Microseconds since 1970 of an aware moment."""
    return (moment - EPOCH) // dt.timedelta(microseconds=1)


def _moment(at: int) -> dt.datetime:
    return EPOCH + dt.timedelta(microseconds=at)


def _day(text: str | None) -> dt.date | None:
    return dt.date.fromisoformat(text[:10]) if text else None
