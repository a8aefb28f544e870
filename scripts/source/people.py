"""Invented users in randomuser.me 1.4's shape, as JSON bytes: each a function of seed, index and nationalities alone.

A user is a row of columns. A column is a table of 256 fragments of JSON, and one byte of the user's digest picks the
fragment; columns that belong together (a first name and its e-mail address) share a byte. All text is made once, at
first use (0.3 s), so that a user costs one digest and one join. Hashes and salts have the shape of real ones only.
"""

import json
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date, timedelta
from enum import IntEnum, auto
from functools import cache, lru_cache
from hashlib import blake2b
from operator import getitem, itemgetter
from random import Random
from typing import NamedTuple, TypeVar

from .nations import NATIONS, Nation

BY_CODE = {nation.code: nation for nation in NATIONS}
NATIONALITIES = tuple(BY_CODE)

# Ages are counted on the last day of this year, whenever the source runs: the same seed gives the same bytes for ever.
AGE_AT_END_OF = 2024

PORTRAITS = "https://randomuser.me/api/portraits/"


class Byte(IntEnum):
    """What each byte of a digest decides; bytes 0 to 15 are the UUID's, and the hashes are made of them too."""

    FIRST = 16
    LAST = auto()
    STREET_HEAD = auto()
    STREET_TAIL = auto()
    STREET = auto()
    CITY = auto()
    STATE = auto()
    POSTCODE_HEAD = auto()
    POSTCODE_TAIL = auto()
    LATITUDE = auto()
    LATITUDE_TAIL = auto()
    LONGITUDE = auto()
    LONGITUDE_TAIL = auto()
    TIMEZONE = auto()
    ADJECTIVE = auto()
    ANIMAL = auto()
    USERNAME_TAIL = auto()
    PASSWORD = auto()
    SALT_HEAD = auto()
    SALT_TAIL = auto()
    BIRTH_YEAR = auto()
    BIRTH_DAY = auto()
    BIRTH_TIME = auto()
    REGISTERED_YEAR = auto()
    REGISTERED_DAY = auto()
    REGISTERED_TIME = auto()
    PHONE_HEAD = auto()
    PHONE_TAIL = auto()
    CELL_HEAD = auto()
    CELL_TAIL = auto()
    ID_HEAD = auto()
    ID_TAIL = auto()
    PICTURE = auto()
    NATION = auto()


ADJECTIVES = "angry beautiful big black blue brown crazy golden green happy heavy lazy orange purple sad silver tiny"
ANIMALS = "bear bird butterfly cat dog duck elephant fish frog goose gorilla kangaroo koala leopard lion mouse zebra"
PASSWORDS = "addison bigdaddy chevelle dolphin einstein foxtrot gandalf hotrod jokers letmein naruto q1w2e3 volcano"
TIMEZONES = (
    ("-11:00", "Midway Island, Samoa"),
    ("-8:00", "Pacific Time (US & Canada)"),
    ("-5:00", "Eastern Time (US & Canada), Bogota, Lima"),
    ("-3:30", "Newfoundland"),
    ("-1:00", "Azores, Cape Verde Islands"),
    ("0:00", "Western Europe Time, London, Lisbon, Casablanca"),
    ("+1:00", "Brussels, Copenhagen, Madrid, Paris"),
    ("+2:00", "Kaliningrad, South Africa"),
    ("+3:30", "Tehran"),
    ("+5:45", "Kathmandu"),
    ("+9:30", "Adelaide, Darwin"),
    ("+11:00", "Magadan, Solomon Islands, New Caledonia"),
)

WILDCARDS = {"#": "0123456789", "!": "123456789", "@": "ABCDEFGHJKLMNPRSTUVWXYZ"}
UNDECOMPOSED = str.maketrans({"ß": "ss", "æ": "ae", "ø": "o", "đ": "d", "ı": "i"})

T = TypeVar("T")

# A template is JSON text with picks in it: the byte that decides, and what it picks from.
Pick = tuple[int, Sequence[str]]
Template = Sequence[str | Pick]


class Columns(NamedTuple):
    """A nation's people: `deciding` takes out of a digest the byte that picks from each of `tables`."""

    deciding: Callable[[bytes], tuple[int, ...]]
    tables: tuple[tuple[bytes, ...], ...]


