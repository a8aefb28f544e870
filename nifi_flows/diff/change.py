"""The changes from one flow definition to another, as data."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class What(StrEnum):
    """What happened to a component. moved: its place on the canvas changed, and nothing else of it."""

    added = "added"
    removed = "removed"
    renamed = "renamed"
    rewired = "rewired"
    retyped = "type changed"
    regrouped = "moved to another group"
    enabled = "enabled"
    disabled = "disabled"
    property = "property"
    setting = "setting"
    moved = "moved"


@dataclass(frozen=True)
class Ends:
    """What a connection connects. source, destination: names, with their group's when they are ports of another."""

    source: tuple[str, ...]
    relationships: tuple[str, ...]
    destination: tuple[str, ...]


@dataclass(frozen=True)
class Component:
    """One component. kind: as in definition.KINDS, or process group, parameter context and so on.

    name: empty when it has none. type: the class of a processor or service, else empty. ends: of a connection.
    """

    kind: str
    name: str
    identifier: str
    type: str = ""
    ends: Ends | None = None


@dataclass(frozen=True)
class Change:
    """One change of one component.

    subject: the property or setting. before, after: its values, plain data, None where it is not set; names, types or
    Ends for what is no property or setting. hidden: the values look secret, so they are not here.
    """

    what: What
    component: Component
    subject: str = ""
    before: Any = None
    after: Any = None
    hidden: bool = False


@dataclass(frozen=True)
class Section:
    """What changed in one part of the flow: a process group, called by its path, or a parameter context."""

    title: str
    changes: tuple[Change, ...]
