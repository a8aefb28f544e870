"""Users broken on purpose, and the reason codes that whoever reads them must give.

Whether a user is broken, and how, is a function of seed, index and shares alone. The others keep their bytes, and who
is broken at some share of all kinds is broken in the same way at every greater one.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from . import chance, people

User = dict[str, Any]


class Kind(NamedTuple):
    """A way to break a user, and the codes it then deserves, in the order of the schema's fields."""

    breaking: Callable[[User], Any]
    reasons: tuple[str, ...]


def _without(*path: str) -> Callable[[User], Any]:
    def breaking(user: User) -> Any:
        del _parent(user, path)[path[-1]]
        return user

    return breaking


def _changed(change: Callable[[str], object], *path: str) -> Callable[[User], Any]:
    def breaking(user: User) -> Any:
        parent = _parent(user, path)
        parent[path[-1]] = change(parent[path[-1]])
        return user

    return breaking


def _as(value: object, *path: str) -> Callable[[User], Any]:
    return _changed(lambda _: value, *path)


def _parent(user: User, path: tuple[str, ...]) -> User:
    for key in path[:-1]:
        user = user[key]
    return user


KINDS = {
    "record_null": Kind(lambda _: None, ("not_an_object",)),
    "record_text": Kind(lambda user: user["email"], ("not_an_object",)),
    "record_array": Kind(lambda user: [user], ("not_an_object",)),
    "login_missing": Kind(_without("login"), ("missing:id",)),
    "uuid_null": Kind(_as(None, "login", "uuid"), ("missing:id",)),
    "uuid_not_a_uuid": Kind(_changed(lambda uuid: uuid[:-1] + "x", "login", "uuid"), ("not_uuid:id",)),
    "name_missing": Kind(_without("name"), ("missing:first_name", "missing:last_name")),
    "names_blank": Kind(_as({"first": "  ", "last": ""}, "name"), ("missing:first_name", "missing:last_name")),
    "first_name_number": Kind(_as(7, "name", "first"), ("not_text:first_name",)),
    "last_name_control": Kind(_as("Li\0", "name", "last"), ("control_character:last_name",)),
    "email_missing": Kind(_without("email"), ("missing:email",)),
    "email_null": Kind(_as(None, "email"), ("missing:email",)),
    "email_array": Kind(_changed(lambda email: [email], "email"), ("not_text:email",)),
    "email_without_at": Kind(_changed(lambda email: email.replace("@", "."), "email"), ("not_email:email",)),
    "email_two_ats": Kind(_changed(lambda email: f"{email}@example.com", "email"), ("not_email:email",)),
    "email_without_domain": Kind(_changed(lambda email: email.partition("@")[0] + "@", "email"), ("not_email:email",)),
    "email_two_lines": Kind(_changed(lambda email: email.replace("@", "\n@"), "email"), ("not_email:email",)),
    "uuid_nil": Kind(_as("00000000-0000-0000-0000-000000000000", "login", "uuid"), ("not_uuid:id",)),
}
NAMES = tuple(KINDS)
ANY = "any"
NONE: Mapping[str, float] = MappingProxyType({})

REASONS: dict[str, tuple[str, ...]] = {name: kind.reasons for name, kind in KINDS.items()}


def invalid_kind(seed: str, index: int, share: float, by_kind: Mapping[str, float] = NONE) -> str | None:
    """Return the kind (a key of REASONS) of the user that the seed has at the index, or None for a valid one.

    share: part of all users that is invalid in any kind. by_kind: kind -> part of all users that is invalid in just
    this one, beside those. All from 0.0 to 1.0, as is their sum.
    """
    return _kind(seed, index, _parts(share, by_kind))


def _parts(share: float, by_kind: Mapping[str, float]) -> list[tuple[str, float]]:
    return [(ANY, share), *((name, by_kind[name]) for name in NAMES if name in by_kind)]


def _kind(seed: str, index: int, parts: list[tuple[str, float]]) -> str | None:
    at, kind = chance.numbers(f"{index}\0{seed}", b"invalid")
    drawn = chance.drawn(at, parts)
    return NAMES[kind % len(NAMES)] if drawn == ANY else drawn


def broken(user: bytes, kind: str) -> bytes:
    """Break a valid user's JSON in one of the kinds."""
    return json.dumps(KINDS[kind].breaking(json.loads(user)), ensure_ascii=False, separators=(",", ":")).encode()


def users(
    seed: str,
    indices: range,
    nationalities: Iterable[str] = (),
    share: float = 0.0,
    by_kind: Mapping[str, float] = NONE,
) -> Iterator[bytes]:
    """Yield the same as people.users, with some of them broken: share and by_kind as in invalid_kind."""
    valid = people.users(seed, indices, nationalities)
    if not share and not by_kind:
        return valid
    parts = _parts(share, by_kind)
    kinds = (_kind(seed, index, parts) for index in indices)
    return (broken(user, kind) if kind else user for user, kind in zip(valid, kinds, strict=True))
