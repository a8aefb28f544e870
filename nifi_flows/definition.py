"""A NiFi flow definition as its JSON has it: read with care, and walked group by group."""

import copy
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nifi_flows.errors import TerminalError
from nifi_flows.wording import printable

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

AGAIN = "export the flow again, on the canvas or with ./scripts/pipeline flow export"
_OBJECTS = ("properties", "bundle", "position", "source", "destination")
_TEXTS = ("autoTerminatedRelationships", "retriedRelationships", "selectedRelationships", "inheritedParameterContexts")
_DEPTH = 100  # of objects and lists, two for a group; Python ends at some hundreds, NiFi's flows need a dozen
_DIGITS = 19  # of Java's longest integer
_FAR = 1e9  # from the middle of a canvas


@dataclass(frozen=True)
class Group:
    """One process group. path: the names from the root group to it. contents: its part of the definition.

    identifiers: those of the groups below the root on the way to it, its own at the end; () is the root's.
    """

    path: tuple[str, ...]
    contents: Mapping[str, Any]
    identifiers: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return " / ".join(self.path)


def load(path: Path) -> dict[str, Any]:
    """Read a flow definition from a file. Raises TerminalError when the file holds none."""
    return parse(text(path), str(path))


def parse(text: str, where: str) -> dict[str, Any]:
    """Read a flow definition from its JSON. where: how messages call it. Raises TerminalError when it is none."""
    definition = outline(text, where)
    broken = next(malformed(definition), None)
    if broken:
        raise TerminalError(f"{where} is no flow definition: {printable(broken[0])}: {broken[1]}", AGAIN)
    return definition


def text(path: Path) -> str:
    """What a file holds. Raises TerminalError when it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:  # no UTF-8; a path with a NUL in it
        raise TerminalError(f"{path} cannot be read: {error}", "name a flow definition, a JSON file") from error


def write(path: Path, text: str) -> None:
    """Write a file as `text` reads it. Raises TerminalError when it cannot be written."""
    try:
        path.write_text(text, encoding="utf-8")
    except (OSError, ValueError) as error:
        raise TerminalError(
            f"{path} cannot be written: {error}", "see to its folder, its owner and its name"
        ) from error


def outline(text: str, where: str) -> dict[str, Any]:
    """As `parse`, for who asks what is `malformed`: of its groups only the root is sure to be there."""
    try:
        definition = json.loads(text, object_pairs_hook=_unrepeated, parse_int=integer, parse_constant=_number)
    except RecursionError as error:
        raise TerminalError(f"{where} is no flow definition: {_TOO_DEEP}", AGAIN) from error
    except ValueError as error:
        raise TerminalError(f"{where} is no flow definition: {error}", "export the flow again") from error
    if not (
        isinstance(definition, dict)
        and isinstance(contents := definition.get("flowContents"), dict)
        and all(isinstance(contents.get(key), str) for key in ("identifier", "name"))
    ):
        raise TerminalError(
            f"{where} is no flow definition: it has no flowContents with an identifier and a name", AGAIN
        )
    encoding = definition.get("flowEncodingVersion") or ENCODING
    if isinstance(encoding, str) and encoding != ENCODING:
        raise TerminalError(
            f"{where} comes from a newer NiFi: its encoding is {printable(encoding)}, known is {ENCODING}",
            "export it from the NiFi that it shall run on",
        )
    return definition


def malformed(flow: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Place and complaint, of all that is not as NiFi writes it and that somebody relies on who walks a definition."""
    if _too_deep(flow):
        yield "flow definition", _TOO_DEEP
        return
    if not _is_text(flow.get("flowEncodingVersion")):
        yield _not("flowEncodingVersion", "a text")
    yield from _group(flow["flowContents"], "flowContents")
    for key in ("externalControllerServices", "parameterProviders"):
        if not _is_objects(flow.get(key)):
            yield _not(key, "an object of objects")
    contexts = flow.get("parameterContexts")
    if not isinstance(contexts, dict | None):
        yield _not("parameterContexts", "an object")
        return
    for name, context in (contexts or {}).items():
        where = f"parameterContexts / {name}"
        yield from _part(context, where)
        for at, parameter in enumerate(_listed(context, "parameters")):
            if not (isinstance(parameter, dict) and isinstance(parameter.get("name"), str)):
                yield _not(f"{where} / parameter {at}", "an object with a name")


