"""What a source's user becomes. Expected values are written by hand."""

import copy
import json
import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nifi_processors.contract import contract
from nifi_processors.normalise import FIELDS, UNREADABLE, NotAUser, normalise

USER: dict[str, Any] = {
    "gender": "female",
    "name": {"title": "Ms", "first": "Zoé", "last": "O'Brien"},
    "location": {
        "street": {"number": 8929, "name": "Valwood Pkwy"},
        "city": "Billings",
        "state": "Michigan",
        "country": "United States",
        "postcode": 63104,
        "coordinates": {"latitude": "-69.8246", "longitude": "134.8719"},
        "timezone": {"offset": "+9:30", "description": "Adelaide, Darwin"},
    },
    "email": "zoe.obrien@example.com",
    "login": {"uuid": "7A0EED16-9430-4D68-901F-C0D4C1C3BF00", "username": "yellowpeacock117", "salt": "yNXZ"},
    "dob": {"date": "1969-09-20T15:52:04.888Z", "age": 57},
    "registered": {"date": "2021-05-21T02:38:13.001Z", "age": 5},
    "phone": "021-393-ask",
    "cell": "081-454-0666",
    "id": {"name": "SSN", "value": None},
    "picture": {"large": "https://x.test/75.jpg", "medium": "https://x.test/med/75.jpg"},
    "nat": "US",
}


def texts(user: object) -> dict[str, Any]:
    return texts_of(json.dumps(user).encode())


def texts_of(record: bytes) -> dict[str, Any]:
    return dict(zip(FIELDS, normalise(record), strict=True))


def changed(path: str, value: object, of: dict[str, Any] = USER) -> dict[str, Any]:
    user = copy.deepcopy(of)
    *groups, last = path.split(".")
    place = user
    for group in groups:
        place = place[group]
    place[last] = value
    return user


def test_a_user_is_flattened() -> None:
    assert texts(USER) == {
        "id": "7a0eed16-9430-4d68-901f-c0d4c1c3bf00",
        "first_name": "Zoé",
        "last_name": "O'Brien",
        "gender": "female",
        "address": "8929 Valwood Pkwy, Billings, Michigan, United States",
        "post_code": "63104",
        "email": "zoe.obrien@example.com",
        "username": "yellowpeacock117",
        "dob": "1969-09-20T15:52:04.888Z",
        "registered_date": "2021-05-21T02:38:13.001Z",
        "phone": "021-393-ask",
        "picture": "https://x.test/med/75.jpg",
        "country": "United States",
    }


def test_the_mapping_and_the_lineage_are_the_fields_of_the_contract() -> None:
    assert list(contract("user").types) == [*FIELDS, "source", "fetched_at", "event_time", "flow_version"]


@pytest.mark.parametrize(
    ("path", "value", "field", "expected"),
    [
        ("location.postcode", "01234", "post_code", "01234"),
        ("location.postcode", " EC1A 1BB\t", "post_code", "EC1A 1BB"),
        ("location.postcode", 0, "post_code", "0"),
        ("location.postcode", 10**30, "post_code", "1" + "0" * 30),
        ("location.postcode", True, "post_code", UNREADABLE),
        ("location.postcode", 63104.0, "post_code", "63104"),
        ("location.postcode", 63104.5, "post_code", UNREADABLE),
        ("location.postcode", 2.0**53, "post_code", UNREADABLE),
        ("phone", 4917012345678, "phone", "4917012345678"),
        ("phone", "030\r\n 12\t3", "phone", "030  12 3"),
        ("phone", "\n", "phone", None),
        ("phone", "030\x00", "phone", "030\x00"),
        ("phone", {"number": "030"}, "phone", UNREADABLE),
        ("gender", True, "gender", UNREADABLE),
        ("login.username", 5, "username", "5"),
        ("login.uuid", 5, "id", UNREADABLE),
        ("email", 5, "email", UNREADABLE),
        ("email", "a\n@b", "email", "a\n@b"),
        ("name.last", "a\tb", "last_name", "a\tb"),
        ("name.first", "  Ana \n", "first_name", "Ana"),
        ("name.first", "e\u0301", "first_name", "é"),
        ("name.first", "\u00a0آوا\u2003", "first_name", "آوا"),
        ("name.first", "a\x00b", "first_name", "a\x00b"),
        ("name.first", " ", "first_name", None),
        ("name.first", None, "first_name", None),
        ("name.first", 5, "first_name", UNREADABLE),
        ("name.first", ["Ana"], "first_name", UNREADABLE),
        ("name", "Ana", "last_name", UNREADABLE),
        ("name", None, "last_name", None),
        ("name", {}, "last_name", None),
        ("login", 7, "id", UNREADABLE),
        ("login.uuid", 7, "id", UNREADABLE),
        ("dob", "1969-09-20", "dob", UNREADABLE),
        ("picture", [], "picture", UNREADABLE),
        ("location", "Berlin", "address", UNREADABLE),
        ("location", "Berlin", "post_code", UNREADABLE),
        ("location", "Berlin", "country", UNREADABLE),
        ("location", None, "address", None),
        ("location.street", "9278 new road", "address", UNREADABLE),
        ("location.street", None, "address", "Billings, Michigan, United States"),
        ("location.street.number", "12b", "address", "12b Valwood Pkwy, Billings, Michigan, United States"),
        ("location.street.number", None, "address", "Valwood Pkwy, Billings, Michigan, United States"),
        ("location.street.number", 8.5, "address", UNREADABLE),
        ("location.street.name", "Main\u0085St", "address", "8929 Main St, Billings, Michigan, United States"),
        ("location.city", 7, "address", "8929 Valwood Pkwy, 7, Michigan, United States"),
        ("location.street.name", " ", "address", "8929, Billings, Michigan, United States"),
        ("location.city", "", "address", "8929 Valwood Pkwy, Michigan, United States"),
        ("location.country", {"code": "US"}, "address", UNREADABLE),
        ("location.country", {"code": "US"}, "country", UNREADABLE),
    ],
)
def test_one_value(path: str, value: object, field: str, expected: object) -> None:
    assert texts(changed(path, value))[field] == expected


