"""Words for people: how many things are named on one line, and what others have written on one."""

import re
from collections.abc import Sequence

_ERROR = 120  # characters of an error, in a table or behind a name
_LONGEST = 240  # characters of what others have written


def some(items: Sequence[object], named: int) -> str:
    """The first `named` of them, and how many more there are."""
    more = len(items) - named
    return ", ".join(str(item) for item in items[:named]) + (f" and {more} more" if more > 0 else "")


def one_line(text: str) -> str:
    """Text of somebody else's on one line: no control characters that a terminal would obey, and not too long."""
    return cut(re.sub(r" +", " ", unbroken(text[: 4 * _LONGEST])).strip(), _LONGEST)


def unbroken(text: str) -> str:
    """All of it on one line, with a space for each character that a terminal would obey."""
    return "".join(character if character.isprintable() else " " for character in text)


def first_line(error: Exception, longest: int = _ERROR) -> str:
    """What an error says first, at most so many characters; its type when it says nothing."""
    return (str(error).splitlines() or [repr(error)])[0][:longest]


def cut(text: str, longest: int) -> str:
    """Text of so many characters at most, the last of them an ellipsis if there was more."""
    return text if len(text) <= longest else text[: longest - 1] + "…"


def printable(text: str) -> str:
    """All of it on one line, with escapes for what steers a terminal or turns the direction of writing."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
