"""What makes a normalised record valid. The Avro schema says which fields must be there; the rest is here."""

import re
from collections.abc import Callable, Sequence
from datetime import datetime

from nifi_processors.contract import contract
from nifi_processors.normalise import FIELDS, UNREADABLE, Text

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def is_email(text: str) -> bool:
    """Exactly one @, with something on both sides."""
    name, _, domain = text.partition("@")
    return bool(name and domain) and "@" not in domain


def is_date(text: str) -> bool:
    """ISO 8601, as datetime.fromisoformat reads it."""
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


_CHECKS: dict[str, tuple[str, Callable[[str], object]]] = {
    "id": ("not_uuid", _UUID.fullmatch),
    "email": ("not_email", is_email),
    "dob": ("not_a_date", is_date),
    "registered_date": ("not_a_date", is_date),
}

_Plan = tuple[str, bool, str, Callable[[str], object] | None]
_NO_CHECK: tuple[str, None] = ("", None)
_PLAN: Sequence[_Plan] = [(name, contract("user").requires(name), *_CHECKS.get(name, _NO_CHECK)) for name in FIELDS]


def reasons(texts: Sequence[Text]) -> list[str]:
    """Why a record is invalid, as code:field in the order of the fields; empty when it is valid.

    texts: in the order of normalise.FIELDS.
    """
    found = []
    for text, (field, required, code, check) in zip(texts, _PLAN, strict=False):
        if text is None:
            if required:
                found.append(f"missing:{field}")
        elif text is UNREADABLE:
            found.append(f"not_text:{field}")
        elif check is not None and not check(text):
            found.append(f"{code}:{field}")
    return found
