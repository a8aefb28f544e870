"""Chance without dice: what happens to a thing is a function of its name alone, and happens to a given part of all."""

from collections.abc import Iterable
from hashlib import blake2b

_ALL = 2.0**64


def numbers(name: str, of: bytes) -> tuple[int, int]:
    """Two independent numbers from 0 to 2**64 - 1, spread evenly over all names.

    of: up to 16 bytes that keep one use of the same names apart from another.
    """
    digest = blake2b(name.encode(errors="surrogatepass"), digest_size=16, person=of).digest()
    return int.from_bytes(digest[:8], "big"), int.from_bytes(digest[8:], "big")


def drawn(number: int, parts: Iterable[tuple[str, float]]) -> str | None:
    """Return the part that the number falls into, of parts laid end to end, or None beyond them all.

    number: 0 to 2**64 - 1. parts: (name, size) with sizes of 0.0 to 1.0 that come to 1.0 at most.
    """
    end = 0.0
    for name, size in parts:
        end += size * _ALL
        if number < end:
            return name
    return None
