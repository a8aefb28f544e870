"""Which queues have to run empty before a flow can be replaced by another."""

import copy
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from nifi_flows.definition import groups
from nifi_flows.diff import removed_connections


def removed(exported: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, str]:
    """Queues that the replace removes: id on the canvas -> name.

    exported: as NiFi exports it, with the canvas' own ids. NiFi keeps a queue whose destination changes; it refuses to
    remove one that holds FlowFiles.
    """
    return _named(removed_connections(exported, wanted))


def leading_to_removed(exported: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, str]:
    """The queues that the replace removes, and all those whose FlowFiles would still come into them; as `removed`."""
    present = list(_connections(exported))
    found: dict[str, Mapping[str, Any]] = {}
    waiting: list[Mapping[str, Any]] = [*removed_connections(exported, wanted)]
    while waiting:
        connection = waiting.pop()
        if connection["instanceIdentifier"] not in found:
            found[connection["instanceIdentifier"]] = connection
            waiting += [c for c in present if c["destination"]["id"] == connection["source"]["id"]]
    return _named(found.values())


def handed_over(exported: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """The flow as exported, but what waits for a component that is not wanted waits for a wanted one instead.

    For the one to which the wanted flow sends what comes from the same place, so that nothing queued has to stay with
    what is about to be removed. Queues for which there is none in their group stay as they are.
    """
    flow = copy.deepcopy(dict(exported))
    present, onward = list(_connections(exported)), list(_connections(wanted))
    places, wanted_places = _groups_of(exported), _groups_of(wanted)
    kept = _components(wanted)
    there = kept & _components(exported)

    def goal(connection: Mapping[str, Any], seen: frozenset[str]) -> Mapping[str, Any] | None:
        source = connection["source"]["id"]
        if source in kept:
            return next((c for c in onward if c["source"]["id"] == source and _same_way(c, connection)), None)
        leading = [c for c in present if c["destination"]["id"] == source and c["identifier"] not in seen]
        goals = (goal(c, seen | {c["identifier"]}) for c in leading)
        return next((found for found in goals if found), None)

    for connection in _connections(flow):
        if connection["destination"]["id"] not in kept:
            found = goal(connection, frozenset({connection["identifier"]}))
            if not found or found["destination"]["id"] not in there:
                continue
            if wanted_places[found["identifier"]] == places[connection["identifier"]]:
                connection["destination"] = dict(found["destination"])  # type: ignore[index]
    return flow


def _groups_of(flow: Mapping[str, Any]) -> dict[str, str]:
    """Identifier of each connection -> its group's, empty for the root, whose identifier each import mints anew."""
    return {
        connection["identifier"]: group.contents["identifier"] if len(group.path) > 1 else ""
        for group in groups(flow)
        for connection in group.contents.get("connections") or []
    }


def _same_way(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether they take the same relationship; what is no processor has none."""
    ways = [set(connection.get("selectedRelationships") or []) for connection in (one, other)]
    return bool(ways[0] & ways[1]) or not (ways[0] or ways[1])


def _components(flow: Mapping[str, Any]) -> set[str]:
    """Identifiers of all that a connection can begin or end at."""
    kinds = ("processors", "inputPorts", "outputPorts", "funnels")
    return {c["identifier"] for group in groups(flow) for kind in kinds for c in group.contents.get(kind) or []}


def unwanted_processors(exported: Mapping[str, Any], wanted: Mapping[str, Any]) -> set[str]:
    """Ids on the canvas of the processors that the wanted flow does not have."""
    names = {p["identifier"] for group in groups(wanted) for p in group.contents.get("processors") or []}
    present = (p for group in groups(exported) for p in group.contents.get("processors") or [])
    return {p["instanceIdentifier"] for p in present if p["identifier"] not in names}


def _named(connections: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    return {connection["instanceIdentifier"]: _name(connection) for connection in connections}


def _connections(definition: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for group in groups(definition):
        yield from group.contents.get("connections") or []


def _name(connection: Mapping[str, Any]) -> str:
    ends = f"{connection['source'].get('name')} to {connection['destination'].get('name')}"
    return str(connection.get("name") or ends)
