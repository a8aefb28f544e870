"""Which requests for a page go wrong, and how: a function of seed, page size, page and attempt alone."""

from collections.abc import Mapping

from . import chance

SLOW = 3.0  # seconds
HANG = 120.0  # seconds; longer than a client waits

# Every fault, and what a client gets to see.
FAULTS = {
    "429": "429 with Retry-After: 1",
    "429-bare": "429 without Retry-After",
    "500": "500",
    "slow": f"the page, after {SLOW:g} s",
    "hang": f"nothing for {HANG:g} s, then the connection is closed",
    "reset": "half of the page, then a TCP reset",
    "truncated": "half of the page as if it were all of it",
    "html": "200 and a login page in HTML",
    "empty": "a page without users",
    "forged": "the page, with headers that are called like attributes of the flow",
    "forged-429": "429 with such headers",
    "reshaped": 'the page with its users under "data"',
    "reshaped-users": 'the page with each user inside {"user": ...}: nothing in it can be a row',
}

REMEMBERED = 10_000  # pages whose attempts are counted

Page = tuple[str, int, int]  # seed, users a page, number of the page


def fault(page: Page, attempt: int, rates: Mapping[str, float]) -> str | None:
    """Return the fault that strikes this attempt at a page, or None.

    attempt: how often the page was asked for before. rates: fault -> part of all requests that it strikes.
    """
    seed, size, number = page
    at, _ = chance.numbers(f"{size}\0{number}\0{attempt}\0{seed}", b"fault")
    return chance.drawn(at, ((name, rates[name]) for name in FAULTS if name in rates))


class Attempts:
    """Strikes requests as they come, counting the attempts at each page since the rates were set."""

    def __init__(self) -> None:
        self._rates: Mapping[str, float] = {}
        self._counts: dict[Page, int] = {}

    def fault(self, page: Page, rates: Mapping[str, float]) -> str | None:
        """Return the fault of the next attempt at the page. Another `rates` object begins the counting anew."""
        if rates is not self._rates:
            self._rates, self._counts = rates, {}
        if not rates:
            return None
        attempt = self._counts.pop(page, 0)
        self._counts[page] = attempt + 1  # last, so that the first is the one that was asked for longest ago
        if len(self._counts) > REMEMBERED:
            del self._counts[next(iter(self._counts))]
        return fault(page, attempt, rates)
