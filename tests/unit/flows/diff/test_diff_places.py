"""Where components are and which are the same; and what a deploy asks of a difference."""

import copy
import json
import re

from nifi_flows import definition
from nifi_flows.diff import What, compare, removed_connections
from tests.unit.flows.diff.changes import (
    add,
    change_tasks,
    come_from_elsewhere,
    components_of,
    declare,
    find,
    inner_group,
    lead_elsewhere,
    make_service,
    remove,
    rename,
    retype,
)
from tests.unit.flows.small_flows import FlowDefinition


def test_what_only_moved_is_on_one_line(before: FlowDefinition, after: FlowDefinition) -> None:
    for component in components_of(after):
        if "position" in component:
            component["position"]["x"] += 8
    find(after, "refused: fetch again")["bends"].pop()
    found = compare(before, after)
    assert {change.what for change in found.changes} == {What.moved}
    assert [line.partition(":")[0] for line in found.lines()] == ["users", "users / Fetch pages"]
    assert "'Publish users'" in found.lines()[0]
    assert re.search(r" and \d+ more|refused: fetch again", found.lines()[0])


def test_a_move_is_not_told_beside_another_change(before: FlowDefinition, after: FlowDefinition) -> None:
    change_tasks(after)
    find(after, "Publish users")["position"]["x"] = 0.0
    (line,) = compare(before, after).lines()
    assert line == "users: processor 'Publish users' (PublishUsers): concurrent tasks: 4 -> 2"


def test_a_component_in_another_group_is_the_same_one(before: FlowDefinition, after: FlowDefinition) -> None:
    processor = find(after, "Stamp time of receipt")
    after["flowContents"]["processors"].remove(processor)
    inner_group(after)["processors"].append({**processor, "groupIdentifier": inner_group(after)["identifier"]})
    found = compare(before, after)
    assert found.lines() == [
        "users / Fetch pages: processor 'Stamp time of receipt' (UpdateAttribute): moved here from 'users'"
    ]
    assert found.adds_components


def test_a_group_that_moves_takes_along_what_is_in_it(before: FlowDefinition, after: FlowDefinition) -> None:
    inner = after["flowContents"]["processGroups"].pop()
    outer = {"identifier": "outer", "name": "Outer", "processGroups": [inner], "componentType": "PROCESS_GROUP"}
    after["flowContents"]["processGroups"].append(outer)
    found = compare(before, after)
    assert [c.what for c in found.changes if c.component.name == "Fetch pages"] == [What.regrouped]
    held = {c["identifier"] for kind in definition.KINDS for c in inner.get(kind) or []}
    assert not [change for change in found.changes if change.component.identifier in held]


def test_a_removed_group_is_told_with_what_was_in_it(before: FlowDefinition, after: FlowDefinition) -> None:
    after["flowContents"]["processGroups"] = []
    found = compare(before, after)
    assert "users: removed process group 'Fetch pages'" in found.lines()
    assert "users / Fetch pages: removed input port 'pages'" in found.lines()


def test_copies_of_a_versioned_group_hold_the_same_identifiers(before: FlowDefinition) -> None:
    twin = copy.deepcopy(inner_group(before))
    twin["identifier"], twin["name"] = "twin", "Twin"
    before["flowContents"]["processGroups"].append(twin)
    after = copy.deepcopy(before)
    next(p for p in after["flowContents"]["processGroups"][1]["processors"] if p["name"] == "Due?")["comments"] = "x"
    assert [line.partition(":")[0] for line in compare(before, after).lines()] == ["users / Twin"]
    after = copy.deepcopy(before)
    find(after, "next page")["destination"]["groupId"] = "twin"
    (line,) = compare(before, after).lines()
    assert line.endswith("now goes to 'pages' of 'Twin' instead of 'pages' of 'Fetch pages'")


def test_another_component_of_the_same_name_is_told_by_its_identifier(before: FlowDefinition) -> None:
    before["flowContents"]["processors"].append({**find(before, "Any invalid?"), "identifier": "other"})
    after = copy.deepcopy(before)
    find(after, "published")["destination"]["id"] = "other"
    assert "'Any invalid? (other)' instead of 'Any invalid? (b352a528" in compare(before, after).lines()[0]


