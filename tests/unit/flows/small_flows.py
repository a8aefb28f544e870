"""Flow definitions of a few processors, written as what leads to what."""

import copy
from collections.abc import Iterable, Mapping
from typing import Any

from nifi_flows.definition import groups

FlowDefinition = dict[str, Any]


def flow(
    *connections: str,
    properties: Mapping[str, Mapping[str, str]] | None = None,
    services: Iterable[str] = (),
    parameters: Iterable[str] = (),
    inside: Iterable[FlowDefinition] = (),
    name: str = "users",
    ports: Iterable[str] = (),
) -> FlowDefinition:
    """A definition of connections like "Pull success Publish", with the processors at their ends.

    An identifier is a name here; a connection's is that of its source and its relationship, so that it stays the same
    when it leads elsewhere. ports: the ends which are no processors. inside: groups that it holds.
    """
    drawn = [line.split() for line in connections]
    ends = dict.fromkeys(end for source, _, destination in drawn for end in (source, destination))
    given = properties or {}
    contents = {
        "identifier": f"group {name}",
        "name": name,
        "processors": [
            {"identifier": end, "name": end, "type": f"org.example.{end}", "properties": dict(given.get(end, {}))}
            for end in ends
            if end not in set(ports)
        ],
        "connections": [
            {
                "identifier": f"{source} {relationship}",
                "name": "",
                "source": {"id": source, "name": source},
                "destination": {"id": destination, "name": destination},
                "selectedRelationships": [relationship],
            }
            for source, relationship, destination in drawn
        ],
        "controllerServices": [
            {"identifier": service, "name": service, "type": "org.example.Reader"} for service in services
        ],
        "processGroups": [group["flowContents"] for group in inside],
    }
    declared = [{"name": parameter, "description": "", "sensitive": False} for parameter in parameters]
    return {"flowContents": contents, "parameterContexts": {"users": {"name": "users", "parameters": declared}}}


def exported(definition: FlowDefinition) -> FlowDefinition:
    """The same as NiFi exports it, with the ids on the canvas: "canvas:" and the identifier."""
    found = copy.deepcopy(definition)
    for group in groups(found):
        for kind in ("processors", "connections", "controllerServices"):
            for component in group.contents[kind]:
                component["instanceIdentifier"] = f"canvas:{component['identifier']}"
    return found
