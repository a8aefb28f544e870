"""Names of countries: those of the libraries, those that sources use beside them, and what names none.

Expectations of single countries are written by hand.
"""

import tomllib
import unicodedata
from pathlib import Path

import pycountry
import pytest
from babel import Locale
from hypothesis import given
from hypothesis import strategies as st
from pyspark.sql import SparkSession

from spark_consumer import countries
from spark_consumer.countries import lookup, places
from tests.unit.consumer.local_spark import spark  # noqa: F401

PLACES = places()
KNOWN = tomllib.loads(Path(countries.__file__).with_name("countries.toml").read_text())
REGION = {code: region for region, codes in KNOWN["regions"].items() for code in codes.split()}

# what the list of this project's first versions said
EARLIER = {
    "Africa": {"EG": "Egypt", "ET": "Ethiopia", "KE": "Kenya", "MA": "Morocco", "NG": "Nigeria", "ZA": "South Africa"},
    "Asia": {
        "AE": "United Arab Emirates",
        "BD": "Bangladesh",
        "CN": "China",
        "ID": "Indonesia",
        "IL": "Israel",
        "IN": "India",
        "IR": "Iran",
        "JP": "Japan",
        "KR": "South Korea",
        "MY": "Malaysia",
        "PH": "Philippines",
        "PK": "Pakistan",
        "SA": "Saudi Arabia",
        "SG": "Singapore",
        "TH": "Thailand",
        "TR": "Turkey",
        "VN": "Vietnam",
    },
    "Europe": {
        "AT": "Austria",
        "BE": "Belgium",
        "BG": "Bulgaria",
        "CH": "Switzerland",
        "CZ": "Czechia",
        "DE": "Germany",
        "DK": "Denmark",
        "EE": "Estonia",
        "ES": "Spain",
        "FI": "Finland",
        "FR": "France",
        "GB": "United Kingdom",
        "GR": "Greece",
        "HR": "Croatia",
        "HU": "Hungary",
        "IE": "Ireland",
        "IS": "Iceland",
        "IT": "Italy",
        "LT": "Lithuania",
        "LU": "Luxembourg",
        "LV": "Latvia",
        "NL": "Netherlands",
        "NO": "Norway",
        "PL": "Poland",
        "PT": "Portugal",
        "RO": "Romania",
        "RS": "Serbia",
        "SE": "Sweden",
        "SI": "Slovenia",
        "SK": "Slovakia",
        "UA": "Ukraine",
    },
    "Latin America and the Caribbean": {
        "AR": "Argentina",
        "BR": "Brazil",
        "CL": "Chile",
        "CO": "Colombia",
        "MX": "Mexico",
        "PE": "Peru",
    },
    "Northern America": {"CA": "Canada", "US": "United States"},
    "Oceania": {"AU": "Australia", "NZ": "New Zealand"},
}

SPELT = {
    "AX": "Åland Islands|ÅLAND ISLANDS|Aland Islands|ALA|248",
    "BA": "Bosnia and Herzegovina|Bosnia & Herzegovina|Bosnia-Herzegovina",
    "BO": "Bolivia|Bolivia (Plurinational State of)|Plurinational State of Bolivia",
    "BS": "Bahamas|The Bahamas|Bahamas (the)",
    "CD": "DR Congo|DRC|Congo, The Democratic Republic of the|the Democratic Republic of the Congo|Congo (DRC)",
    "CG": "Congo|The Congo|Republic of the Congo",
    "CI": "Côte d'Ivoire|Côte d’Ivoire|COTE D'IVOIRE|Ivory Coast",
    "CV": "Cabo Verde|Cape Verde",
    "CW": "Curaçao|Curacao|CURAÇAO",
    "CZ": "Czechia|Czech Republic|The Czech Republic",
    "GB": "United Kingdom|the United Kingdom|UK|U.K.|England|GBR|Great Britain",
    "GW": "Guinea-Bissau|Guinea Bissau",
    "HK": "Hong Kong|Hong Kong SAR China",
    "IR": "Iran|Iran, Islamic Republic of|Islamic Republic of Iran|iran (islamic republic of)",
    "KN": "Saint Kitts and Nevis|St. Kitts & Nevis|St Kitts and Nevis",
    "KP": "North Korea|Korea, Democratic People's Republic of|Democratic People's Republic of Korea",
    "KR": "South Korea|Korea, Republic of|Republic of Korea",
    "LA": "Laos|Lao People's Democratic Republic",
    "MK": "North Macedonia|Macedonia",
    "MM": "Myanmar|Burma|Myanmar (Burma)",
    "NL": "Netherlands|The Netherlands|Holland",
    "PS": "Palestine|Palestine, State of|State of Palestine",
    "RU": "Russia|Russian Federation|RUS",
    "SZ": "Eswatini|Swaziland",
    "TR": "Turkey|Türkiye|Turkiye",
    "TW": "Taiwan|Taiwan, Province of China",
    "US": "USA|U.S.A.|US|U.S.|America|United States of America|United States of America (the)|840",
    "VA": "Vatican City|Holy See|Holy See (Vatican City State)",
    "VI": "U.S. Virgin Islands|US Virgin Islands|Virgin Islands, U.S.",
    "VN": "Vietnam|Viet Nam",
    "XK": "Kosovo|XK",
}


