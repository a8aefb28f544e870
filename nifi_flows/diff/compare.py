"""Compare two flow definitions, component by component."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from nifi_flows import sensitive
from nifi_flows.definition import KINDS, groups
from nifi_flows.diff.change import Change, Component, Ends, Section, What
from nifi_flows.diff.difference import Difference
from nifi_flows.diff.index import CONNECTION, FlowIndex, Item, Key, Path, index
from nifi_flows.diff.parameter_contexts import beside_groups
from nifi_flows.diff.settings import differing, settings
from nifi_flows.errors import TerminalError

_AFTER, _BEFORE = "after", "before"
_SIDES = ("source", "destination")
_INSIDE = {"processGroups", *KINDS}  # of a group: components of their own
_ELSEWHERE = {  # told by a change of its own, or what a connection repeats of the components at its ends
    "componentType",
    "destination",
    "groupIdentifier",
    "identifier",
    "name",
    "properties",
    "propertyDescriptors",
    "scheduledState",
    "selectedRelationships",
    "source",
    "type",
}
_PLACE = {"position", "bends", "labelIndex", "zIndex", "width", "height"}


@dataclass(frozen=True)
class _Both:
    """Two flows, and which components are the same in them: key before -> key after."""

    before: FlowIndex
    after: FlowIndex
    pairs: Mapping[Key, Key]


def compare(before: Mapping[str, Any], after: Mapping[str, Any]) -> Difference:
    """What changed from one flow definition to another, both in the dict form of NiFi's JSON.

    Parameters' values are compared where both definitions have one. Raises TerminalError when one isn't whole.
    """
    with _whole():
        flows = index(before), index(after)
        return Difference(tuple(_sections(_Both(*flows, _pairs(*flows)))))


def removed_connections(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The connections of before, as they stand there, that NiFi removes when it replaces that by after.

    Beside those that are gone NiFi removes, and makes anew, those that are in another group or have another source.
    Their queues must be empty by then. Raises TerminalError when a definition isn't whole.
    """
    with _whole():
        kept = {(key, after["source"]["id"]) for key, after in _connections(after)}
        return [connection for key, connection in _connections(before) if (key, connection["source"]["id"]) not in kept]


