"""The canonical form of a NiFi flow definition: two exports of one flow give the same bytes.

What is left out is minted anew by each import (instance identifiers, the root group's identifier and position),
flickers while Python processors initialise (property descriptors, emptied, since NiFi wants the key), repeats what
stands elsewhere (a connection's copies of the comments at its ends) or is order without meaning (every list but a few).
"""

import json
from typing import Any

_ROOT = "00000000-0000-0000-0000-000000000000"
_MINTED = {"instanceIdentifier", "latest"}
_EMPTIED: dict[str, Any] = {"propertyDescriptors": {}}
_ORDERED = {"bends", "prioritizers", "inheritedParameterContexts"}
_NAMED = {"properties", "parameterContexts"}  # their keys are names that somebody gave
_ENDS = ("source", "destination")
_IDENTIFIED = ("identifier", "name", "id")


def canonical(definition: dict[str, Any]) -> dict[str, Any]:
    """The meaning of a flow definition (the dict form of NiFi's JSON), with everything that is noise removed."""
    contents = definition["flowContents"]
    cleaned: dict[str, Any] = _clean(definition, {contents["identifier"]: _ROOT})
    cleaned["flowContents"]["position"] = {"x": 0.0, "y": 0.0}
    return cleaned


def structure(definition: dict[str, Any]) -> dict[str, Any]:
    """The canonical form without the values of parameters, which belong to an environment and not to the flow."""
    cleaned = canonical(definition)
    for context in cleaned.get("parameterContexts", {}).values():
        for parameter in context.get("parameters", []):
            parameter.pop("value", None)
    return cleaned


def dumps(definition: dict[str, Any]) -> str:
    """The canonical text of a flow definition, as it is kept in git."""
    return json.dumps(canonical(definition), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _clean(value: Any, renamed: dict[str, str], within: str = "") -> Any:
    """within: the key under which the value is found. What somebody named may be called like what is noise."""
    if isinstance(value, dict):
        named = within in _NAMED
        return {
            key: _EMPTIED[key] if key in _EMPTIED and not named else _clean(item, renamed, "" if named else key)
            for key, item in value.items()
            if item is not None and (named or key not in _MINTED) and (key != "comments" or within not in _ENDS)
        }
    if isinstance(value, list):
        cleaned = [_clean(item, renamed) for item in value]
        return cleaned if within in _ORDERED else sorted(cleaned, key=_order)
    if isinstance(value, str):
        return renamed.get(value, value)
    return value


def _order(item: Any) -> str:
    """Components in the order of their identifiers; anything else in that of its text."""
    if isinstance(item, dict):
        return next((str(item[key]) for key in _IDENTIFIED if key in item), json.dumps(item, sort_keys=True))
    return str(item)
