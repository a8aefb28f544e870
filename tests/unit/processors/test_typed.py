"""That the short way over a page gives what the long one gives, whatever the page holds."""

import json
import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nifi_processors.page import Page
from nifi_processors.publish import Fetch, Partitioned, partition
from nifi_processors.typed import may_have_control
from scripts.source import invalid, people
from tests.unit.processors.test_normalise import JSON, PATHS, USER, changed

TEXTS = st.text(max_size=8) | st.text(" \t\u00a0eE\u0301\u212b\u0130é@-", max_size=8) | st.dates().map(str)
PARTS = {"name", "location", "location.street", "login", "dob", "registered", "picture"}
NUMBERED = {"location.street.number", "location.postcode"}


def typed_values(path: str) -> st.SearchStrategy[Any]:
    """What the short way reads in this place."""
    if path in PARTS:
        return st.none() | st.just({})
    return st.none() | TEXTS | st.integers() if path in NUMBERED else st.none() | TEXTS


VALUES = [
    *(b"null", b"true", b"[]", b"{}", b'{"a":1}', b'""', b'" \\t"', b'" x "', b'"a\\u0000b"'),
    *(b'" e\xcc\x81\xc2\xa0"', b'"\xff"', b'"\\ud800"', b'"a\\tb"', b'"a\\/b"', b'"a\\u001Fb"', b'"\x7f"'),
    *(b'"a\xc2\x85b"', b'"2021-05-21T02:38\\u0000"', b'"2021-05-21T02:38:13.001Z"', b'"2021-05-21T001"'),
    *(
        b'"2021-05-21"',
        b'"2021-02-30"',
        b'"2021-W20-5"',
        b'"00000000-0000-0000-0000-000000000000"',
        b'"a@b"',
        b'"a @b"',
    ),
    *(b"0", b"-0", b"7", b"1.0", b"1e2", b"9" * 30, b"9" * 5000, b"1e999", b"NaN", b"01"),
]
ODD = st.sampled_from(
    [
        *(b"1", b"[]", b"null", b"NaN", b'"x"', b"{}", b'{"email":"\xff"}', b'{"email":"\\ud800"}', b'{"name":"Ana"}'),
        *(b'{"email":1,"email":"a@b"}', b'{"email":"a@b","email":1}', b'{"name":{"first":"a"},"name":{"last":"b"}}'),
        *(b'{"nat":' + nested + b"}" for nested in (b"[" * 900 + b"]" * 900, b"[" * 5000 + b"]" * 5000)),
        *(b'{"nat":NaN}', b'{"nat":"\xff"}', b'{"nat":1e999}', b'{"id":' + b"9" * 5000 + b"}"),
    ]
)


def page_of(users: list[bytes]) -> Page:
    return Page(b'{"results":[' + b",".join(users) + b"]}", 1)


def partitioned(page: Page) -> Partitioned:
    return partition(page, Fetch("s", "0a1b2c3d", "x", 9, 1, 1_700_000_000_000_000), "v1", 1)


def the_long_way(users: list[bytes]) -> Partitioned:
    page = page_of(users)
    page.users = None
    return partitioned(page)


@st.composite
def typed_users(draw: st.DrawFn) -> bytes:
    """A user with other values of the right types in some places."""
    user = USER
    paths = draw(st.lists(st.sampled_from(PATHS), max_size=4, unique=True))
    for path in sorted(paths, key=len, reverse=True):  # what is within a part before the part
        user = changed(path, draw(typed_values(path)), of=user)
    return json.dumps(user, ensure_ascii=draw(st.booleans())).encode()


@st.composite
def any_users(draw: st.DrawFn) -> bytes:
    """A user with whatever JSON in one place."""
    return json.dumps(changed(draw(st.sampled_from(PATHS)), draw(JSON))).encode()


@given(st.lists(typed_users(), min_size=1, max_size=3))
def test_users_of_the_usual_types_give_the_same_on_the_short_way(users: list[bytes]) -> None:
    page = page_of(users)
    assert page.users is not None or may_have_control(b"".join(users))
    assert partitioned(page) == the_long_way(users)


@given(st.lists(typed_users() | any_users() | ODD, min_size=1, max_size=4))
def test_any_users_give_the_same_whichever_way_their_page_goes(users: list[bytes]) -> None:
    assert partitioned(page_of(users)) == the_long_way(users)


@pytest.mark.parametrize("path", PATHS)
def test_each_value_in_each_place_gives_the_same(path: str) -> None:
    user = json.dumps(changed(path, "here")).encode()
    for value in VALUES:
        users = [user.replace(b'"here"', value)]
        assert partitioned(page_of(users)) == the_long_way(users), value


@pytest.mark.parametrize("kind", [None, *invalid.REASONS])
def test_what_the_embedded_source_serves_gives_the_same(kind: str | None) -> None:
    users = list(people.users("typed", range(300)))
    if kind:
        users[7] = invalid.broken(users[7], kind)
    page = page_of(users)
    assert page.users is not None or kind
    assert partitioned(page) == the_long_way(users)


OPTIONAL = [path for path in PATHS if path not in ("name", "name.first", "name.last", "email", "login", "login.uuid")]


@given(st.lists(st.tuples(st.sampled_from(OPTIONAL), JSON), min_size=1, max_size=3))
def test_any_json_in_optional_fields_leaves_the_record_valid_whichever_way_its_page_goes(
    changes: list[tuple[str, Any]],
) -> None:
    user = USER
    for path, value in sorted(changes, key=lambda change: -len(change[0])):
        user = changed(path, value, of=user)
    users = [json.dumps(user).encode()]
    found = partitioned(page_of(users))
    assert found.invalid == []
    assert found == the_long_way(users)


@pytest.mark.parametrize("path", OPTIONAL)
def test_each_odd_value_in_an_optional_field_leaves_the_record_valid(path: str) -> None:
    user = json.dumps(changed(path, "here")).encode()
    no_json = (b'"\xff"', b"NaN", b"01")
    for value in VALUES:
        found = partitioned(page_of([user.replace(b'"here"', value)]))
        assert not found.invalid or value in no_json, value


@given(st.text(max_size=20), st.booleans())
def test_no_control_character_goes_unseen(text: str, ascii_alone: bool) -> None:
    spelled = json.dumps(text, ensure_ascii=ascii_alone).encode()
    if any(unicodedata.category(character) == "Cc" for character in text):
        assert may_have_control(spelled)


def test_escapes_of_other_characters_keep_the_short_way() -> None:
    assert not may_have_control(rb'"https:\/\/x.test\/\u00e9\ud83d\ude00\"\\"' + "\u00a0°".encode())
