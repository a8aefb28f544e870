"""The short way of normalise.py, for users whose every value has the type that sources give it.

A page of such users is decoded at once, and nothing in it has to be looked at for what cannot be text. A page with any
other user, or with a control character, is left to the long way. A test holds that both give the same for every page
that the short one reads.
"""

import re

import msgspec

from nifi_processors.normalise import address, digits, stripped

Text = str | None
Number = int | str | None


class _Name(msgspec.Struct, gc=False):
    first: Text = None
    last: Text = None


class _Street(msgspec.Struct, gc=False):
    number: Number = None
    name: Text = None


class _Location(msgspec.Struct, gc=False):
    street: _Street | None = None
    city: Text = None
    state: Text = None
    country: Text = None
    postcode: Number = None


class _Login(msgspec.Struct, gc=False):
    uuid: Text = None
    username: Text = None


class _Date(msgspec.Struct, gc=False):
    date: Text = None


class _Picture(msgspec.Struct, gc=False):
    medium: Text = None


class User(msgspec.Struct, gc=False):
    """The parts that a row needs, as normalise.User has them, in their types."""

    gender: Text = None
    name: _Name | None = None
    location: _Location | None = None
    email: Text = None
    login: _Login | None = None
    dob: _Date | None = None
    registered: _Date | None = None
    phone: Text = None
    picture: _Picture | None = None


_NO_NAME, _NO_STREET, _NO_LOCATION, _NO_LOGIN = _Name(), _Street(), _Location(), _Login()
_NO_DATE, _NO_PICTURE = _Date(), _Picture()


def texts(user: User) -> list[Text]:
    """The texts of a user, in the order of normalise.FIELDS."""
    name = user.name or _NO_NAME
    location = user.location or _NO_LOCATION
    street = location.street or _NO_STREET
    login = user.login or _NO_LOGIN
    country = stripped(location.country)
    return [
        stripped(login.uuid and login.uuid.lower()),
        stripped(name.first),
        stripped(name.last),
        stripped(user.gender),
        address(
            stripped(digits(street.number)),
            stripped(street.name),
            stripped(location.city),
            stripped(location.state),
            country,
        ),
        stripped(digits(location.postcode)),
        stripped(user.email),
        stripped(login.username),
        stripped((user.dob or _NO_DATE).date),
        stripped((user.registered or _NO_DATE).date),
        stripped(user.phone),
        stripped((user.picture or _NO_PICTURE).medium),
        country,
    ]


_ESCAPE = re.compile(rb"\\(?:[bfnrt]|u00[01789])")
_C1 = re.compile(rb"\xc2[\x80-\x9f]")


def may_have_control(page: bytes) -> bool:
    """Whether a text of this JSON may have a control character; True also for some that has none."""
    # Below a blank JSON has them as escapes alone. To look for one byte takes a hundredth of a search.
    return (
        (b"\\" in page and _ESCAPE.search(page) is not None)
        or (b"\xc2" in page and _C1.search(page) is not None)
        or b"\x7f" in page
    )
