"""What a row says beyond its record: every cell is a function of the record alone, so a replay writes the same."""

from functools import cache

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from spark_consumer.countries import lookup
from spark_consumer.table import COLUMNS

# Dates count as they are written, without their time of day or zone: a birthday is a day of a calendar, not an instant.
_DATE = r"IF({0} RLIKE '^[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}([T ]|$)', CAST(substring({0}, 1, 10) AS DATE), NULL)"
# 29 February comes of age on 1 March of a common year; months_between would let 28 February do.
_AS_NUMBER = "(year({0}) * 10000 + month({0}) * 100 + day({0}))"
_YEARS = f"({_AS_NUMBER.format('event_date')} - {_AS_NUMBER.format('birth_date')}) div 10000"

_AGE_GROUPS = ((17, "0-17"), (24, "18-24"), (34, "25-34"), (44, "35-44"), (54, "45-54"), (64, "55-64"))
_AGE_GROUP = (
    f"CASE {' '.join(f'WHEN age <= {last} THEN {name!r}' for last, name in _AGE_GROUPS)} WHEN age > 64 THEN '65+' END"
)

_EXTRA = {
    "full_name": "trim(concat_ws(' ', first_name, last_name))",  # one of them is empty where there is but one
    "email_domain": "IF(email LIKE '%@_%', lower(substring_index(email, '@', -1)), NULL)",
    "age_group": _AGE_GROUP,
    "tenure_days": "IF(joined_date <= event_date, datediff(event_date, joined_date), NULL)",
}


def enrich(users: DataFrame) -> DataFrame:
    """From the contract's fields and schema_id to the table's columns in their order, and write_micros bigint, the
    row's write timestamp in microseconds UTC. What cannot be derived is null: a date that doesn't parse, a birth or a
    registration after the event, a country that nobody knows. Expects the session's time zone to be UTC."""
    dated = users.selectExpr(
        "*",
        "CAST(event_time AS DATE) AS event_date",
        f"{_DATE.format('dob')} AS birth_date",
        f"{_DATE.format('registered_date')} AS joined_date",
    ).withColumn("place", _place())
    aged = dated.selectExpr("*", f"CAST(IF(birth_date <= event_date, {_YEARS}, NULL) AS INT) AS age")
    extra = {**_EXTRA, "country_code": "substring(place, 1, 2)", "region": "substring(place, 4)"}
    columns = [f"{extra[name]} AS {name}" if name in extra else name for name in COLUMNS]
    return aged.selectExpr(*columns, "unix_micros(event_time) AS write_micros")


@cache
def _place() -> Column:
    """Where the country is. Parsed once: its text is long, and a micro-batch short."""
    return F.expr(lookup("country"))