def users(seed: str, indices: Iterable[int], nationalities: Iterable[str] = ()) -> Iterator[bytes]:
    """Yield the user of each index (from 0) as a JSON object in UTF-8, about 1,080 bytes on average.

    nationalities: some of NATIONALITIES in any order; none, like all, means everybody. Raises KeyError on other codes.
    UUIDs differ whenever seed, index or nationalities do.
    """
    codes = frozenset(nationalities) or frozenset(NATIONALITIES)
    nations = _nations(codes)
    nation = int(Byte.NATION)
    run = blake2b(f"{','.join(sorted(codes))}\0{seed}".encode(errors="surrogatepass")).digest()
    for index in indices:
        digest = blake2b(b"%b%d" % (run, index)).digest()
        deciding, tables = nations[digest[nation]]
        yield b"".join(map(getitem, tables, deciding(digest)))


@lru_cache
def _nations(codes: frozenset[str]) -> tuple[Columns, ...]:
    return _spread([_columns_of(code) for code in sorted(codes)])


@cache
def _columns_of(code: str) -> Columns:
    return _columns(_template(BY_CODE[code]))


def _spread(values: Sequence[T]) -> tuple[T, ...]:
    """Repeat the values up to the 256 that a byte can pick from."""
    return tuple(values[byte % len(values)] for byte in range(256))


def _columns(template: Template) -> Columns:
    """Compile a template: text goes to the pick before it, neighbours that share a byte become one column."""
    places: list[int] = []
    columns: list[list[str]] = []
    lead = ""
    for piece in template:
        if isinstance(piece, str):
            if columns:
                columns[-1] = [fragment + piece for fragment in columns[-1]]
            else:
                lead += piece
        elif places and places[-1] == piece[0]:
            columns[-1] = [a + b for a, b in zip(columns[-1], _spread(piece[1]), strict=True)]
        else:
            places.append(int(piece[0]))
            columns.append(list(_spread(piece[1])))
    columns[0] = [lead + fragment for fragment in columns[0]]
    return Columns(itemgetter(*places), tuple(_shared(tuple(map(_encoded, column))) for column in columns))


@cache
def _encoded(text: str) -> bytes:
    return text.encode()


@cache
def _shared(table: tuple[bytes, ...]) -> tuple[bytes, ...]:
    """Keep one copy of what nations have in common: all tables together must stay within the processor's cache."""
    return table


