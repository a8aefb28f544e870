"""The flow of users, its parts by name, and lint as it is configured for it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from nifi_flows import definition, lint
from nifi_flows import inventory as inventories
from nifi_flows.inventory import Bundle, Definition, Inventory, Property
from nifi_flows.lint import Config, Finding
from nifi_flows.pipeline import USERS
from scripts.bootstrap import ROOT
from tests.unit.flows.small_flows import FlowDefinition

OURS = definition.load(USERS.flow)
PROCESSORS = Path(ROOT, "nifi_processors", "processors")
CONFIG = lint.load_config(USERS.lint)
STANDARD = "org.apache.nifi.processors.standard"
SERVICE = "0f0f0f0f-0000-1000-8000-000000000000"


def every(flow: FlowDefinition, kind: str) -> list[dict[str, Any]]:
    return [part for group in definition.groups(flow) for part in group.contents.get(kind) or []]


def named(flow: FlowDefinition, kind: str, name: str) -> dict[str, Any]:
    return next(part for part in every(flow, kind) if part["name"] == name)


def processor(flow: FlowDefinition, name: str) -> dict[str, Any]:
    return named(flow, "processors", name)


def declared(flow: FlowDefinition) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = flow["parameterContexts"]["users"]["parameters"]
    return found


def disconnect(flow: FlowDefinition, *names: str) -> None:
    for group in definition.groups(flow):
        connections = group.contents["connections"]
        connections[:] = [one for one in connections if one["name"] not in names]


def target(flow: FlowDefinition) -> Inventory:
    """A NiFi that has all types of our flow, with definitions of those that are not Python."""
    types: dict[str, tuple[Bundle, ...]] = {}
    for one in every(flow, "processors"):
        types[one["type"]] = (inventories.bundle(one),)
    invoke = Definition(
        (
            Property(("HTTP Method",), allowed=("GET", "POST"), required=True),
            Property(("HTTP URL",), required=True),
            Property(("SSL Context Service", "ssl-context"), service=True),
            *(
                Property((name,))
                for name in processor(OURS, "Fetch page")["properties"]
                if not name.startswith("HTTP ")
            ),
        ),
        dynamic=False,
        relationships=("Original", "Response", "Failure", "Retry", "No Retry"),
        input="INPUT_ALLOWED",
    )
    update = Definition((Property(("Store State",)),), dynamic=True, relationships=("success",), input="INPUT_REQUIRED")
    attributes = "org.apache.nifi.processors.attributes.UpdateAttribute"
    return Inventory("2.3.0", types, {f"{STANDARD}.InvokeHTTP": invoke, attributes: update})


def add_copy(flow: FlowDefinition, **changes: object) -> None:
    flow["flowContents"]["processors"].append(
        {**processor(flow, "Stamp time of receipt"), "identifier": "x", **changes}
    )


def twin(flow: FlowDefinition) -> None:
    for _ in range(2):
        one = {
            **named(flow, "connections", "stamped"),
            "name": "",
            "identifier": f"twin{len(every(flow, 'connections'))}",
        }
        flow["flowContents"]["connections"].append(one)


def funnel(flow: FlowDefinition) -> None:
    group = flow["flowContents"]
    group["funnels"].append({"identifier": "f", "position": {"x": 0, "y": 9999}, "componentType": "FUNNEL"})
    named(flow, "connections", "stamped")["destination"] = {"id": "f", "type": "FUNNEL", "name": "Funnel"}


def setting(name: str, /, **changes: object) -> Callable[[FlowDefinition], object]:
    return lambda flow: processor(flow, name).update(changes)


def property_(name: str, /, **changes: str) -> Callable[[FlowDefinition], object]:
    return lambda flow: processor(flow, name)["properties"].update({k.replace("_", " "): v for k, v in changes.items()})


def connection(name: str, /, **changes: object) -> Callable[[FlowDefinition], object]:
    return lambda flow: named(flow, "connections", name).update(changes)


def found(flow: FlowDefinition, config: Config = CONFIG, **given: Any) -> list[Finding]:
    return lint.lint(flow, config, **{"processors": PROCESSORS, **given})
