"""Who may use the canvas: the one browser that opened the link, and there only the canvas's own pages.

NiFi takes every request that comes with the proxy's certificate for the administrator's own and, under mutual TLS,
asks for no request token. What is let in here is therefore all that stands between NiFi and other web pages.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from multidict import MultiMapping

COOKIE = "canvas"

_READING = frozenset({"GET", "HEAD"})
_METHODS = _READING | {"POST", "PUT", "DELETE"}  # what NiFi's API knows
_OWN_PAGES = frozenset({None, "same-origin", "none"})  # None: no browser; none: typed in or reloaded

_ANOTHER = "End ./scripts/pipeline canvas with Ctrl-C and run it again for another link."


@dataclass(frozen=True)
class Refusal:
    """status: of HTTP. words: for whoever sees the answer."""

    status: int
    words: str


class Gate:
    """The link's token, which lets in once, and the cookie that the browser gets for it. Both live in memory alone.

    host: name and port that the proxy answers to. Browsers give a cookie to every port of its host, so to servers of
    others on this machine too; a name of its own, which nobody else knows, keeps it here. Browsers take each name
    under localhost for this machine, without asking anybody.
    """

    def __init__(self, port: int) -> None:
        self.host = f"{secrets.token_hex(16)}.localhost:{port}"
        self._token: str | None = secrets.token_urlsafe(32)
        self._session = secrets.token_urlsafe(32)
        self.link = f"http://{self.host}/?token={self._token}"

    def redeem(self, token: str) -> str | None:
        """The cookie's value for the token of the link, which is used up by this; None for any other token."""
        if self._token is None or not _same(token, self._token):
            return None
        self._token = None
        return self._session

    def foreign(self, method: str, target: str, headers: MultiMapping[str]) -> Refusal | None:
        """Why a request is refused whoever sends it: it is meant for, or comes from, somewhere else.

        target: as in the request line. headers: whatever their case. The link itself may be opened from anywhere.
        """
        if [host.lower() for host in headers.getall("Host", [])] != [self.host]:
            return Refusal(421, "This is the local NiFi canvas; it answers under the address of its link alone.")
        if method not in _METHODS:
            return Refusal(405, "The NiFi canvas needs no such method.")
        if not target.startswith("/"):
            return Refusal(400, "The NiFi canvas is no proxy to elsewhere: ask for a path.")
        origins = headers.getall("Origin", [])
        if origins != [f"http://{self.host}"] and (origins or method not in _READING):
            return Refusal(403, "Only the pages of the NiFi canvas itself may do this.")
        if headers.get("Sec-Fetch-Site") not in _OWN_PAGES and not (method == "GET" and is_door(target)):
            # Another port of this name is the same site, so to SameSite it is no stranger; to us it is.
            return Refusal(403, f"Another page has asked for this. {_ANOTHER}")
        return None

    def unknown(self, cookies: Mapping[str, str]) -> Refusal | None:
        """Why a browser is refused that has not come through the link."""
        if _same(cookies.get(COOKIE, ""), self._session):
            return None
        return Refusal(403, f"The NiFi canvas opens by the link that the command printed, once. {_ANOTHER}")


def is_door(target: str) -> bool:
    """Whether a request is for the path of the link, the only one that NiFi does not get."""
    return target.partition("?")[0] == "/"


def _same(one: str, other: str) -> bool:
    return secrets.compare_digest(one.encode(errors="replace"), other.encode(errors="replace"))
