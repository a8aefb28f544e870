"""From the body of an HTTP answer to the users in it, and to the exact bytes of each."""

import codecs
import re
from collections.abc import Sequence
from functools import cached_property

import msgspec

from nifi_processors.errors import PageRefused
from nifi_processors.normalise import MALFORMED
from nifi_processors.typed import User, may_have_control

MAX_BYTES = 64 * 1024 * 1024
MAX_RECORDS = 5_000  # the most that is asked for; each takes a microsecond of the page's time, see stamp.py

Record = bytes | msgspec.Raw


class _Elements(msgspec.Struct):
    results: list[msgspec.Raw]
    info: msgspec.Raw = msgspec.Raw(b"null")


class _TypedPage(msgspec.Struct):
    results: list[User]
    info: msgspec.Raw = msgspec.Raw(b"null")


class _Info(msgspec.Struct):
    page: object = None
    results: object = None


_decode_elements = msgspec.json.Decoder(_Elements).decode
_decode_typed_page = msgspec.json.Decoder(_TypedPage).decode
_decode_info = msgspec.json.Decoder(_Info).decode

# What structures JSON: whole strings (so that brackets in them don't count), brackets, commas, and a stray quote.
_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[][{},]|"', re.DOTALL)
_OPENS = {b"]": b"[", b"}": b"{"}
_RESULTS, _INFO = b'"results"[', b'"info"{'
_BLANKS = b" \t\r\n"


class Page:
    """A page of users.

    users: all of them, where every one has the types of typed.py and no control character; None for any other page.
    """

    def __init__(self, content: bytes, number: int) -> None:
        """number: the page that was asked for. One malformed record does not cost the page.

        Raises PageRefused with page_not_json, page_has_no_results, page_empty, page_has_too_many, page_number_differs
        or page_count_differs.
        """
        self._content = content.removeprefix(codecs.BOM_UTF8)
        page = _typed(self._content)
        self.users: list[User] | None = page.results if page else None
        found, info = (page.results, page.info) if page else self._elements
        _check(len(found), info, number)

    @property
    def records(self) -> Sequence[Record]:
        """The elements of `results`, each as the exact bytes received, those of malformed ones too."""
        return self._elements[0]

    @cached_property
    def _elements(self) -> tuple[Sequence[Record], Record]:
        """The records and the page's `info`."""
        try:
            page = _decode_elements(self._content)
        except msgspec.ValidationError:
            raise PageRefused("page_has_no_results") from None
        except (msgspec.DecodeError, RecursionError):
            return _slices(self._content)
        return page.results, page.info


def _typed(content: bytes) -> _TypedPage | None:
    if may_have_control(content):
        return None
    try:
        return _decode_typed_page(content)
    except MALFORMED:
        return None


def _check(count: int, info: Record, number: int) -> None:
    if not count:
        raise PageRefused("page_empty")
    if count > MAX_RECORDS:
        raise PageRefused("page_has_too_many")
    named = _info(info)
    # An answer that names itself must be the one asked for. Sources differ in writing numbers as numbers or as text.
    if named.page is not None and str(named.page) != str(number):
        raise PageRefused("page_number_differs")
    if named.results is not None and str(named.results) != str(count):
        raise PageRefused("page_count_differs")


def _info(info: Record) -> _Info:
    try:
        return _decode_info(info)
    except MALFORMED:
        return _Info()


def _slices(content: bytes) -> tuple[list[bytes], bytes]:
    """The elements of `results` and the `info` of a page that no JSON parser takes, found by brackets alone."""
    body = content.strip(_BLANKS)
    if not body.startswith(b"{"):
        raise PageRefused("page_not_json")
    found: list[bytes] | None = None
    info = b"null"
    opened: list[bytes] = []
    name, part, start, end = b"", b"", 0, 0
    for match in _TOKEN.finditer(body):
        token = match.group()
        if end or token == b'"':  # something follows the page's last bracket, or a string has no end
            raise PageRefused("page_not_json")
        if token in b"[{":
            opened.append(token)
            if len(opened) == 2:
                part, start = name + token, match.start()
                if part == _RESULTS:
                    found, start = [], match.end()
        elif token in b"]}":
            if not opened or opened.pop() != _OPENS[token]:
                raise PageRefused("page_not_json")
            if not opened:
                end = match.end()
            elif len(opened) == 1 and part == _INFO:
                info = body[start : match.end()]
            elif len(opened) == 1 and part == _RESULTS and found is not None:
                last = body[start : match.start()].strip(_BLANKS)
                if last or found:
                    found.append(last)
        elif token == b",":
            if len(opened) == 2 and part == _RESULTS and found is not None:
                found.append(body[start : match.start()].strip(_BLANKS))
                start = match.end()
        elif len(opened) == 1:
            name = token
    if opened or end != len(body):
        raise PageRefused("page_not_json")
    if found is None:
        raise PageRefused("page_has_no_results")
    if b"" in found:
        raise PageRefused("page_not_json")
    return found, info
