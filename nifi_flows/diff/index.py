"""The components of a flow definition, each under the identifiers that stay with it."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from nifi_flows.canonical import canonical
from nifi_flows.definition import KINDS, groups
from nifi_flows.diff.change import Component, Ends
from nifi_flows.errors import TerminalError

Path = tuple[str, ...]  # identifiers of groups from below the root on; () is the root
Key = tuple[Path, str]  # path of the group that holds a component, and its own identifier

GROUP, CONNECTION = "process group", "connection"
_TYPED = {"processor", "controller service"}


@dataclass(frozen=True)
class Item:
    """A component where it was found. key: identifiers of the groups that hold it, below the root, and its own."""

    key: Key
    kind: str
    contents: Mapping[str, Any]

    @property
    def name(self) -> str:
        if self.kind == "label":
            return str(self.contents.get("label", "")).partition("\n")[0]
        return str(self.contents.get("name", ""))

    @property
    def type(self) -> str:
        return str(self.contents.get("type", "")) if self.kind in _TYPED else ""


@dataclass(frozen=True)
class FlowIndex:
    """A definition by its identifiers. titles: path of a group -> the names on it."""

    definition: Mapping[str, Any]
    root: str
    items: Mapping[Key, Item]
    titles: Mapping[Path, str]

    def holder(self, item: Item) -> Key:
        """The group that holds a component, and the root group for itself."""
        path = item.key[0]
        return (path[:-1], path[-1]) if path else ((), self.root)

    def end(self, connection: Item, side: str) -> Key:
        """The component at an end of a connection: one beside it, or a port of a group beside it."""
        path, end, here = connection.key[0], connection.contents[side], self.holder(connection)[1]
        group = end.get("groupId", here)
        return (path if group == here else (*path, group), end["id"])

    def place(self, connection: Item, side: str) -> tuple[str, ...]:
        """The component at an end by its name, after that of its group when it is not beside the connection."""
        path, identifier = self.end(connection, side)
        called, found = connection.contents[side].get("name"), self.items.get((path, identifier))
        name = str(called or (found and found.name) or identifier)  # not every NiFi writes the names of ends
        if path == connection.key[0]:
            return (name,)
        group = self.items.get((path[:-1], path[-1]))
        return (group.name if group else path[-1], name)

    def ends(self, connection: Item) -> Ends:
        relationships = tuple(sorted(connection.contents.get("selectedRelationships") or []))
        return Ends(self.place(connection, "source"), relationships, self.place(connection, "destination"))

    def component(self, item: Item) -> Component:
        ends = self.ends(item) if item.kind == CONNECTION else None
        return Component(item.kind, item.name, item.key[1], item.type, ends)

    def service(self, value: Any) -> Any:
        """A property's value, by its name when it is a controller service of this flow."""
        return self._services.get(value, value) if isinstance(value, str) else value

    @cached_property
    def _services(self) -> Mapping[str, str]:
        return {key[1]: item.name for key, item in self.items.items() if item.kind == "controller service"}


def index(definition: Mapping[str, Any]) -> FlowIndex:
    """Index a definition, in its canonical form. Raises TerminalError when two components can't be told apart."""
    cleaned = canonical(dict(definition))
    contents = cleaned["flowContents"]
    root = Item(((), contents["identifier"]), GROUP, contents)
    items, titles = {root.key: root}, {}
    for group in groups(cleaned):
        path = group.identifiers
        titles[path] = group.name
        for key, kind in (("processGroups", GROUP), *KINDS.items()):
            for component in group.contents.get(key) or []:
                item = Item((path, component["identifier"]), kind, component)
                if item.key in items:
                    raise TerminalError(
                        f"two components in {group.name} have the identifier {item.key[1]}", "export the flow again"
                    )
                items[item.key] = item
    return FlowIndex(cleaned, contents["identifier"], items, titles)
