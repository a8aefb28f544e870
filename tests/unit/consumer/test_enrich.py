"""Expectations here are written by hand, from calendars and the UN's M49 list, not computed."""

import datetime as dt
from itertools import product
from typing import Any

from pyspark.sql import Row, SparkSession

from spark_consumer.enrich import enrich
from spark_consumer.table import COLUMNS
from tests.unit.consumer.frames import ANN, NOON
from tests.unit.consumer.local_spark import spark  # noqa: F401

SHAPE = (
    "id string, first_name string, last_name string, gender string, address string, post_code string, email string, "
    "username string, dob string, registered_date string, phone string, picture string, country string, "
    "source string, fetched_at timestamp, event_time timestamp, flow_version string, schema_id int"
)
NAMES = [field.split()[0] for field in SHAPE.split(", ")]


def enriched(spark: SparkSession, *changes: dict[str, Any]) -> list[Row]:  # noqa: F811
    users = [{**ANN, "schema_id": 7, **change} for change in changes]
    rows = [tuple(user.get(name) for name in NAMES) for user in users]
    return enrich(spark.createDataFrame(rows, SHAPE).coalesce(1)).collect()


def at(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


def test_a_whole_row(spark: SparkSession) -> None:  # noqa: F811
    user = {
        "id": "7a0eed16-9430-4d68-901f-c0d4c1c3bf00",
        "first_name": "Jennie",
        "last_name": "Nichols",
        "gender": "female",
        "address": "8929 Valwood Pkwy, Billings, Michigan, United States",
        "post_code": "06104",
        "email": "jennie.nichols@example.com",
        "username": "yellowpeacock117",
        "dob": "1992-03-08T15:13:16.688Z",
        "registered_date": "2007-07-09T05:51:59.390Z",
        "phone": "(272) 790-0888",
        "picture": "https://randomuser.me/api/portraits/med/men/75.jpg",
        "country": "United States",
        "source": "randomuser",
        "fetched_at": at("2026-03-07T23:59:59.999999"),
        "event_time": at("2026-03-07T23:59:59.999999"),
        "flow_version": "3f2a",
    }
    [row] = enriched(spark, user)
    assert list(row.asDict()) == [*COLUMNS, "write_micros"]
    cells = row.asDict()
    cells.pop("fetched_at")
    assert cells == {
        **{name: user[name] for name in COLUMNS if name in user and name != "fetched_at"},
        "full_name": "Jennie Nichols",
        "email_domain": "example.com",
        "age": 33,  # turns 34 the day after
        "age_group": "25-34",
        "tenure_days": 6816,
        "country_code": "US",
        "region": "Northern America",
        "schema_id": 7,
        "write_micros": 1772927999999999,
    }


def test_somebody_with_one_name_is_called_by_it(spark: SparkSession) -> None:  # noqa: F811
    rows = enriched(spark, {"last_name": ""}, {"first_name": ""}, {"first_name": "Ann Li"})
    assert [(row.first_name, row.last_name, row.full_name) for row in rows] == [
        ("Ann", "", "Ann"),
        ("", "O'Neil", "O'Neil"),
        ("Ann Li", "O'Neil", "Ann Li O'Neil"),
    ]


AGES = [
    ("1990-06-15T23:59:59.999Z", "2026-06-14T23:59:59", 35),
    ("1990-06-15T23:59:59.999Z", "2026-06-15T00:00:00", 36),
    ("2000-02-29T00:00:00Z", "2026-02-28T23:00:00", 25),
    ("2000-02-29T00:00:00Z", "2026-03-01T00:00:00", 26),
    ("2000-02-29T00:00:00Z", "2024-02-28T12:00:00", 23),
    ("2000-02-29T00:00:00Z", "2024-02-29T00:00:00", 24),
    ("1944-12-31T10:00:00Z", "2026-01-01T00:00:00", 81),
    ("1969-12-31", "2026-12-30T00:00:00", 56),
    ("2026-03-01T18:00:00Z", "2026-03-01T12:00:00", 0),
    ("2026-03-02T00:00:00Z", "2026-03-01T12:00:00", None),
    ("1993-07-20 09:44:18", "2026-07-20T00:00:00", 33),
    ("2023-02-29T00:00:00Z", "2026-03-01T00:00:00", None),
    ("20/07/1993", "2026-03-01T00:00:00", None),
    ("1993-7-20", "2026-03-01T00:00:00", None),
    ("1993-07-20garbage", "2026-03-01T00:00:00", None),
    ("soon", "2026-03-01T00:00:00", None),
    ("", "2026-03-01T00:00:00", None),
    (None, "2026-03-01T00:00:00", None),
]


def test_age_is_in_whole_years_at_event_time(spark: SparkSession) -> None:  # noqa: F811
    rows = enriched(spark, *({"dob": dob, "event_time": at(event)} for dob, event, _ in AGES))
    assert [(dob, event, row.age) for (dob, event, _), row in zip(AGES, rows, strict=True)] == AGES


def test_age_groups(spark: SparkSession) -> None:  # noqa: F811
    births = [2026, 2009, 2008, 2002, 2001, 1992, 1991, 1982, 1981, 1972, 1971, 1962, 1961, 1920]
    rows = enriched(spark, *({"dob": f"{year}-01-01", "event_time": at("2026-03-01")} for year in births))
    assert [(row.age, row.age_group) for row in rows] == [
        (0, "0-17"),
        (17, "0-17"),
        (18, "18-24"),
        (24, "18-24"),
        (25, "25-34"),
        (34, "25-34"),
        (35, "35-44"),
        (44, "35-44"),
        (45, "45-54"),
        (54, "45-54"),
        (55, "55-64"),
        (64, "55-64"),
        (65, "65+"),
        (106, "65+"),
    ]
    [unknown] = enriched(spark, {"dob": None})
    assert unknown.age_group is None


def test_tenure_is_in_days_until_the_event(spark: SparkSession) -> None:  # noqa: F811
    tenures = [
        ("2025-03-01T00:00:00Z", 365),
        ("2024-02-28T23:00:00Z", 732),
        ("2026-03-01T23:00:00Z", 0),
        ("2026-03-02T00:00:00Z", None),
        ("yesterday", None),
        (None, None),
    ]
    event = at("2026-03-01T12:00:00")
    rows = enriched(spark, *({"registered_date": registered, "event_time": event} for registered, _ in tenures))
    assert [(row.registered_date, row.tenure_days) for row in rows] == tenures


def test_email_domain(spark: SparkSession) -> None:  # noqa: F811
    domains = [("Ann@Sub.Example.COM", "sub.example.com"), ("ann@ÉCOLE.fr", "école.fr"), ("ann", None), ("ann@", None)]
    rows = enriched(spark, *({"email": email} for email, _ in domains))
    assert [(row.email, row.email_domain) for row in rows] == domains


RANDOMUSER = {
    "Australia": ("AU", "Oceania"),
    "Brazil": ("BR", "Latin America and the Caribbean"),
    "Canada": ("CA", "Northern America"),
    "Switzerland": ("CH", "Europe"),
    "Germany": ("DE", "Europe"),
    "Denmark": ("DK", "Europe"),
    "Spain": ("ES", "Europe"),
    "Finland": ("FI", "Europe"),
    "France": ("FR", "Europe"),
    "United Kingdom": ("GB", "Europe"),
    "Ireland": ("IE", "Europe"),
    "India": ("IN", "Asia"),
    "Iran": ("IR", "Asia"),
    "Mexico": ("MX", "Latin America and the Caribbean"),
    "Netherlands": ("NL", "Europe"),
    "Norway": ("NO", "Europe"),
    "New Zealand": ("NZ", "Oceania"),
    "Serbia": ("RS", "Europe"),
    "Turkey": ("TR", "Asia"),
    "Ukraine": ("UA", "Europe"),
    "United States": ("US", "Northern America"),
}


def test_every_country_of_randomuser_has_its_code_and_region(spark: SparkSession) -> None:  # noqa: F811
    rows = enriched(spark, *({"country": name} for name in RANDOMUSER))
    assert [(row.country_code, row.region) for row in rows] == list(RANDOMUSER.values())


def test_other_countries(spark: SparkSession) -> None:  # noqa: F811
    names = ["  norway ", "Atlantis", "", None, "it's"]
    rows = enriched(spark, *({"country": name} for name in names))
    assert [row.country_code for row in rows] == ["NO", None, None, None, None]
    assert [row.region for row in rows] == ["Europe", None, None, None, None]


SIBLINGS = [{"age", "age_group"}, {"country_code", "region"}, {"email_domain"}, {"tenure_days"}, {"full_name"}]
"""columns derived from one field, or from the names"""


def test_columns_derived_from_one_field_are_there_together_or_not_at_all(spark: SparkSession) -> None:  # noqa: F811
    dates = ["1990-01-01", "9999-12-31", "0001-01-01", "1990-01-01T25:00", "1990-02-30"]
    odd = [None, "", " ", "x", "\x00", *dates, "Norway", " norway ", "a@b", "a@", "@"]
    events = [at("2000-01-01"), NOON]
    fields = ("dob", "country", "email", "registered_date", "first_name")
    users = [{"event_time": event, **dict.fromkeys(fields, value)} for event, value in product(events, odd)]
    rows = enriched(spark, *users)
    derived = set(COLUMNS) - set(NAMES)
    assert derived == set().union(*SIBLINGS)
    for user, row in zip(users, rows, strict=True):
        for columns in SIBLINGS:
            assert len({row[column] is None for column in columns}) == 1, (user, columns)
    seen = {column: {row[column] is None for row in rows} for column in derived - {"full_name"}}
    assert seen == {column: {True, False} for column in seen}


def test_what_one_field_cannot_tell_leaves_the_others_alone(spark: SparkSession) -> None:  # noqa: F811
    told = {"dob": "1990-01-01", "registered_date": "2020-01-01", "country": "Norway", "email": "a@b.example"}
    untold = {"dob": "soon", "registered_date": "soon", "country": "Atlantis", "email": "a"}
    [whole, *rows] = enriched(spark, told, *({**told, field: value} for field, value in untold.items()))
    derived = [{"age", "age_group"}, {"tenure_days"}, {"country_code", "region"}, {"email_domain"}]
    for field, gone, row in zip(untold, derived, rows, strict=True):
        expected = whole.asDict() | dict.fromkeys(gone)
        expected |= {field: untold[field]} if field in COLUMNS else {}
        assert row.asDict() == expected


def test_a_row_says_nothing_of_when_it_was_processed(spark: SparkSession) -> None:  # noqa: F811
    user = {"dob": "1990-01-01", "event_time": NOON}
    assert enriched(spark, user) == enriched(spark, user)