def test_a_renamed_end_is_no_rewiring(before: FlowDefinition, after: FlowDefinition) -> None:
    rename(after)
    for connection in (c for c in components_of(after) if c["componentType"] == "CONNECTION"):
        for side in ("source", "destination"):
            if connection[side]["name"] == "Pull run":
                connection[side]["name"] = "Pull"
    assert [change.what for change in compare(before, after).changes] == [What.renamed]


def test_an_end_without_a_name_is_called_by_its_component(before: FlowDefinition, after: FlowDefinition) -> None:
    remove(after)
    for side in ("source", "destination"):
        del find(before, "received")[side]["name"]
    words = "removed connection 'received' from 'fetched' of 'Fetch pages' to 'Stamp time of receipt'"
    assert words in compare(before, after).as_text()


def test_a_controller_service_is_called_by_its_name(before: FlowDefinition) -> None:
    before["flowContents"]["controllerServices"] = [
        make_service("s1", "JSON"),
        make_service("s2", "Avro"),
        make_service("s3", "Avro"),
    ]
    find(before, "Publish users")["properties"]["Reader"] = "s1"
    after = copy.deepcopy(before)
    find(after, "Publish users")["properties"]["Reader"] = "s2"
    assert "property 'Reader': 'JSON' -> 'Avro'" in compare(before, after).lines()[0]
    other = copy.deepcopy(after)
    find(other, "Publish users")["properties"]["Reader"] = "s3"
    assert "property 'Reader': 's2' -> 's3'" in compare(after, other).lines()[0]


def test_removed_connections_are_those_that_nifi_takes_away(before: FlowDefinition, after: FlowDefinition) -> None:
    for connection in (c for c in components_of(before) if c["componentType"] == "CONNECTION"):
        connection["instanceIdentifier"] = f"on canvas {connection['name']}"
    assert removed_connections(before, after) == []
    lead_elsewhere(after)  # keeps its queue
    assert removed_connections(before, after) == []
    come_from_elsewhere(after)  # NiFi can't change a source in place
    assert [c["instanceIdentifier"] for c in removed_connections(before, after)] == ["on canvas stamped"]
    remove(after)
    moved = inner_group(after)["connections"].pop()
    after["flowContents"]["connections"].append(moved)
    assert sorted(c["name"] for c in removed_connections(before, after)) == sorted(
        ["received", "stamped", moved["name"]]
    )


def test_a_minted_root_identifier_removes_no_connection(before: FlowDefinition) -> None:
    exported = json.loads(json.dumps(before).replace(before["flowContents"]["identifier"], "minted"))
    assert removed_connections(exported, before) == []


def test_a_changed_type_is_found(before: FlowDefinition, after: FlowDefinition) -> None:
    retype(after)
    (changed,) = compare(before, after).changes
    assert changed.what is What.retyped
    assert (changed.component.name, changed.after) == ("Due?", "org.example.Other")
    assert "give it a new identifier" in compare(before, after).as_text()


def test_a_service_that_is_enabled_and_one_that_runs(before: FlowDefinition, after: FlowDefinition) -> None:
    for flow, states in ((before, ("DISABLED", "ENABLED")), (after, ("ENABLED", "RUNNING"))):
        flow["flowContents"]["controllerServices"] = [
            {**make_service(state, name), "identifier": name, "scheduledState": state}
            for name, state in zip(("one", "two"), states, strict=True)
        ]
    assert compare(before, after).lines() == [
        "users: controller service 'one' (Reader): enabled",
        "users: controller service 'two' (Reader): run state: 'ENABLED' -> 'RUNNING'",
    ]


def test_the_same_identifier_on_another_kind_is_a_changed_type(before: FlowDefinition, after: FlowDefinition) -> None:
    processor = find(after, "Due?")
    inner_group(after)["processors"].remove(processor)
    inner_group(after)["funnels"].append({"identifier": processor["identifier"], "componentType": "FUNNEL"})
    retyped = [change for change in compare(before, after).changes if change.what is What.retyped]
    assert [(change.before, change.after) for change in retyped] == [("processor", "funnel")]


def test_what_adds_components(before: FlowDefinition, after: FlowDefinition) -> None:
    after["flowContents"]["labels"].append({"identifier": "l", "label": "hello"})
    declare(after)
    assert not compare(before, after).adds_components
    add(after)
    assert compare(before, after).adds_components
    assert not compare(after, before).adds_components
    assert compare(before, after).summary() == "3 added"
