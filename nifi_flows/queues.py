"""Which queues have to run empty before a flow can be replaced by another."""

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
        if connection["identifier"] not in found:
            found[connection["identifier"]] = connection
            waiting += [c for c in present if c["destination"]["id"] == connection["source"]["id"]]
    return _named(found.values())


def _named(connections: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    return {connection["instanceIdentifier"]: _name(connection) for connection in connections}


def _connections(definition: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for group in groups(definition):
        yield from group.contents.get("connections") or []


def _name(connection: Mapping[str, Any]) -> str:
    ends = f"{connection['source'].get('name')} to {connection['destination'].get('name')}"
    return str(connection.get("name") or ends)
