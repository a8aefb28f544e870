"""What a source may call a country: its names and codes by pycountry (ISO 3166) and CLDR, and a few of its others."""

import re
import tomllib
import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

_FILE = Path(__file__).with_name("countries.toml")

_ARTICLE = "^the |, the$| [(]the[)]$"  # the World Bank writes the second, ISO the third: Gambia (the)
_SAME = (("&", "and"), (" and ", " & "), ("st. ", "saint "), ("saint ", "st. "), (".", ""), ("-", " "), ("'", "’"))


def lookup(column: str) -> str:
    """SQL from a column that names a country to its code and region, as 'NO Europe'; null for what names none.

    The map is one literal of some 40 kB, which Spark takes apart once a plan.
    """
    lines = "\n".join(f"{name}\t{place}" for name, place in places().items())
    literal = lines.replace("\\", r"\\").replace("'", r"\'")
    return f"str_to_map('{literal}', '\n', '\t')[regexp_replace(lower(trim({column})), '{_ARTICLE}', '')]"


def places() -> dict[str, str]:
    """Name or code in lower case, without its article -> alpha-2 code, blank and region. Of no name that two share."""
    known = tomllib.loads(_FILE.read_text(encoding="utf-8"))
    regions = {code: region for region, codes in known["regions"].items() for code in codes.split()}
    codes: defaultdict[str, set[str]] = defaultdict(set)
    # what sources write most comes first, since Spark looks through the map from its beginning
    for names in (_cldr(regions), _others(known["names"]), _iso()):
        for code, name in names:
            for spelling in _spellings(name):
                codes[spelling].add(code)
    return {name: f"{code} {regions[code]}" for name, (code, *more) in codes.items() if not more}


def _cldr(regions: dict[str, str]) -> Iterator[tuple[str, str]]:
    from babel import Locale

    territories = Locale("en").territories
    return ((code, territories[code]) for code in regions)


def _others(names: dict[str, list[str]]) -> Iterator[tuple[str, str]]:
    return ((code, name) for code, more in names.items() for name in more)


def _iso() -> Iterator[tuple[str, str]]:
    import pycountry

    for country in pycountry.countries:
        for field in ("alpha_2", "alpha_3", "name", "common_name", "official_name", "numeric"):
            name = getattr(country, field, None)
            if name:
                yield country.alpha_2, name


def _spellings(name: str) -> set[str]:
    """A name as `lookup` compares it: with accents (composed and not) and without, '&' for 'and', and the like."""
    found = {unicodedata.normalize("NFC", name).lower().replace("’", "'")}
    if name.count(", ") == 1:  # Bolivia, Plurinational State of
        first, last = name.lower().split(", ")
        found |= {f"{first} ({last})", f"{first} (the {last})", f"{first}, the {last}", f"{last} {first}"}
    for one, other in _SAME:
        found |= {spelling.replace(one, other) for spelling in found}
    apart = {unicodedata.normalize("NFD", spelling) for spelling in found}
    plain = {"".join(letter for letter in spelling if not unicodedata.combining(letter)) for spelling in apart}
    return {re.sub(_ARTICLE, "", spelling) for spelling in found | apart | plain}
