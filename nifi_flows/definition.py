"""A NiFi flow definition as its JSON has it: read with care, and walked group by group."""

import copy
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nifi_flows.errors import TerminalError

ENCODING = "1.0"  # flowEncodingVersion of every NiFi 1.x and 2.x so far

# Key of a group's contents -> what one of its components is called.
KINDS = {
    "processors": "processor",
    "controllerServices": "controller service",
    "connections": "connection",
    "inputPorts": "input port",
    "outputPorts": "output port",
    "funnels": "funnel",
    "labels": "label",
    "remoteProcessGroups": "remote process group",
}


@dataclass(frozen=True)
class Group:
    """One process group. path: the names from the root group to it. contents: its part of the definition."""

    path: tuple[str, ...]
    contents: Mapping[str, Any]

    @property
    def name(self) -> str:
        return " / ".join(self.path)


def load(path: Path) -> dict[str, Any]:
    """Read a flow definition from a file. Raises TerminalError when the file holds none."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise TerminalError(f"{path} cannot be read: {error}", "name a flow definition, a JSON file") from error
    return parse(text, str(path))


def parse(text: str, where: str) -> dict[str, Any]:
    """Read a flow definition from its JSON. where: how messages call it. Raises TerminalError when it is none."""
    try:
        definition = json.loads(text, object_pairs_hook=_unrepeated)
    except (ValueError, RecursionError) as error:
        raise TerminalError(f"{where} is no flow definition: {error}", "export the flow again") from error
    if not (
        isinstance(definition, dict)
        and isinstance(contents := definition.get("flowContents"), dict)
        and all(isinstance(contents.get(key), str) for key in ("identifier", "name"))
    ):
        raise TerminalError(
            f"{where} is no flow definition: it has no flowContents with an identifier and a name",
            "export the flow again, on the canvas or with ./scripts/pipeline flow export",
        )
    encoding = definition.get("flowEncodingVersion") or ENCODING
    if encoding != ENCODING:
        raise TerminalError(
            f"{where} comes from a newer NiFi: its encoding is {encoding}, known is {ENCODING}",
            "export it from the NiFi that it shall run on",
        )
    return definition


def groups(definition: Mapping[str, Any]) -> Iterator[Group]:
    """The root group and every group in it, each before the groups that it holds."""
    yield from _groups(definition["flowContents"], ())


def _groups(contents: Mapping[str, Any], above: tuple[str, ...]) -> Iterator[Group]:
    path = (*above, contents["name"])
    yield Group(path, contents)
    for inner in contents.get("processGroups") or []:
        yield from _groups(inner, path)


def parameters(definition: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Parameter name -> its declaration, of every parameter context that the definition brings."""
    contexts = definition.get("parameterContexts") or {}
    return {p["name"]: p for context in contexts.values() for p in context.get("parameters") or []}


def with_values(definition: dict[str, Any], values: Mapping[str, str]) -> dict[str, Any]:
    """The definition with these values for those of its parameters that they name."""
    filled = copy.deepcopy(definition)
    for context in (filled.get("parameterContexts") or {}).values():
        for parameter in context.get("parameters") or []:
            if parameter["name"] in values:
                parameter["value"] = values[parameter["name"]]
    return filled


def _unrepeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Of two equal keys, json would silently keep the last."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key!r} is there twice in one object")
        found[key] = value
    return found
