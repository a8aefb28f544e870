"""When a normalised record is valid, and what is said when it isn't."""

import datetime as dt
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nifi_processors.contract import contract
from nifi_processors.normalise import FIELDS, UNREADABLE
from nifi_processors.validate import LONG, has_no_control, in_words, is_date, is_email, is_uuid, judge, without_long

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


REQUIRED = ["id", "first_name", "last_name", "email"]
OPTIONAL = ["gender", "address", "post_code", "username", "dob", "registered_date", "phone", "picture", "country"]


def judged(**changed: object) -> tuple[list[str], dict[str, object]]:
    """The reasons, and the texts as they are afterwards where they are no longer those of VALID."""
    texts = [{**VALID, **changed}[field] for field in FIELDS]
    reasons = judge(texts).reasons
    return reasons, {field: text for field, text in zip(FIELDS, texts, strict=True) if text != VALID[field]}


def reasons_with(**changed: object) -> list[str]:
    return judged(**changed)[0]


def test_a_valid_record_has_no_reasons_and_stays_as_it_is() -> None:
    assert judged() == ([], {})


@pytest.mark.parametrize("field", ["id", "email"])
def test_what_identifies_a_person_must_be_there(field: str) -> None:
    assert reasons_with(**{field: None}) == [f"missing:{field}"]


@pytest.mark.parametrize("field", ["first_name", "last_name"])
def test_people_with_one_name_are_people(field: str) -> None:
    assert judged(**{field: None}) == ([], {field: ""})


def test_people_without_any_name_are_not() -> None:
    assert reasons_with(first_name=None, last_name=None) == ["missing:first_name", "missing:last_name"]


def test_of_somebody_with_one_name_that_is_no_text_the_other_is_not_missing() -> None:
    assert reasons_with(first_name=UNREADABLE, last_name=None) == ["not_text:first_name"]


@pytest.mark.parametrize("field", OPTIONAL)
def test_the_rest_may_be_absent(field: str) -> None:
    assert judged(**{field: None}) == ([], {field: None})


@pytest.mark.parametrize("field", REQUIRED)
def test_what_cannot_be_text_is_told_by_its_field(field: str) -> None:
    assert reasons_with(**{field: UNREADABLE}) == [f"not_text:{field}"]


@pytest.mark.parametrize("field", OPTIONAL)
@pytest.mark.parametrize("value", [UNREADABLE, "a\0b", "\x1b[2J", "\x7f", "a\x85b"])
def test_what_an_optional_field_cannot_use_is_absent(field: str, value: object) -> None:
    assert judged(**{field: value}) == ([], {field: None})


@pytest.mark.parametrize("field", ["dob", "registered_date"])
def test_a_date_that_is_none_is_absent(field: str) -> None:
    assert judged(**{field: "30 February"}) == ([], {field: None})


@pytest.mark.parametrize("field", ["first_name", "last_name"])
@pytest.mark.parametrize("control", ["\0", "\t", "\n", "\x1b", "\x7f", "\x80", "\x9f"])
def test_control_characters_in_a_name_are_told(field: str, control: str) -> None:
    assert reasons_with(**{field: f"a{control}b"}) == [f"control_character:{field}"]


@pytest.mark.parametrize(
    "text", ["o\u2019neill", "a\u200cb", "\u202eabc", "a\u00a0b", "\ue000", "👩\u200d🚀", "\ufffd"]
)
def test_any_other_text_has_no_control_character(text: str) -> None:
    assert has_no_control(text)


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
        "00000000-0000-0000-0000-000000000000",
    ],
)
def test_a_key_that_is_no_uuid(key: str) -> None:
    assert reasons_with(id=key) == ["not_uuid:id"]


@pytest.mark.parametrize("place", [0, 7, 9, 14, 19, 24, 35])
def test_a_key_that_is_nil_but_for_a_digit_is_one(place: int) -> None:
    nil = "00000000-0000-0000-0000-000000000000"
    assert is_uuid(nil[:place] + "1" + nil[place + 1 :])


@pytest.mark.parametrize("email", ["a@b", "o'brien+x@exämple.com", "почта@пример.рф", "a\u200c@b"])
def test_emails_that_are_usable(email: str) -> None:
    assert is_email(email)


BLANKS = [chr(code) for code in range(0x110000) if chr(code).isspace()]


@pytest.mark.parametrize("odd", [*BLANKS, "\0", "\x1b", "\x7f", "\x80", "\x9f"])
def test_blanks_line_ends_and_control_characters_are_in_no_email(odd: str) -> None:
    for email in (f"a{odd}b@c", f"a@b{odd}c", f"a@{odd}", f"{odd}@b", f"a@b{odd}"):
        assert reasons_with(email=email) == ["not_email:email"]


@pytest.mark.parametrize("email", ["", "@", "a@", "@b", "ab", "a@b@c", "a@@b"])
def test_emails_that_are_not(email: str) -> None:
    assert not is_email(email)


