"""What a NiFi can run, and a flow held against it."""

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from nipyapi import nifi
from nipyapi.nifi.rest import ApiException

from nifi_flows import inventory as inventories
from nifi_flows import lint
from nifi_flows.errors import TerminalError
from nifi_flows.inventory import Definition, Property
from tests.unit.flows.lint.linting import CONFIG, OURS, STANDARD, every, found, processor, target


def test_an_inventory_survives_its_file(tmp_path: Path) -> None:
    path = tmp_path / "inventory.json"
    path.write_text(inventories.dump(target(OURS)))
    assert inventories.load(path) == target(OURS)
    kept = json.loads(path.read_text())
    nameless = copy.deepcopy(kept)
    kept["definitions"][f"{STANDARD}.InvokeHTTP"]["relationships"] = [1]
    nameless["definitions"][f"{STANDARD}.InvokeHTTP"]["properties"][0]["names"] = []
    for broken in ("{}", "[" * 100_000, "1" * 5_000, json.dumps(kept), json.dumps(nameless)):
        path.write_text(broken)
        with pytest.raises(TerminalError, match="no inventory") as refused:
            inventories.load(path)
        assert "sys." not in str(refused.value)


class NiFiOfTheFlow:
    """NiFi's API as far as an inventory asks it: InvokeHTTP has no definition, but is on the canvas."""

    invoke = f"{STANDARD}.InvokeHTTP"

    def get_about_info(self) -> Any:
        return nifi.AboutEntity(about=nifi.AboutDTO(version="2.3.0"))

    def get_processor_types(self) -> Any:
        used = {one["type"]: nifi.BundleDTO(**one["bundle"]) for one in every(OURS, "processors")}
        listed = [nifi.DocumentedTypeDTO(type=name, bundle=told) for name, told in used.items()]
        return nifi.ProcessorTypesEntity(processor_types=listed)

    def get_controller_service_types(self) -> Any:
        return nifi.ControllerServiceTypesEntity(controller_service_types=[])

    def get_processor_definition(self, group: str, artifact: str, version: str, type: str) -> Any:
        if type == self.invoke:
            raise ApiException(status=404, reason="Not Found")
        told = nifi.PropertyDescriptor(name="key", display_name="Key", required=True, default_value="a")
        told.allowable_values = [nifi.PropertyAllowableValue(value="a")]
        return nifi.ProcessorDefinition(
            type=type,
            property_descriptors={"key": told},
            supported_relationships=[nifi.Relationship(name="success")],
            supports_dynamic_relationships=type.endswith("RouteOnAttribute"),
            supports_dynamic_properties=type.endswith("RouteOnAttribute"),
            input_requirement="INPUT_REQUIRED",
        )

    def get_processors(self, group: str, include_descendant_groups: bool) -> Any:
        allowed = nifi.AllowableValueEntity(allowable_value=nifi.AllowableValueDTO(value="GET"))
        method = nifi.PropertyDescriptorDTO(name="HTTP Method", allowable_values=[allowed], required=True)
        header = nifi.PropertyDescriptorDTO(name="X-Mine", dynamic=True)
        config = nifi.ProcessorConfigDTO(descriptors={"HTTP Method": method, "X-Mine": header})
        component = nifi.ProcessorDTO(type=self.invoke, config=config, input_requirement="INPUT_ALLOWED")
        return nifi.ProcessorsEntity(processors=[nifi.ProcessorEntity(component=component)])

    def get_controller_services_from_group(self, group: str, include_descendant_groups: bool) -> Any:
        return nifi.ControllerServicesEntity(controller_services=[])


def test_an_inventory_is_read_from_definitions_and_else_from_the_canvas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nifi, "FlowApi", NiFiOfTheFlow)
    monkeypatch.setattr(nifi, "ProcessGroupsApi", NiFiOfTheFlow)
    read = inventories.read(OURS)
    assert (read.nifi, read.types) == ("2.3.0", target(OURS).types)
    key = Property(("key", "Key"), allowed=("a",), required=True, default="a")
    update = "org.apache.nifi.processors.attributes.UpdateAttribute"
    assert read.definitions[update] == Definition((key,), False, ("success",), "INPUT_REQUIRED")
    assert read.definitions[f"{STANDARD}.RouteOnAttribute"] == Definition((key,), True, None, "INPUT_REQUIRED")
    assert read.definitions["PullRun"] == Definition((key,), True), "of Python NiFi makes the rest up"
    method = Property(("HTTP Method",), allowed=("GET",), required=True)
    assert read.definitions[f"{STANDARD}.InvokeHTTP"] == Definition((method,), True, None, "INPUT_ALLOWED")


def test_a_bundle_of_another_nifi_is_named_with_the_nifi_that_is_there() -> None:
    flow = copy.deepcopy(OURS)
    processor(flow, "Fetch page")["bundle"]["version"] = "2.4.0"
    (told,) = (one for one in found(flow, inventory=target(OURS)) if one.code == "NF050")
    assert "from a NiFi 2.3.0, not 2.4.0" in told.remedy
    processor(flow, "Fetch page")["bundle"].update(group="org.example")
    (told,) = (one for one in found(flow, inventory=target(OURS)) if one.code == "NF050")
    assert told.remedy == "install org.example:nifi-standard-nar:2.4.0 there"


def test_our_own_processors_need_not_be_on_the_target_yet() -> None:
    nifi = target(OURS)
    types = {name: bundles for name, bundles in nifi.types.items() if not bundles[0].python}
    assert found(OURS, inventory=replace(nifi, types=types)) == []
    codes = {one.code for one in lint.lint(OURS, CONFIG, inventory=replace(nifi, types=types))}
    assert codes == {"NF050"}
