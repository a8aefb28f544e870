"""What the rules look at: the flow with its parts by name and its wiring, and what else was given."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from nifi_flows import definition
from nifi_flows.definition import Group
from nifi_flows.inventory import Bundle, Definition, Inventory, Property, bundle
from nifi_flows.lint.config import Options
from nifi_flows.lint.python_processors import Discovered

# Of the groups that hold a component, and its own: copies of a versioned group hold the same identifiers.
Key = tuple[tuple[str, ...], str]
_ENDS = ("processors", "inputPorts", "outputPorts", "funnels")


@dataclass(frozen=True)
class PlacedComponent:
    """One component, and where it is. kind: a key of definition.KINDS. contents: its part of the definition."""

    kind: str
    group: Group
    contents: Mapping[str, Any]

    @property
    def identifier(self) -> str:
        return str(self.contents.get("identifier") or "")

    @property
    def key(self) -> Key:
        return self.group.identifiers, self.identifier

    @property
    def name(self) -> str:
        return str(self.contents.get("name") or "")

    @property
    def type(self) -> str:
        return str(self.contents.get("type") or "")

    @property
    def simple_type(self) -> str:
        """The type without its package."""
        return self.type.rpartition(".")[2]

    @property
    def bundle(self) -> Bundle:
        return bundle(self.contents)

    @property
    def where(self) -> str:
        return f"{self.group.name} / {self.name.strip() or self._unnamed}"

    @property
    def _unnamed(self) -> str:
        if self.kind == "connections":
            return f"{end_name(self.contents, 'source')} to {end_name(self.contents, 'destination')}"
        return self.simple_type or definition.KINDS[self.kind]

    @property
    def properties(self) -> dict[str, str]:
        """Those that have a value."""
        told = self.contents.get("properties") or {}
        return {name: str(value) for name, value in told.items() if value is not None}

    def listed(self, key: str) -> list[str]:
        return [str(one) for one in self.contents.get(key) or []]


def end_name(connection: Mapping[str, Any], end: str) -> str:
    """How messages call the source or destination of a connection."""
    told = connection.get(end) or {}
    return str(told.get("name") or str(told.get("type") or "nothing").lower().replace("_", " "))


@dataclass(frozen=True)
class Subject:
    """previous: the definition before. processors: what is in the files of our Python processors, by class.

    values: those of an environment's parameters, None for one without. What was not given is None.
    """

    flow: Mapping[str, Any]
    options: Options = field(default_factory=Options)
    previous: Mapping[str, Any] | None = None
    inventory: Inventory | None = None
    processors: Mapping[str, Discovered] | None = None
    values: Mapping[str, str | None] | None = None

    @cached_property
    def groups(self) -> list[Group]:
        return list(definition.groups(self.flow))

    @cached_property
    def parts(self) -> list[PlacedComponent]:
        return list(parts(self.flow))

    def of(self, *kinds: str) -> Iterator[PlacedComponent]:
        return (part for part in self.parts if part.kind in kinds)

    def end(self, connection: PlacedComponent, side: str) -> PlacedComponent | None:
        """The component at the source or destination: beside the connection, or a port of a group beside it.

        One of another group than the connection names is found all the same.
        """
        told, here = connection.contents.get(side) or {}, connection.group
        group, identifier = told.get("groupId") or here.contents["identifier"], str(told.get("id"))
        path = here.identifiers if group == here.contents["identifier"] else (*here.identifiers, group)
        return self._ends.get((path, identifier)) or self._ends_anywhere.get(identifier)

    @cached_property
    def _ends(self) -> dict[Key, PlacedComponent]:
        return {part.key: part for part in self.of(*_ENDS)}

    @cached_property
    def _ends_anywhere(self) -> dict[str, PlacedComponent]:
        return {part.identifier: part for part in self.of(*_ENDS)}

    @cached_property
    def remote(self) -> set[str]:
        """Identifiers of the ports of remote process groups."""
        return {
            str(port.get("identifier"))
            for part in self.of("remoteProcessGroups")
            for key in ("inputPorts", "outputPorts")
            for port in part.contents.get(key) or []
        }

    @cached_property
    def into(self) -> dict[Key, list[PlacedComponent]]:
        """Key -> the connections that lead to it."""
        return self._wired("destination")

    @cached_property
    def out_of(self) -> dict[Key, list[PlacedComponent]]:
        """Key -> the connections that leave it."""
        return self._wired("source")

    @cached_property
    def services(self) -> set[str]:
        """Identifiers of the controller services, of the flow and outside it."""
        inside = {part.identifier for part in self.of("controllerServices")}
        return inside | set(self.flow.get("externalControllerServices") or {})

    @cached_property
    def parameters(self) -> list[tuple[str, Mapping[str, Any]]]:
        """Name of a parameter context, and a parameter that it declares."""
        contexts = self.flow.get("parameterContexts") or {}
        return [(name, one) for name, context in contexts.items() for one in context.get("parameters") or []]

    def _wired(self, side: str) -> dict[Key, list[PlacedComponent]]:
        found: dict[Key, list[PlacedComponent]] = {}
        for connection in self.of("connections"):
            if part := self.end(connection, side):
                found.setdefault(part.key, []).append(connection)
        return found

    def fed(self, part: PlacedComponent) -> bool:
        """Whether anything but itself leads to it."""
        return any(self.end(connection, "source") is not part for connection in self.into.get(part.key, []))

    def leads_on(self, part: PlacedComponent) -> bool:
        """Whether it leads to anything but itself."""
        return any(self.end(connection, "destination") is not part for connection in self.out_of.get(part.key, []))

    def ours(self, part: PlacedComponent) -> Discovered | None:
        """What the file of a Python processor says, where the file is at hand."""
        return (self.processors or {}).get(part.type) if part.bundle.python else None

    def defined(self, part: PlacedComponent) -> Definition | None:
        """What its type takes: from our own file before the target, which has that file only after a deploy."""
        ours = self.ours(part)
        if ours is not None:
            return ours.definition
        return self.inventory.definitions.get(part.type) if self.inventory else None

    def property(self, part: PlacedComponent, name: str) -> Property | None:
        found = self.defined(part)
        return next((one for one in found.properties if name in one.names), None) if found else None


def parts(flow: Mapping[str, Any]) -> Iterator[PlacedComponent]:
    """Every component of a flow definition, but groups."""
    groups = list(definition.groups(flow))
    ends = (one for group in groups for kind in _ENDS for one in group.contents.get(kind) or [])
    names = {str(one.get("identifier")): one.get("name") for one in ends}
    for group in groups:
        for kind in definition.KINDS:
            for told in group.contents.get(kind) or []:
                yield PlacedComponent(kind, group, _with_names(told, names) if kind == "connections" else told)


def _with_names(connection: Mapping[str, Any], names: Mapping[str, str | None]) -> Mapping[str, Any]:
    """With the names of its ends, which not every NiFi writes."""
    ends = {end: connection.get(end) or {} for end in ("source", "destination")}
    return {
        **connection,
        **{end: {**told, "name": told.get("name") or names.get(str(told.get("id")))} for end, told in ends.items()},
    }