def found(spark: SparkSession, names: list[str | None]) -> list[str | None]:  # noqa: F811
    rows = spark.createDataFrame([(name,) for name in names], "country string").coalesce(1)
    return [row.place for row in rows.selectExpr(f"{lookup('country')} AS place").collect()]


def test_every_name_and_code_of_iso_is_known(spark: SparkSession) -> None:  # noqa: F811
    fields = ("alpha_2", "alpha_3", "numeric", "name", "common_name", "official_name")
    named = [(c.alpha_2, name) for c in pycountry.countries for field in fields if (name := getattr(c, field, None))]
    assert len(named) > 249 * 4
    spelt = [(code, spell(name)) for code, name in named for spell in (str, str.upper, str.lower, " {} ".format)]
    got = found(spark, [name for _, name in spelt])
    assert [(name, place) for (_, name), place in zip(spelt, got, strict=True)] == [
        (name, f"{code} {REGION[code]}") for code, name in spelt
    ]


def test_every_country_has_a_region_and_only_one() -> None:
    listed = [code for codes in KNOWN["regions"].values() for code in codes.split()]
    assert sorted(listed) == sorted([*(country.alpha_2 for country in pycountry.countries), "XK"])
    assert {region: len(codes.split()) for region, codes in KNOWN["regions"].items()} == {
        "Africa": 60,
        "Antarctica": 1,
        "Asia": 51,
        "Europe": 52,
        "Latin America and the Caribbean": 52,
        "Northern America": 5,
        "Oceania": 29,
    }


def test_the_earlier_names_say_what_they_said(spark: SparkSession) -> None:  # noqa: F811
    wanted = {name: f"{code} {region}" for region, names in EARLIER.items() for code, name in names.items()}
    wanted["Czech Republic"] = "CZ Europe"
    assert len(wanted) == 65
    assert dict(zip(wanted, found(spark, [*wanted]), strict=True)) == wanted


def test_names_as_sources_write_them(spark: SparkSession) -> None:  # noqa: F811
    spelt = [(name, f"{code} {REGION[code]}") for code, names in SPELT.items() for name in names.split("|")]
    spelt += [(unicodedata.normalize("NFD", name), place) for name, place in spelt]
    assert list(zip([name for name, _ in spelt], found(spark, [name for name, _ in spelt]), strict=True)) == spelt


def test_what_names_no_country_is_null(spark: SparkSession) -> None:  # noqa: F811
    fillers = ["", " ", "-", "n/a", "N.A.", "null", "none", "unknown", "the", "0", "1", None]
    odd = ["Atlantis", "it's", "a\tb", "\n", "Norway\t", "Norway Europe", "NO Europe", "Europe", "EU", "ZZ"]
    shared = ["Korea", "Virgin Islands"]
    names = fillers + odd + shared
    assert found(spark, names) == [None] * len(names)


def test_a_name_that_two_countries_share_is_none_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        countries, "_others", lambda names: iter([("NO", "Norway and so on"), ("SE", "Norway & so on")])
    )
    shared = places()
    assert "norway & so on" not in shared
    assert shared["norway"] == "NO Europe"


def test_the_list_has_only_what_the_libraries_lack(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(countries, "_others", lambda names: iter([]))
    without = places()
    needless = [name for names in KNOWN["names"].values() for name in names if name.lower() in without]
    assert needless == []


def test_no_name_of_the_libraries_is_lost_for_being_shared() -> None:
    territories = Locale("en").territories
    for code in REGION:
        assert PLACES[territories[code].lower().replace("’", "'")] == f"{code} {REGION[code]}"


@given(st.sampled_from(sorted(PLACES)))
def test_a_name_is_as_lookup_makes_it(name: str) -> None:
    assert name == name.strip().lower()
    assert not name.startswith("the ")
    assert "\t" not in name and "\n" not in name