@contextmanager
def _whole() -> Iterator[None]:
    """A definition may hold anything below what definition.parse looks at."""
    try:
        yield
    except (AttributeError, IndexError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise TerminalError(
            f"a flow definition isn't whole: {type(error).__name__}: {str(error)[:100]}", "export the flow again"
        ) from error


def _connections(definition: Mapping[str, Any]) -> Iterator[tuple[Key, dict[str, Any]]]:
    for group in groups(definition):
        for connection in group.contents.get("connections") or []:
            yield (group.identifiers, connection["identifier"]), connection


def _sections(flows: _Both) -> Iterator[Section]:
    before, after, pairs = flows.before, flows.after, flows.pairs
    changes: dict[tuple[str, Path], list[Change]] = defaultdict(list)
    for key, item in before.items.items():
        if key in pairs:
            changes[_AFTER, pairs[key][0]] += _changes(flows, item, after.items[pairs[key]])
        else:
            changes[_place_of_removed(flows, item)].append(Change(What.removed, before.component(item)))
    matched = set(pairs.values())
    for key, item in after.items.items():
        if key not in matched:
            changes[_AFTER, key[0]].append(Change(What.added, after.component(item)))
    for flow, which in ((after, _AFTER), (before, _BEFORE)):
        for path, title in flow.titles.items():
            if told := changes.get((which, path)):
                yield Section(title, tuple(sorted(told, key=_order)))
    yield from beside_groups(before.definition, after.definition)


def _pairs(before: FlowIndex, after: FlowIndex) -> dict[Key, Key]:
    """Components are the same in the same place; what is left of before, wherever it is in after.

    An identifier alone would not do: two copies of a versioned group hold the same ones.
    """
    pairs = {key: key for key in before.items if key in after.items}
    elsewhere: dict[tuple[str, str], list[Key]] = defaultdict(list)
    for key, item in after.items.items():
        if key not in pairs:
            elsewhere[item.kind, key[1]].append(key)
    for key, item in before.items.items():
        if key not in pairs and (found := elsewhere[item.kind, key[1]]):
            pairs[key] = found.pop(0)
    return pairs


def _place_of_removed(flows: _Both, item: Item) -> tuple[str, Path]:
    """Told with the rest of its group, under the name that this has now, unless the group is gone too."""
    holder = flows.pairs.get(flows.before.holder(item))
    if holder is None:
        return _BEFORE, item.key[0]
    return _AFTER, (*holder[0], holder[1]) if item.key[0] else ()


def _order(change: Change) -> tuple[int, str, str, str]:
    """What was added and removed first; then component by component."""
    component = change.component
    rank = {What.added: 0, What.removed: 1}.get(change.what, 2)
    return rank, component.kind, component.name, component.identifier


def _changes(flows: _Both, old: Item, new: Item) -> Iterator[Change]:
    component = flows.after.component(new)
    if old.kind != new.kind:
        yield Change(What.retyped, component, before=old.kind, after=new.kind)
        return
    told = list(_told(flows, old, new, component))
    yield from told
    if not told and any(old.contents.get(key) != new.contents.get(key) for key in _PLACE):
        yield Change(What.moved, component)


def _told(flows: _Both, old: Item, new: Item, component: Component) -> Iterator[Change]:
    """All that changed of a component but its place on the canvas."""
    before, after = flows.before, flows.after
    if old.type != new.type:
        yield Change(What.retyped, component, before=old.type, after=new.type)
    if flows.pairs.get(before.holder(old)) != after.holder(new):
        yield Change(What.regrouped, component, before=before.titles[old.key[0]], after=after.titles[new.key[0]])
    if old.contents.get("name") != new.contents.get("name"):
        yield Change(What.renamed, component, before=old.name, after=new.name)
    if old.kind == CONNECTION:
        yield from _rewired(flows, old, new, component)
    yield from _state(old, new, component)
    for name, value, other in differing(old.contents.get("properties") or {}, new.contents.get("properties") or {}):
        services = before.service(value), after.service(other)
        told = services if services[0] != services[1] else (value, other)  # another service of the same name
        typed = [one for one, called in zip((value, other), services, strict=True) if one == called]
        if any(sensitive.may_hold(name, one) for one in typed):
            yield Change(What.property, component, name, hidden=True)
        else:
            yield Change(What.property, component, name, *told)
    yield from settings(component, old.contents, new.contents, _INSIDE | _ELSEWHERE | _PLACE)


def _state(old: Item, new: Item, component: Component) -> Iterator[Change]:
    states = [item.contents.get("scheduledState", "ENABLED") for item in (old, new)]
    if states[0] == states[1]:
        return
    if "DISABLED" in states:
        yield Change(What.disabled if states[1] == "DISABLED" else What.enabled, component)
    else:
        yield Change(What.setting, component, "run state", *states)


def _rewired(flows: _Both, old: Item, new: Item, component: Component) -> Iterator[Change]:
    before, after = flows.before.ends(old), flows.after.ends(new)
    same = [_same_end(flows, old, new, side) for side in _SIDES]
    if all(same) and before.relationships == after.relationships:
        return
    for side, kept in zip(_SIDES, same, strict=True):
        if kept:  # whatever it is called by now
            before = replace(before, **{side: getattr(after, side)})
        elif getattr(before, side) == getattr(after, side):  # another of the same name
            before, after = _identified(before, old, side), _identified(after, new, side)
    yield Change(What.rewired, component, before=before, after=after)


def _same_end(flows: _Both, old: Item, new: Item, side: str) -> bool:
    ends = flows.before.end(old, side), flows.after.end(new, side)
    if ends[0] in flows.before.items and ends[1] in flows.after.items:
        return flows.pairs.get(ends[0]) == ends[1]
    return all(old.contents[side].get(part) == new.contents[side].get(part) for part in ("groupId", "id"))


def _identified(ends: Ends, connection: Item, side: str) -> Ends:
    *group, name = getattr(ends, side)
    return replace(ends, **{side: (*group, f"{name} ({connection.contents[side]['id']})")})