def test_an_empty_object_has_no_texts() -> None:
    assert normalise(b"{}") == [None] * 13


def test_of_a_key_that_stands_twice_the_last_counts() -> None:
    assert normalise(b'{"email":"a@b","email":"c@d"}')[FIELDS.index("email")] == "c@d"


@pytest.mark.parametrize("record", [b"1", b'"x"', b"[]", b"null", b"true", b"1.5"])
def test_what_is_no_object_is_told_so(record: bytes) -> None:
    with pytest.raises(NotAUser, match=r"^not_an_object$"):
        normalise(record)


@pytest.mark.parametrize(
    "record",
    [
        b"",
        b"{",
        b'{"email":NaN}',
        b'{"email":"\xff"}',
        b'{"email":"a\x01b"}',
        b'{"email":1e999,"nat":NaN}',
        b'{"email":-Infinity}',
        b'{"email":' + b"[" * 5000 + b"]" * 5000 + b"}",
        b'{"nat":' + b"[" * 5000 + b"]" * 5000 + b"}",
        b'{"email":"a@b"} {}',
    ],
)
def test_what_is_no_json_is_told_so(record: bytes) -> None:
    with pytest.raises(NotAUser, match=r"^not_json$"):
        normalise(record)


@pytest.mark.parametrize(
    "value", [b'"\\ud800"', b'"\\udc00\\ud800"', b"1e999", b"-1e999", b"9" * 5000, b"-" + b"9" * 5000]
)
def test_what_json_can_spell_and_no_text_can_hold_costs_no_other_field(value: bytes) -> None:
    found = texts_of(b'{"phone":' + value + b',"email":"\\ud83d\\ude00@b","nat":[' + value + b"]}")
    assert found["email"] == "😀@b"
    assert found["phone"] is UNREADABLE or "\0" in found["phone"]
    found = texts_of(b'{"email":' + value + b',"phone":7}')
    assert found["email"] is UNREADABLE or "\0" in found["email"]
    assert found["phone"] == "7"


TEXT = st.text(st.characters(), max_size=8) | st.text("\t\r\n\0\x1c\x7f\x85\u2028 -@0", max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
PATHS = sorted(
    [*USER]
    + [f"{group}.{name}" for group, part in USER.items() if isinstance(part, dict) for name in part]
    + ["location.street.number", "location.street.name"]
)


@given(st.sampled_from(PATHS), JSON)
def test_any_value_in_any_place_gives_a_text_or_none_or_unreadable(path: str, value: object) -> None:
    try:
        found = texts(changed(path, value))
    except NotAUser as refusal:  # JSON can spell text that is no Unicode, and numbers that no program holds
        assert refusal.reason == "not_json"
        return
    for text in found.values():
        assert text is None or text is UNREADABLE or (isinstance(text, str) and text.strip() == text and text)


@given(JSON)
def test_any_value_for_a_user_is_read_or_refused(value: object) -> None:
    record = json.dumps(value).encode()
    if isinstance(value, dict):
        try:
            assert len(normalise(record)) == len(FIELDS)
        except NotAUser as refusal:
            assert refusal.reason == "not_json"
    else:
        with pytest.raises(NotAUser):
            normalise(record)


WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@given(WORDS, WORDS, WORDS)
def test_texts_are_composed_and_normalising_them_again_changes_nothing(first: str, street: str, city: str) -> None:
    user = changed("name.first", first)
    user["location"]["street"]["name"] = street
    user["location"]["city"] = city
    once = texts(user)
    for field in ("first_name", "address"):
        assert once[field] is None or unicodedata.is_normalized("NFC", once[field])
    assert texts(changed("name.first", once["first_name"]))["first_name"] == once["first_name"]