def _template(nation: Nation) -> Template:
    women, men = _entries(nation.women), _entries(nation.men)
    # Women and men alternate, so that one byte decides gender, title, first name, e-mail address and portrait.
    first = [(women, men)[i % 2][i // 2 % len((women, men)[i % 2])] for i in range(256)]
    last = _entries(nation.last)
    return [
        '{"gender":',
        (Byte.FIRST, ['"female"', '"male"']),
        ',"name":{"title":',
        (Byte.FIRST, _titles(nation)),
        ',"first":',
        (Byte.FIRST, [_json(native) for native, _ in first]),
        ',"last":',
        (Byte.LAST, [_json(native) for native, _ in last]),
        '},"location":{"street":{"number":',
        (Byte.STREET_HEAD, [f"{i}" for i in range(1, 100)]),
        (Byte.STREET_TAIL, ["", *(f"{i}" for i in range(10)), *(f"{i:02d}" for i in range(100))]),
        ',"name":',
        (Byte.STREET, _texts(nation.streets)),
        '},"city":',
        (Byte.CITY, _texts(nation.cities)),
        ',"state":',
        (Byte.STATE, _texts(nation.states)),
        f',"country":{_json(nation.country)},"postcode":',
        *_filled(nation.postcode, Byte.POSTCODE_HEAD, Byte.POSTCODE_TAIL),
        ',"coordinates":{"latitude":"',
        (Byte.LATITUDE, [f"{i}" for i in range(-89, 90)]),
        (Byte.LATITUDE_TAIL, [f".{i * 39:04d}" for i in range(256)]),
        '","longitude":"',
        (Byte.LONGITUDE, [f"{i}" for i in range(-179, 180, 2)]),
        (Byte.LONGITUDE_TAIL, [f".{i * 39:04d}" for i in range(256)]),
        '"},"timezone":{"offset":',
        (Byte.TIMEZONE, [f'{_json(offset)},"description":{_json(text)}' for offset, text in TIMEZONES]),
        '}},"email":"',
        (Byte.FIRST, [_mailbox(latin) + "." for _, latin in first]),
        (Byte.LAST, [_mailbox(latin) + "@example.com" for _, latin in last]),
        '","login":{"uuid":"',
        *_uuid(),
        '","username":"',
        (Byte.ADJECTIVE, ADJECTIVES.split()),
        (Byte.ANIMAL, ANIMALS.split()),
        (Byte.USERNAME_TAIL, [f"{i}" for i in range(100, 356)]),
        '","password":"',
        (Byte.PASSWORD, PASSWORDS.split()),
        '","salt":"',
        *_noise("abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789", 4, (Byte.SALT_HEAD, Byte.SALT_TAIL)),
        '","md5":"',
        *_noise("0123456789abcdef", 8, range(0, 4)),
        '","sha1":"',
        *_noise("0123456789abcdef", 10, range(4, 8)),
        '","sha256":"',
        *_noise("0123456789abcdef", 16, range(8, 12)),
        '"},"dob":',
        *_date(range(1944, 2005), Byte.BIRTH_YEAR, Byte.BIRTH_DAY, Byte.BIRTH_TIME),
        ',"registered":',
        *_date(range(2005, 2023), Byte.REGISTERED_YEAR, Byte.REGISTERED_DAY, Byte.REGISTERED_TIME),
        ',"phone":"',
        *_filled(nation.phone, Byte.PHONE_HEAD, Byte.PHONE_TAIL),
        '","cell":"',
        *_filled(nation.cell, Byte.CELL_HEAD, Byte.CELL_TAIL),
        f'","id":{{"name":{_json(nation.id_name)},"value":',
        *_filled(nation.id_value, Byte.ID_HEAD, Byte.ID_TAIL),
        '},"picture":{"large":',
        *_picture(""),
        ',"medium":',
        *_picture("med/"),
        ',"thumbnail":',
        *_picture("thumb/"),
        f'}},"nat":"{nation.code}"}}',
    ]


def _titles(nation: Nation) -> list[str]:
    women = ("Madame", "Mademoiselle") if nation.code in ("CH", "FR") else ("Mrs", "Ms", "Miss")
    man = "Monsieur" if nation.code in ("CH", "FR") else "Mr"
    # A title lasts for 16 names, so that every name is met with each.
    return [_json(man if i % 2 else women[i // 32 % len(women)]) for i in range(256)]


@cache
def _uuid() -> Template:
    """The digest's first 16 bytes as a UUID of version 4."""
    pieces: list[str | Pick] = []
    for place in range(16):
        if place in (4, 6, 8, 10):
            pieces.append("-")
        fixed, kept = {6: (0x40, 0x0F), 8: (0x80, 0x3F)}.get(place, (0, 0xFF))
        pieces.append((place, [f"{fixed | byte & kept:02x}" for byte in range(256)]))
    return pieces


def _date(years: Sequence[int], year: int, day: int, time: int) -> Template:
    days = [date(2023, 1, 1) + timedelta(days=i * 365 // 256) for i in range(256)]
    seconds = [i * 86_399 // 255 for i in range(256)]
    return [
        '{"date":"',
        (year, [f"{y}-" for y in years]),
        (day, [f"{d:%m-%d}T" for d in days]),
        (time, [f"{s // 3600:02d}:{s // 60 % 60:02d}:{s % 60:02d}.{s * 7 % 1000:03d}Z" for s in seconds]),
        '","age":',
        (year, [f"{AGE_AT_END_OF - y}" for y in years]),
        "}",
    ]


def _picture(size: str) -> Template:
    return [
        f'"{PORTRAITS}{size}',
        (Byte.FIRST, ["women/", "men/"]),
        (Byte.PICTURE, [f"{i}.jpg" for i in range(97)]),
        '"',
    ]


@cache
def _filled(pattern: str, head: int, tail: int) -> Template:
    """Fill a pattern's wildcards by two bytes, one for each half of them: 65,536 numbers."""
    wildcards = [i for i, char in enumerate(pattern) if char in WILDCARDS]
    middle = wildcards[len(wildcards) // 2] if wildcards else len(pattern)
    rng = Random(pattern)

    def fill(part: str) -> list[str]:
        return ["".join(rng.choice(WILDCARDS.get(char, char)) for char in part) for _ in range(256)]

    return [(head, fill(pattern[:middle])), (tail, fill(pattern[middle:]))]


@cache
def _noise(alphabet: str, length: int, bytes_: Iterable[int]) -> Template:
    rng = Random(f"{alphabet} {length}")
    return [(byte, ["".join(rng.choices(alphabet, k=length)) for _ in range(256)]) for byte in bytes_]


def _entries(listed: str) -> list[tuple[str, str]]:
    """Split "a, b/c" to [("a", "a"), ("b", "c")]: as written, and in Latin letters."""
    return [(native, latin or native) for native, _, latin in (entry.partition("/") for entry in listed.split(", "))]


def _texts(listed: str) -> list[str]:
    return [_json(text) for text in listed.split(", ")]


def _json(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _mailbox(latin: str) -> str:
    """The name's bare ASCII letters: "L'Écuyer" to "lecuyer"."""
    bare = unicodedata.normalize("NFKD", latin.lower().translate(UNDECOMPOSED))
    return "".join(char for char in bare if char.isascii() and char.isalpha())
