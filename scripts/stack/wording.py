"""How many things are told on one line."""

from collections.abc import Sequence


def some(items: Sequence[object], named: int) -> str:
    """The first `named` of them, and how many more there are."""
    more = len(items) - named
    return ", ".join(str(item) for item in items[:named]) + (f" and {more} more" if more > 0 else "")
