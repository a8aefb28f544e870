"""The flow of users, and changes to it, to be told apart."""

from collections.abc import Iterator
from typing import Any

from nifi_flows import definition
from nifi_flows.pipeline import USERS
from tests.unit.flows.small_flows import FlowDefinition

FLOW = USERS.flow


def load() -> FlowDefinition:
    flow = definition.load(FLOW)
    for parameter in flow["parameterContexts"]["users"]["parameters"]:
        parameter.pop("value", None)
    return flow


USERS_FLOW = load()


def components_of(flow: FlowDefinition) -> Iterator[dict[str, Any]]:
    for group in definition.groups(flow):
        yield from (c for kind in definition.KINDS for c in group.contents.get(kind) or [])


def find(flow: FlowDefinition, name: str) -> dict[str, Any]:
    return next(c for c in components_of(flow) if c.get("name") == name)


def inner_group(flow: FlowDefinition) -> FlowDefinition:
    inner: FlowDefinition = flow["flowContents"]["processGroups"][0]
    return inner


def find_parameter(flow: FlowDefinition, name: str) -> dict[str, Any]:
    parameters = flow["parameterContexts"]["users"]["parameters"]
    return next(p for p in parameters if p["name"] == name)


def end_of(flow: FlowDefinition, name: str) -> dict[str, Any]:
    """A processor of the root group as an end of a connection."""
    made = {"id": find(USERS_FLOW, name)["identifier"], "name": name, "type": "PROCESSOR"}
    return {**made, "groupId": flow["flowContents"]["identifier"]}


def make_service(identifier: str, name: str) -> dict[str, Any]:
    return {"identifier": identifier, "name": name, "type": "org.example.Reader", "properties": {}}


def add(flow: FlowDefinition) -> None:
    flow["flowContents"]["processors"].append({"identifier": "new", "name": "Log", "type": "org.example.LogAttribute"})


def remove(flow: FlowDefinition) -> None:
    connections = flow["flowContents"]["connections"]
    connections.remove(next(c for c in connections if c["name"] == "received"))


def rename(flow: FlowDefinition) -> None:
    find(flow, "Pull run")["name"] = "Pull"


def lead_elsewhere(flow: FlowDefinition) -> None:
    find(flow, "published")["destination"] = end_of(flow, "Publish dead letters")


def come_from_elsewhere(flow: FlowDefinition) -> None:
    find(flow, "stamped")["source"] = end_of(flow, "Pull run")


def change_property(flow: FlowDefinition) -> None:
    find(flow, "Publish users")["properties"]["Topic"] = "others"


def change_tasks(flow: FlowDefinition) -> None:
    find(flow, "Publish users")["concurrentlySchedulableTaskCount"] = 2


def retype(flow: FlowDefinition) -> None:
    find(flow, "Due?")["type"] = "org.example.Other"


def declare(flow: FlowDefinition) -> None:
    flow["parameterContexts"]["users"]["parameters"].append({"name": "more", "sensitive": False})