@pytest.mark.parametrize(
    "date",
    [
        *("1892-01-31T00:00:00Z", "2021-05-21T02:38:13.001Z", "2021-05-21T02:38:13+05:30", "2021-05-21"),
        *("2021-05-21 02:38", "2020-02-29", "2000-02-29T23:59:59Z", "1582-10-15", "2199-12-31T23:59:59-14:00"),
    ],
)
def test_dates_that_parse(date: str) -> None:
    assert is_date(date)


@pytest.mark.parametrize(
    "date",
    [
        *("yesterday", "21.05.2021", "1621562293", "0", "2021", "2021-05", "2021-05-21T", "2021-05-21TZ"),
        *("2021-02-30T00:00:00Z", "2021-02-29", "1900-02-29", "2021-13-01", "2021-00-10", "2021-05-00"),  # no such day
        *("2021-05-21T001+05:30", "2021-05-21T02", "2021-05-21T0238", "2021-05-21T02:38:13,5", "2021-05-21T02:38:1"),
        *("2021-05-21T24:00:00Z", "2021-05-21T02:60Z", "2021-05-21T02:38:13+24:00"),  # no such time
        *("2021-W20-5", "2021-W20", "2021W20", "2021W205", "20210521", "20210521T023813Z", "2021-141"),  # unusual forms
        *("2021-05-21\x0002:38", "2021-05-21é02:38", "2021-05-21-02:38", "2021-05-21\n"),
        *("0000-01-01", "0001-01-01T00:00:00+14:00", "-0044-03-15", "1582-10-14"),  # before the calendar
        *("2200-01-01", "9999-12-31T23:59:59-14:00", "+12021-05-21", "12021-05-21", "292278994-08-17"),  # far off
        *("1403-02-31", "1445-11-13", "2567-05-21", "5784-09-13", "R3-05-21", "٢٠٢١-٠٥-٢١"),  # of other calendars
    ],
)
def test_dates_that_do_not(date: str) -> None:
    assert not is_date(date)


@pytest.mark.parametrize("date", ["2021-05-21T02:38\0", "2021-05-21T02:38:13\0+05:30"])
def test_a_date_does_not_end_at_a_nul(date: str) -> None:
    assert judged(dob=date) == ([], {"dob": None})


TIME = re.compile(r"[0-2]\d:[0-5]\d(:[0-5]\d(\.\d+)?)?(Z|[+-][0-2]\d(:?[0-5]\d)?)?", re.ASCII)
DATES = ["2021-05-21T02:38:13.001+05:30", "2021-05-21T02:38:13.001Z", "2021-W20-5"]


@given(
    st.datetimes().map(str) | st.sampled_from(DATES),
    st.integers(0, 30),
    st.integers(0, 30),
    st.text("0123456789T:-+.,ZW ", max_size=2) | st.text(st.characters(exclude_categories=["Cc"]), max_size=2),
)
def test_what_is_a_date_has_the_form_of_one(date: str, cut: int, end: int, put: str) -> None:
    text = date[:cut] + put + date[end:]
    if is_date(text):
        day, time = text[:10], text[11:]
        assert dt.date.fromisoformat(day).isoformat() == day
        assert not time or TIME.fullmatch(time)


def test_all_reasons_are_listed_in_the_order_of_the_fields() -> None:
    found = reasons_with(dob="soon", email="x", phone=UNREADABLE, last_name="\0", first_name=UNREADABLE, id="7")
    assert found == ["not_uuid:id", "not_text:first_name", "control_character:last_name", "not_email:email"]


ODD = st.none() | st.text() | st.text("\0\n @-T0123456789", max_size=12) | st.just(UNREADABLE)


@given(st.lists(ODD, min_size=13, max_size=13))
def test_any_texts_get_reasons_that_are_listed_or_can_be_framed(texts: list[object]) -> None:
    listed = {row[0]: row[2] for row in in_words()}
    reasons = judge(texts).reasons
    for reason in reasons:
        code, _, field = reason.partition(":")
        assert field in REQUIRED
        assert code in next(codes for fields, codes in listed.items() if field in fields.split(", ")).split(", ")
    if not reasons:
        assert all(
            isinstance(text, str) or (text is None and not contract("user").requires(field))
            for field, text in zip(FIELDS, texts, strict=True)
        )
    assert judge(list(texts)).reasons == reasons


@given(st.fixed_dictionaries({field: ODD for field in OPTIONAL}))
def test_nothing_in_an_optional_field_makes_a_record_invalid(changed: dict[str, object]) -> None:
    assert reasons_with(**changed) == []


def test_what_is_long_goes_from_optional_fields_alone() -> None:
    texts = ["a" * (LONG + 1)] * len(FIELDS)
    kept = [field for field, text in zip(FIELDS, without_long(texts), strict=True) if text]
    assert kept == REQUIRED
    short: list[str | None] = ["a" * LONG, "", None] * 4 + ["b"]
    assert without_long(short) == short
