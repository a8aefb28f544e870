"""What makes a user valid. Usable is valid; the rules are all here, and `./scripts/pipeline rules` lists them.

The contract says which fields are required. What a required field can't use makes the record a dead letter; what an
optional one can't use becomes absent, and costs nobody a record.
"""

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from textwrap import fill
from typing import NamedTuple

from nifi_processors.contract import contract
from nifi_processors.normalise import FIELDS, UNREADABLE, Text

_CONTROL = r"\x00-\x1f\x7f-\x9f"
_BLANK = r" \xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"

# Earlier years are of other calendars (Persian, Islamic), and so are later ones (Buddhist), or stand for "never".
_FIRST_DAY, _LAST_YEAR = "1582-10-15", 2199
_AFTER = str(_LAST_YEAR + 1)

MAX_FRAME_BYTES = 900_000  # below what a broker takes by default; a larger one would never be acknowledged
LONG = 10_000  # characters, of an optional field's text


def has_no_control(text: str) -> bool:
    """No control character of Unicode (Cc)."""
    return text.isprintable() or not _find_control(text)


_find_control = re.compile(f"[{_CONTROL}]").search

is_uuid = re.compile(
    r"(?!0{8}-0{4}-0{4}-0{4}-0{12})[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
).fullmatch

# One @, something on both sides, no blank anywhere.
is_email = re.compile(f"[^@{_BLANK}]+@[^@{_BLANK}]+").fullmatch


def is_date(text: str) -> bool:
    """A day of a calendar as 2021-05-21, alone or with its time of day as T02:38, T02:38:13.001Z or T02:38:13+05:30.

    A blank may stand for the T.
    """
    # Python takes more than that: weeks, any sign for the T, T001 for a time. Of the usual form it is enough to see the
    # marks, since Python looks at the digits between; that takes a third of the time.
    if not (len(text) == 24 and text[4:20:3] == "--T::." and text[23] == "Z") and not _looks_like_date(text):
        return False
    try:
        _parse(text)
    except ValueError:
        return False
    return _FIRST_DAY <= text < _AFTER


_looks_like_date = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"(?:[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]+)?)?(?:Z|[+-][0-9]{2}(?::?[0-9]{2})?)?)?"
).fullmatch
_parse = datetime.fromisoformat


class Form(NamedTuple):
    """What a field's text must be. code: what a dead letter says of another one. words: what is usable.

    holds: asked of texts without control characters alone, which no field can use; None where any of those will do.
    """

    code: str
    holds: Callable[[str], object] | None
    words: str


_DATE = Form(
    "not_a_date",
    is_date,
    f"a day as 2021-05-21, alone or with a time as T02:38:13Z,\nfrom {_FIRST_DAY} to the end of {_LAST_YEAR}",
)
_NAME = Form("control_character", None, "text without control characters; one of the two will do")
_TEXT = Form(
    "control_character",
    None,
    "text without control characters, or a whole number;\ntabs and line ends become blanks",
)
_FORMS = {
    "id": Form("not_uuid", is_uuid, "a UUID, not the nil one"),
    "first_name": _NAME,
    "last_name": _NAME,
    "email": Form("not_email", is_email, "one @ with something on both sides;\nno blank, no control character"),
    "dob": _DATE,
    "registered_date": _DATE,
}
_WHOLE = {
    "not_json": "JSON in UTF-8, nested no deeper than parsers go",
    "not_an_object": "an object",
    "too_large": f"up to {MAX_FRAME_BYTES:,} bytes as a frame;\noptional texts over {LONG:,} characters go first",
}


class Rule(NamedTuple):
    """One field's. place: in FIELDS."""

    place: int
    field: str
    required: bool
    form: Form


RULES = [
    Rule(place, field, contract("user").requires(field), _FORMS.get(field, _TEXT)) for place, field in enumerate(FIELDS)
]
# What is left to look at where no text has a control character: place, whether a text must be there, and what must hold
# of it.
_QUICK = [(rule.place, rule.required, rule.form.holds) for rule in RULES if rule.required or rule.form.holds]
_FIRST_NAME, _LAST_NAME = map(FIELDS.index, ("first_name", "last_name"))


class Verdict(NamedTuple):
    """reasons: why a record is invalid, as code:field in the order of the fields; empty when it is valid. unusable: the
    optional fields whose text was there and could not be used.
    """

    reasons: list[str]
    unusable: list[str]


_USABLE = Verdict([], [])


def judge(texts: list[Text]) -> Verdict:
    """texts: of a record, in the order of FIELDS. In their place, what an optional field can't use becomes None, and
    the name that somebody with one name lacks becomes the empty text.
    """
    first, last = texts[_FIRST_NAME], texts[_LAST_NAME]
    if (first is None) != (last is None):
        texts[_FIRST_NAME if first is None else _LAST_NAME] = ""
    found, unusable = [], []
    for place, field, required, form in RULES:
        text = texts[place]
        if text is None:
            if required:
                found.append(f"missing:{field}")
        elif text is not UNREADABLE and has_no_control(text) and (form.holds is None or form.holds(text)):
            continue
        elif required:
            found.append(f"{'not_text' if text is UNREADABLE else form.code}:{field}")
        else:
            texts[place] = None
            unusable.append(field)
    return Verdict(found, unusable)


def judge_typed(texts: list[Text]) -> Verdict:
    """The same, sooner, for what the short way reads: each is a text without control characters, or None."""
    for place, required, holds in _QUICK:
        text = texts[place]
        if required if text is None else holds and not holds(text):
            return judge(texts)
    return _USABLE


def without_long(texts: Sequence[Text]) -> list[Text]:
    """The texts of a valid record that is too large: those of optional fields that are longer than LONG become None."""
    return [
        text if rule.required or not text or len(text) <= LONG else None
        for rule, text in zip(RULES, texts, strict=True)
    ]


def in_words() -> list[tuple[str, str, str]]:
    """The rules for people: fields, what is usable, and what all else is: the codes of a dead letter, or absent."""
    alike: dict[tuple[str, str], list[str]] = {}
    for rule in RULES:
        otherwise = f"missing, not_text, {rule.form.code}" if rule.required else "absent"
        alike.setdefault((rule.form.words, otherwise), []).append(rule.field)
    whole = [("the record", words, code) for code, words in _WHOLE.items()]
    return [*whole, *((fill(", ".join(fields), 22), *words) for words, fields in alike.items())]
