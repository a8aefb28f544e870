"""Words for people: how many things are named on one line, and what others have written on one."""

import re
from collections.abc import Sequence

_LONGEST = 240  # characters of what others have written
_ERROR = 120  # characters of an error, in a table or behind a name


def some(items: Sequence[object], named: int) -> str:
    """The first `named` of them, and how many more there are."""
    more = len(items) - named
    return ", ".join(str(item) for item in items[:named]) + (f" and {more} more" if more > 0 else "")


def one_line(text: str) -> str:
    """Text of somebody else's on one line: no control characters that a terminal would obey, and not too long."""
    printable = "".join(character if character.isprintable() else " " for character in text[: 4 * _LONGEST])
    line = re.sub(r" +", " ", printable).strip()
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"


def first_line(error: Exception) -> str:
    """What an error says first, at most 120 characters; its type when it says nothing."""
    return (str(error).splitlines() or [repr(error)])[0][:_ERROR]
