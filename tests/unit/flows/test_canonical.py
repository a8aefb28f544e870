"""The canonical form of a flow: what NiFi mints or shuffles leaves no trace, whatever somebody meant does."""

import copy
import difflib
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nifi_flows import definition
from nifi_flows.canonical import canonical, dumps, structure
from nifi_flows.errors import TerminalError
from nifi_flows.pipeline import USERS

ORDERED = ("bends", "prioritizers", "inheritedParameterContexts")


@pytest.fixture
def flow() -> dict[str, Any]:
    return definition.load(USERS.flow)


def _processors(group: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from group["processors"]
    for inner in group["processGroups"]:
        yield from _processors(inner)


def _connections(group: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from group["connections"]
    for inner in group["processGroups"]:
        yield from _connections(inner)


def _processor(flow: dict[str, Any], name: str) -> dict[str, Any]:
    return next(p for p in _processors(flow["flowContents"]) if p["name"] == name)


def _exported(value: Any, chance: random.Random, within: str = "") -> Any:
    """As another import and export of the same flow would have it."""
    if isinstance(value, dict):
        items = list(value.items())
        chance.shuffle(items)
        made = {key: _exported(item, chance, key) for key, item in items}
        if "propertyDescriptors" in made:
            made["propertyDescriptors"] = {"Topic": {"name": "Topic", "displayName": "Topic", "sensitive": False}}
        if "componentType" in made:
            made["instanceIdentifier"] = f"{chance.getrandbits(64):x}"
            made["comments"] = made.get("comments")
        return made
    if isinstance(value, list):
        listed = [_exported(item, chance) for item in value]
        if within not in ORDERED:
            chance.shuffle(listed)
        return listed
    return value


def _replaced(text: str, old: str, new: str) -> dict[str, Any]:
    replaced: dict[str, Any] = json.loads(text.replace(old, new))
    return replaced


def test_the_flow_in_git_is_canonical(flow: dict[str, Any]) -> None:
    assert dumps(flow).encode() == USERS.flow.read_bytes()


@pytest.mark.parametrize("seed", range(5))
def test_another_export_of_the_same_flow_gives_the_same_bytes(seed: int) -> None:
    chance = random.Random(seed)
    root = f"{chance.getrandbits(64):x}"
    flow = json.loads(USERS.flow.read_text())
    export = _replaced(json.dumps(_exported(flow, chance)), flow["flowContents"]["identifier"], root)
    export["flowContents"]["position"] = {"x": chance.uniform(-900, 900), "y": 7.0}
    export["latest"] = None
    assert export["flowContents"]["identifier"] == root
    assert dumps(export).encode() == USERS.flow.read_bytes()
    assert structure(export) == structure(flow)


def test_canonical_leaves_its_argument_alone(flow: dict[str, Any]) -> None:
    before = copy.deepcopy(flow)
    structure(flow)
    assert flow == before


def test_the_canonical_form_is_its_own(flow: dict[str, Any]) -> None:
    assert canonical(canonical(flow)) == canonical(flow)


def _changed_lines(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    lines = difflib.unified_diff(dumps(before).splitlines(), dumps(after).splitlines(), n=0, lineterm="")
    return [line for line in lines if line[0] in "+-" and not line.startswith(("+++", "---"))]


def test_one_changed_property_touches_one_line(flow: dict[str, Any]) -> None:
    changed = copy.deepcopy(flow)
    _processor(changed, "Fetch page")["properties"]["Socket Read Timeout"] = "31 secs"
    removed, added = (line.split() for line in _changed_lines(flow, changed))
    assert removed == ["-", '"Socket', "Read", 'Timeout":', '"15', 'secs",']
    assert added == ["+", '"Socket', "Read", 'Timeout":', '"31', 'secs",']
    assert structure(changed) != structure(flow)


def test_a_property_that_is_added_touches_one_line(flow: dict[str, Any]) -> None:
    changed = copy.deepcopy(flow)
    _processor(changed, "Plan retry")["properties"]["retry:extra"] = "1"
    assert len(_changed_lines(flow, changed)) == 1
    assert structure(changed) != structure(flow)


def _with_interfaces(flow: dict[str, Any], *versions: str) -> dict[str, Any]:
    """The flow with a service that implements interfaces of these versions, in this order."""
    interfaces = [
        {"type": "org.example.Reader", "bundle": {"artifact": "api", "group": "org.example", "version": version}}
        for version in versions
    ]
    service = {"identifier": "s", "name": "reader", "controllerServiceApis": interfaces}
    changed = copy.deepcopy(flow)
    changed["flowContents"]["controllerServices"] = [service]
    return changed


def test_the_interfaces_of_a_service_have_no_order(flow: dict[str, Any]) -> None:
    assert dumps(_with_interfaces(flow, "1", "2")) == dumps(_with_interfaces(flow, "2", "1"))


@pytest.mark.parametrize("name", ["latest", "source", "bends", "propertyDescriptors"])
def test_a_parameter_context_may_be_named_like_what_is_noise(flow: dict[str, Any], name: str) -> None:
    contexts = flow["parameterContexts"]
    contexts[name] = {"name": name, "comments": "why", "parameters": [{"name": "one"}]}
    assert canonical(flow)["parameterContexts"][name] == contexts[name]


@pytest.mark.parametrize("name", ["latest", "instanceIdentifier", "propertyDescriptors"])
def test_an_attribute_may_be_named_like_what_is_noise(flow: dict[str, Any], name: str) -> None:
    changed = copy.deepcopy(flow)
    _processor(changed, "Stamp time of receipt")["properties"][name] = "${now()}"
    told = [line for line in _changed_lines(flow, changed) if line.startswith(f'+          "{name}"')]
    assert told and "${now()}" in told[0]


def test_bends_keep_their_order(flow: dict[str, Any]) -> None:
    bent = copy.deepcopy(flow)
    connection = next(c for c in _connections(bent["flowContents"]) if len(c["bends"]) > 1)
    connection["bends"].reverse()
    assert dumps(bent) != dumps(flow)
    cleaned = {c["identifier"]: c for c in _connections(canonical(bent)["flowContents"])}
    assert cleaned[connection["identifier"]]["bends"] == connection["bends"]


def test_prioritizers_and_inherited_contexts_keep_their_order(flow: dict[str, Any]) -> None:
    ways = ["org.apache.nifi.prioritizer.OldestFlowFileFirst", "org.apache.nifi.prioritizer.FirstInFirstOut"]

    def made(prioritizers: list[str], inherited: list[str]) -> str:
        other = copy.deepcopy(flow)
        next(_connections(other["flowContents"]))["prioritizers"] = prioritizers
        other["parameterContexts"]["users"]["inheritedParameterContexts"] = inherited
        return dumps(other)

    assert made(ways, ["b", "a"]) != made(ways[::-1], ["b", "a"])
    assert made(ways, ["b", "a"]) != made(ways, ["a", "b"])


def test_structure_ignores_the_values_of_parameters_and_nothing_else(flow: dict[str, Any]) -> None:
    deployed = copy.deepcopy(flow)
    parameters = deployed["parameterContexts"]["users"]["parameters"]
    for parameter in parameters:
        parameter["value"] = "of another environment"
    assert structure(deployed) == structure(flow)
    assert canonical(deployed) != canonical(flow)
    del parameters[0]["value"]
    assert structure(deployed) == structure(flow)
    parameters[0]["description"] = "something else"
    assert structure(deployed) != structure(flow)


@pytest.mark.parametrize("change", ["parameter", "processor", "connection", "label"])
def test_structure_sees_what_is_missing(flow: dict[str, Any], change: str) -> None:
    less = copy.deepcopy(flow)
    contents = less["flowContents"]
    {
        "parameter": less["parameterContexts"]["users"]["parameters"],
        "processor": contents["processors"],
        "connection": contents["processGroups"][0]["connections"],
        "label": contents["labels"],
    }[change].pop()
    assert structure(less) != structure(flow)


def test_a_flow_without_parameters_has_a_structure(flow: dict[str, Any]) -> None:
    del flow["parameterContexts"]
    assert "flowContents" in structure(flow)


def test_texts_stay_readable_in_git(flow: dict[str, Any]) -> None:
    flow["flowContents"]["comments"] = "Zoë → 東京"
    assert "Zoë → 東京" in dumps(flow)
    assert dumps(flow).endswith("}\n")


@pytest.mark.parametrize(
    "content",
    [
        None,
        b"",
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b"{}",
        b'{"flowContents": {}}',
        b'{"flowContents": []}',
        b'{"flowContents": {"identifier": "x"}}',
        b'{"flowContents": {"name": "\xff", "identifier": "x"}}',
        b'{"flowContents": {"name": "a", "identifier": "x", "name": "b"}}',
        b'{"flowContents": {"name": "a", "identifier": "x"}, "flowEncodingVersion": "2.0"}',
        b"[" * 100_000,
        b'{"flowContents": {"name": "a", "identifier": "x"}, "flowEncodingVersion": 1.0}',
        b'{"flowContents": {"name": "a", "identifier": "x", "labels": %s}}' % (b"[" * 100 + b"]" * 100),
        b'{"flowContents": {"name": "a", "identifier": "x", "zIndex": %s}}' % (b"1" * 5_000),
        b'{"flowContents": {"name": "a", "identifier": "x", "zIndex": NaN}}',
        b'{"flowContents": {"name": "a", "identifier": "x", "processors": [{"name": "p"}]}}',
        b'{"flowContents": {"name": "a", "identifier": "x"}, "parameterContexts": {"a\\nb": 5}}',
    ],
)
def test_what_is_no_flow_definition_is_refused_by_its_path(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "flow.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(TerminalError) as refused:
        definition.load(path)
    told = ("is no flow definition: ", "cannot be read: ", "comes from a newer NiFi: ")
    assert str(refused.value).startswith(tuple(f"{path} {how}" for how in told))
    assert "\n" not in str(refused.value) and "sys." not in str(refused.value)
    assert refused.value.remedy


def test_a_parameter_context_may_hold_none(flow: dict[str, Any]) -> None:
    flow["parameterContexts"]["empty"] = {"name": "empty", "parameters": None}
    assert structure(flow)["parameterContexts"]["empty"] == {"name": "empty"}
