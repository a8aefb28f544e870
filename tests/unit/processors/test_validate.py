"""When a normalised record is valid, and what is said when it isn't."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nifi_processors.normalise import FIELDS, UNREADABLE
from nifi_processors.validate import is_date, is_email, reasons

VALID = {
    "id": "7a0eed16-9430-4d68-901f-c0d4c1c3bf00",
    "first_name": "Zoé",
    "last_name": "O'Brien",
    "gender": "female",
    "address": "8929 Valwood Pkwy",
    "post_code": "63104",
    "email": "zoe@example.com",
    "username": "yellowpeacock117",
    "dob": "1969-09-20T15:52:04.888Z",
    "registered_date": "2021-05-21T02:38:13.001Z",
    "phone": "021-393-ask",
    "picture": "https://x.test/med/75.jpg",
    "country": "United States",
}


def reasons_with(**changed: object) -> list[str]:
    return reasons([{**VALID, **changed}[field] for field in FIELDS])


def test_a_valid_record_has_no_reasons() -> None:
    assert reasons_with() == []


@pytest.mark.parametrize("field", ["id", "first_name", "last_name", "email"])
def test_what_identifies_a_person_must_be_there(field: str) -> None:
    assert reasons_with(**{field: None}) == [f"missing:{field}"]


@pytest.mark.parametrize(
    "field", ["gender", "address", "post_code", "username", "dob", "registered_date", "phone", "picture", "country"]
)
def test_the_rest_may_be_absent(field: str) -> None:
    assert reasons_with(**{field: None}) == []


@pytest.mark.parametrize("field", FIELDS)
def test_what_cannot_be_text_is_told_by_its_field(field: str) -> None:
    assert reasons_with(**{field: UNREADABLE}) == [f"not_text:{field}"]


@pytest.mark.parametrize(
    "key",
    [
        "7a0eed16",
        "7a0eed1694304d68901fc0d4c1c3bf00",
        "{7a0eed16-9430-4d68-901f-c0d4c1c3bf00}",
        "urn:uuid:7a0eed16-9430-4d68-901f-c0d4c1c3bf00",
        "7a0eed16-9430-4d68-901f-c0d4c1c3bf0g",
        "7a0eed16-9430-4d68-901f-c0d4c1c3bf00\n",
        "7a0eed16-9430-4d68-901f-c0d4c1c3bf0٠",
    ],
)
def test_a_key_that_is_no_uuid(key: str) -> None:
    assert reasons_with(id=key) == ["not_uuid:id"]


@pytest.mark.parametrize("email", ["a@b", "o'brien+x@exämple.com", "a b@c"])
def test_emails_that_are_usable(email: str) -> None:
    assert is_email(email)


@pytest.mark.parametrize("email", ["", "@", "a@", "@b", "ab", "a@b@c", "a@@b"])
def test_emails_that_are_not(email: str) -> None:
    assert not is_email(email)


@pytest.mark.parametrize(
    "date",
    ["1892-01-31T00:00:00Z", "2021-05-21T02:38:13.001Z", "2021-05-21T02:38:13+05:30", "2021-05-21", "20210521T023813Z"],
)
def test_dates_that_parse(date: str) -> None:
    assert is_date(date)


@pytest.mark.parametrize("date", ["yesterday", "21.05.2021", "2021-02-30T00:00:00Z", "2021-13-01", "1621562293", "0"])
def test_dates_that_do_not(date: str) -> None:
    assert not is_date(date)


def test_all_reasons_are_listed_in_the_order_of_the_fields() -> None:
    found = reasons_with(dob="soon", email="x", phone=UNREADABLE, last_name=None, id="7")
    assert found == ["not_uuid:id", "missing:last_name", "not_email:email", "not_a_date:dob", "not_text:phone"]


@given(st.lists(st.none() | st.text() | st.just(UNREADABLE), min_size=13, max_size=13))
def test_any_texts_get_an_answer(texts: list[object]) -> None:
    assert all(reason.partition(":")[2] in FIELDS for reason in reasons(texts))
