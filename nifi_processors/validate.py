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

_Rule = tuple[int, str, bool, str, Callable[[str], object] | None]  # place in FIELDS, field, required, code, check
_NO_CHECK: tuple[str, None] = ("", None)
RULES: Sequence[_Rule] = [
    (place, name, contract("user").requires(name), *_CHECKS.get(name, _NO_CHECK)) for place, name in enumerate(FIELDS)
]
RULES_OF_TEXTS: Sequence[_Rule] = [rule for rule in RULES if rule[2] or rule[4]]  # where nothing is UNREADABLE


def reasons(texts: Sequence[Text], rules: Sequence[_Rule] = RULES) -> list[str]:
    """Why a record is invalid, as code:field in the order of the fields; empty when it is valid.

    texts: in the order of normalise.FIELDS. rules: RULES_OF_TEXTS will do where every text is one or None.
    """
    found = []
    for place, field, required, code, check in rules:
        text = texts[place]
        if text is None:
            if required:
                found.append(f"missing:{field}")
        elif text is UNREADABLE:
            found.append(f"not_text:{field}")
        elif check is not None and not check(text):
            found.append(f"{code}:{field}")
    return found
