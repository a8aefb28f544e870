"""Words for people: many things, and texts of others, on one line."""

import pytest

from nifi_flows.wording import cut, one_line, printable, some


@pytest.mark.parametrize(
    ("items", "words"), [([], ""), (["a"], "a"), (["a", "b"], "a, b"), (["a", "b", "c", 4], "a, b and 2 more")]
)
def test_some_are_named_and_the_rest_counted(items: list[object], words: str) -> None:
    assert some(items, named=2) == words


def test_a_text_of_others_is_one_short_line() -> None:
    assert one_line(" a\n\tb\x1b[31m \u202ec ") == "a b [31m c"
    assert one_line("x" * 1000) == "x" * 239 + "…"


def test_a_cut_text_shows_that_there_was_more() -> None:
    assert (cut("four", 4), cut("fives", 4)) == ("four", "fiv…")


def test_a_printable_text_keeps_every_character() -> None:
    assert printable("Zoë \n\x1b\u202e") == "Zoë \\n\\x1b\\u202e"
    assert printable("plain") == "plain"
