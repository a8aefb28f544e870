"""From one user as the source writes it to the flat texts of a row: flatten, strip outer blanks, compose (NFC).

A text that is absent or blank becomes None; a value that is present but can't be text becomes UNREADABLE. What is then
valid is in validate.py. Most pages go the short way of typed.py, which has to be changed with this one.
"""

import json
import math
import re
import unicodedata
from typing import Any, Final, TypeVar

import msgspec

from nifi_processors.contract import contract

UNREADABLE: Final = object()

Text = Any  # str, None or UNREADABLE

FIELDS: Final = (
    "id",
    "first_name",
    "last_name",
    "gender",
    "address",
    "post_code",
    "email",
    "username",
    "dob",
    "registered_date",
    "phone",
    "picture",
    "country",
)


class _Name(msgspec.Struct):
    first: Any = None
    last: Any = None


class _Street(msgspec.Struct):
    number: Any = None
    name: Any = None


Odd = bool | int | float | str | list[Any] | None  # what may stand where an object should


class _Location(msgspec.Struct):
    street: _Street | Odd = None
    city: Any = None
    state: Any = None
    country: Any = None
    postcode: Any = None


class _Login(msgspec.Struct):
    uuid: Any = None
    username: Any = None


class _Date(msgspec.Struct):
    date: Any = None


class _Picture(msgspec.Struct):
    medium: Any = None


class User(msgspec.Struct):
    """The parts of a source's user that a row needs; whatever else it holds is skipped, not parsed."""

    gender: Any = None
    name: _Name | Odd = None
    location: _Location | Odd = None
    email: Any = None
    login: _Login | Odd = None
    dob: _Date | Odd = None
    registered: _Date | Odd = None
    phone: Any = None
    picture: _Picture | Odd = None


_decode = msgspec.json.Decoder(User | Odd).decode

MALFORMED = (msgspec.MsgspecError, ValueError, RecursionError)
"""what msgspec raises for bytes that it does not take"""

_NO_STREET, _BAD_STREET = _Street(), _Street(UNREADABLE, UNREADABLE)
_NO_NAME, _BAD_NAME = _Name(), _Name(UNREADABLE, UNREADABLE)
_NO_LOCATION = _Location()
_BAD_LOCATION = _Location(UNREADABLE, UNREADABLE, UNREADABLE, UNREADABLE, UNREADABLE)  # type: ignore[arg-type]
_NO_LOGIN, _BAD_LOGIN = _Login(), _Login(UNREADABLE, UNREADABLE)
_NO_DATE, _BAD_DATE = _Date(), _Date(UNREADABLE)
_NO_PICTURE, _BAD_PICTURE = _Picture(), _Picture(UNREADABLE)


class NotAUser(Exception):
    """Raised when the bytes of a record hold no JSON object; reason is its reason code."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def normalise(record: bytes | msgspec.Raw) -> list[Text]:
    """The texts of one record, in the order of FIELDS.

    record: the JSON of one user. Of a key that stands twice, the last counts.
    Raises NotAUser with not_json (also for text that isn't UTF-8, and for what nests too deep to be read) or
    not_an_object.
    """
    try:
        user = _decode(record)
    except MALFORMED:
        try:
            user = _decode(_tamed(record))
        except MALFORMED:
            raise NotAUser("not_json") from None
    if user.__class__ is not User:
        raise NotAUser("not_an_object")
    return [as_text(value) for as_text, value in zip(_AS_TEXT, _flatten(user), strict=True)]


def _tamed(record: bytes | msgspec.Raw) -> str:
    """JSON that msgspec doesn't take, with what no text can come of in the place of what it stumbles over.

    Numbers beyond any program become lists, and halves of surrogate pairs a control character. Raises one of MALFORMED.
    """

    def number(spelled: str) -> object:
        value = float(spelled)
        return value if math.isfinite(value) else []

    def refuse(constant: str) -> object:
        raise ValueError(constant)

    value = json.loads(
        bytes(record).decode(),
        parse_int=lambda spelled: int(spelled) if len(spelled) <= _LONGEST_NUMBER else [],
        parse_float=number,
        parse_constant=refuse,
    )
    return _HALVES.sub(r"\\u0000", json.dumps(value, ensure_ascii=False))


_LONGEST_NUMBER = 4_300  # digits; Python takes no longer ones from text
_HALVES = re.compile("[\ud800-\udfff]")


def _flatten(user: User) -> tuple[Any, ...]:
    name = _part(user.name, _NO_NAME, _BAD_NAME)
    location = _part(user.location, _NO_LOCATION, _BAD_LOCATION)
    login = _part(user.login, _NO_LOGIN, _BAD_LOGIN)
    key = login.uuid
    return (
        key.lower() if key.__class__ is str else key,
        name.first,
        name.last,
        user.gender,
        _address(location),
        location.postcode,
        user.email,
        login.username,
        _part(user.dob, _NO_DATE, _BAD_DATE).date,
        _part(user.registered, _NO_DATE, _BAD_DATE).date,
        user.phone,
        _part(user.picture, _NO_PICTURE, _BAD_PICTURE).medium,
        location.country,
    )


P = TypeVar("P")


def _part(value: object, absent: P, unreadable: P) -> P:
    if value.__class__ is absent.__class__:
        return value
    return absent if value is None else unreadable


def stripped(value: str | None) -> str | None:
    """Without outer blanks and composed; None when nothing is left."""
    if not value:
        return None
    value = value.strip()
    if not value.isascii():
        value = unicodedata.normalize("NFC", value)
    return value or None


def text(value: Any) -> Text:
    """The text of any value; UNREADABLE for what is no text."""
    return stripped(value) if value is None or value.__class__ is str else UNREADABLE


def loose_text(value: Any) -> Text:
    """The same for an optional field, which takes whole numbers too, and blanks for tabs and line ends."""
    return text(_BREAKS.sub(" ", value) if value.__class__ is str else digits(value))


_BREAKS = re.compile(r"[\t-\r\x85]+")
_AS_TEXT = [text if contract("user").requires(field) else loose_text for field in FIELDS]


def digits(value: Any) -> Any:
    """Whole numbers as text, however they are written (7, 7.0); bool is no number, and a fraction no phone or code."""
    if value.__class__ is int:
        return str(value)
    # beyond 2**53 a float is no longer the number that the source wrote
    return str(int(value)) if value.__class__ is float and value.is_integer() and abs(value) < 2**53 else value


def _address(location: _Location) -> Text:
    street = _part(location.street, _NO_STREET, _BAD_STREET)
    parts = [loose_text(part) for part in (street.number, street.name, location.city, location.state, location.country)]
    return UNREADABLE if UNREADABLE in parts else address(*parts)


def address(number: Text, name: Text, city: Text, state: Text, country: Text) -> Text:
    """A street's number and name, and what follows them, on one line; None where all of it is absent."""
    if number and name and city and state and country:  # which nearly all have, and takes a quarter of the time
        return f"{number} {name}, {city}, {state}, {country}"
    street = f"{number} {name}" if number and name else number or name
    return ", ".join([part for part in (street, city, state, country) if part]) or None
