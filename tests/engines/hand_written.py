"""A page of users written by hand, and the rows that a person reading it expects. Nothing here uses our own code."""

import datetime as dt
from typing import Any


def _user(key: str, **changes: Any) -> dict[str, Any]:
    user = {
        "gender": "female",
        "name": {"title": "Ms", "first": "Ida", "last": "Holm"},
        "location": {
            "street": {"number": 12, "name": "Nørregade"},
            "city": "Aarhus",
            "state": "Midtjylland",
            "country": "Denmark",
            "postcode": "08000",
            "coordinates": {"latitude": "1.0", "longitude": "2.0"},
            "timezone": {"offset": "+1:00", "description": "Brussels"},
        },
        "email": "ida.holm@Example.com",
        "login": {"uuid": key, "username": "bluefish", "password": "x"},
        "dob": {"date": "1992-02-29T08:00:00.000Z", "age": 1},
        "registered": {"date": "2015-06-01T00:00:00.000Z", "age": 1},
        "phone": "J40 W86-8071",
        "cell": "1",
        "id": {"name": "CPR", "value": None},
        "picture": {"large": "l", "medium": "https://pictures.example/m.jpg", "thumbnail": "t"},
        "nat": "DK",
    }
    return user | changes


_USERS = [
    _user("00000000-0000-4000-8000-000000000001"),
    _user(
        "00000000-0000-4000-8000-00000000000A",
        gender="male",
        name={"title": "Mr", "first": "  Séamus ", "last": "O'Neill"},
        location={
            "street": {"number": 7, "name": "Main Street"},
            "city": "Cork",
            "state": "Munster",
            "country": "Ireland",
            "postcode": 35467,
        },
        email="seamus@mail.example.ie",
        dob={"date": "1949-12-31T23:59:59.999Z", "age": 1},
        registered={"date": "2020-01-01T12:00:00.000Z", "age": 1},
    ),
    _user(
        "00000000-0000-4000-8000-000000000003",
        gender=None,
        name={"title": "Miss", "first": "آیناز", "last": "حسینی"},
        location=None,
        dob=None,
        registered=None,
        phone=None,
        picture=None,
        email="aynaz@example.ir",
    ),
    _user("00000000-0000-4000-8000-000000000004", email="no at sign"),
    _user(
        "00000000-0000-4000-8000-000000000005",
        name={"title": "", "first": "Sukarno", "last": None},
        gender=True,
        location={"street": {"number": 12.0, "name": "Jalan\nMerdeka"}, "city": "Jakarta", "postcode": 10110},
        phone=62211234567,
        dob={"date": "1992-02-30T08:00:00.000Z", "age": 1},
        registered={"date": "2015-W23-1", "age": 1},
        picture={"medium": "m\0.jpg"},
        email="sukarno@example.id",
    ),
    _user("00000000-0000-0000-0000-000000000000"),
]

PAGE = {"results": _USERS, "info": {"seed": "hand", "results": len(_USERS), "page": 1, "version": "1.4"}}


def expected_rows(today: dt.date) -> dict[str, dict[str, Any]]:
    """id -> column -> value, without the columns that differ by the moment: fetched_at, schema_id, flow_version.

    Absent columns are unset. The fourth user has no valid e-mail and the last no UUID of its own, so they have no row.
    """
    # Born on 29 February: a year older from 1 March on, in a common year.
    ida = today.year - 1992 - ((today.month, today.day) < (2, 29))
    seamus = today.year - 1949 - ((today.month, today.day) < (12, 31))
    group = {range(18, 25): "18-24", range(25, 35): "25-34", range(35, 45): "35-44", range(45, 55): "45-54"}
    common = {"username": "bluefish", "phone": "J40 W86-8071", "picture": "https://pictures.example/m.jpg"}
    return {
        "00000000-0000-4000-8000-000000000001": common
        | {
            "id": _uuid("00000000-0000-4000-8000-000000000001"),
            "first_name": "Ida",
            "last_name": "Holm",
            "gender": "female",
            "address": "12 Nørregade, Aarhus, Midtjylland, Denmark",
            "post_code": "08000",
            "email": "ida.holm@Example.com",
            "registered_date": "2015-06-01T00:00:00.000Z",
            "dob": "1992-02-29T08:00:00.000Z",
            "full_name": "Ida Holm",
            "email_domain": "example.com",
            "age": ida,
            "age_group": next((name for ages, name in group.items() if ida in ages), "55-64"),
            "tenure_days": (today - dt.date(2015, 6, 1)).days,
            "country_code": "DK",
            "region": "Europe",
            "source": "127.0.0.1",
        },
        "00000000-0000-4000-8000-00000000000a": common
        | {
            "id": _uuid("00000000-0000-4000-8000-00000000000a"),
            "first_name": "Séamus",
            "last_name": "O'Neill",
            "gender": "male",
            "address": "7 Main Street, Cork, Munster, Ireland",
            "post_code": "35467",
            "email": "seamus@mail.example.ie",
            "registered_date": "2020-01-01T12:00:00.000Z",
            "dob": "1949-12-31T23:59:59.999Z",
            "full_name": "Séamus O'Neill",
            "email_domain": "mail.example.ie",
            "age": seamus,
            "age_group": "65+",
            "tenure_days": (today - dt.date(2020, 1, 1)).days,  # of the calendar, whatever the time of day
            "country_code": "IE",
            "region": "Europe",
            "source": "127.0.0.1",
        },
        "00000000-0000-4000-8000-000000000003": {
            "id": _uuid("00000000-0000-4000-8000-000000000003"),
            "first_name": "آیناز",
            "last_name": "حسینی",
            "email": "aynaz@example.ir",
            "username": "bluefish",
            "full_name": "آیناز حسینی",
            "email_domain": "example.ir",
            "source": "127.0.0.1",
        },
        "00000000-0000-4000-8000-000000000005": {
            "id": _uuid("00000000-0000-4000-8000-000000000005"),
            "first_name": "Sukarno",
            "last_name": "",
            "address": "12 Jalan Merdeka, Jakarta",
            "post_code": "10110",
            "email": "sukarno@example.id",
            "username": "bluefish",
            "phone": "62211234567",
            "full_name": "Sukarno",
            "email_domain": "example.id",
            "source": "127.0.0.1",
        },
    }


def _uuid(text: str) -> Any:
    import uuid

    return uuid.UUID(text)