def _group(contents: Any, where: str) -> Iterator[tuple[str, str]]:
    if not (isinstance(contents, dict) and isinstance(contents.get("name"), str)):
        yield _not(where, "an object with a name and an identifier")
        return
    yield from _component(contents, where)
    if not _is_text(contents.get("parameterContextName")):
        yield _not(f"{where} / parameterContextName", "a text")
    for kind in KINDS:
        for at, component in enumerate(_listed(contents, kind)):
            yield from _component(component, f"{where} / {kind} {at}")
            for end in ("source", "destination") if kind == "connections" else ():
                yield from _end(component, end, f"{where} / {kind} {at}")
            for ports in ("inputPorts", "outputPorts") if kind == "remoteProcessGroups" else ():
                for n, port in enumerate(_listed(component, ports)):
                    yield from _component(port, f"{where} / {kind} {at} / {ports} {n}")
    for at, inner in enumerate(_listed(contents, "processGroups")):
        yield from _group(inner, f"{where} / processGroups {at}")


def _component(component: Any, where: str) -> Iterator[tuple[str, str]]:
    yield from _part(component, where)
    if isinstance(component, dict) and not (component.get("identifier") and _is_text(component["identifier"])):
        yield _not(where, "an object with an identifier")


def _part(component: Any, where: str) -> Iterator[tuple[str, str]]:
    if not isinstance(component, dict):
        yield _not(where, "an object")
        return
    for key in ("name", "type"):
        if not _is_text(component.get(key)):
            yield _not(f"{where} / {key}", "a text")
    for key in _OBJECTS:
        if not isinstance(component.get(key), dict | None):
            yield _not(f"{where} / {key}", "an object")
    if not _is_objects(component.get("propertyDescriptors")):
        yield _not(f"{where} / propertyDescriptors", "an object of objects")
    for key in _TEXTS:
        if not all(isinstance(one, str) for one in _listed(component, key)):
            yield _not(f"{where} / {key}", "a list of texts")
    position = component.get("position")
    if isinstance(position, dict) and not all(_is_place(value) for value in position.values()):
        yield _not(f"{where} / position", "a place on a canvas")


def _end(connection: Any, key: str, where: str) -> Iterator[tuple[str, str]]:
    end = connection.get(key) or {} if isinstance(connection, dict) else None
    if isinstance(end, dict) and not (
        end.get("id") and all(_is_text(end.get(name)) for name in ("id", "groupId", "name", "type"))
    ):
        yield _not(f"{where} / {key}", "an end with an id")


def _is_text(value: Any) -> bool:
    return isinstance(value, str | None)


def _is_objects(value: Any) -> bool:
    return value is None or (isinstance(value, dict) and all(isinstance(one, dict) for one in value.values()))


def _is_place(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and abs(value) < _FAR)


def _listed(component: Any, key: str) -> list[Any]:
    """What is there instead of a list is one thing that is not as it should be."""
    value = component.get(key) if isinstance(component, dict) else None
    return value if isinstance(value, list) else [] if value is None else [None]


def _not(where: str, wanted: str) -> tuple[str, str]:
    return where, f"it is not {wanted}, as NiFi writes it"


_TOO_DEEP = f"it is more than {_DEPTH} levels deep, which no flow is"


def _too_deep(definition: Mapping[str, Any]) -> bool:
    level: list[Any] = [definition]
    for _ in range(_DEPTH):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer if isinstance(outer, list) else ())
        ]
    return bool(level)


def groups(definition: Mapping[str, Any]) -> Iterator[Group]:
    """The root group and every group in it, each before the groups that it holds."""
    yield from _below(Group((definition["flowContents"]["name"],), definition["flowContents"]))


def _below(group: Group) -> Iterator[Group]:
    yield group
    for inner in group.contents.get("processGroups") or []:
        yield from _below(Group((*group.path, inner["name"]), inner, (*group.identifiers, inner["identifier"])))


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


def integer(text: str) -> int:
    """For json: one of JSON's. Raises ValueError when it is longer than any that NiFi writes."""
    if len(text.lstrip("-")) > _DIGITS:
        raise ValueError(f"it holds a number of {len(text):,} digits")
    return int(text)


def _number(text: str) -> float:
    raise ValueError(f"it holds {text}, which is no number of JSON")


def _unrepeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Of two equal keys, json would silently keep the last."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key!r} is there twice in one object")
        found[key] = value
    return found
