"""Where a rule must not be deceived, or must not see ghosts."""

import copy
import json
from dataclasses import replace

import pytest

from nifi_flows import lint
from nifi_flows.lint.config import Excuse
from nifi_flows.lint.parameters import references
from tests.unit.flows.lint.linting import (
    CONFIG,
    OURS,
    SERVICE,
    STANDARD,
    add_copy,
    connection,
    disconnect,
    every,
    found,
    funnel,
    named,
    property_,
    setting,
    target,
    twin,
)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HTTP URL", "#{source.url}/x"),
        ("HTTP URL", "https://#{source.name}/x"),
        ("HTTP URL", "https://${host}/x"),
        ("Time", "12:30"),
        ("Namespace", "http://www.w3.org/2001/XMLSchema"),
        ("Listening Address", "0.0.0.0"),
        ("Text", "see https://nifi.apache.org"),
        ("Password", "#{source.name}"),
        ("Password Required", "true"),
        ("Access Token Scope", "read"),
        ("Record Path", "/name/first"),
        ("Base Path", "/api"),
        ("Escaped", "##{nothing}"),
        ("Pattern", "[0-9]{2}#{"),
        ("token", "$.token"),
        ("token", "$['token']"),
        ("isVersionOf", "http://purl.org/dc/terms/isVersionOf"),
        ("Predicate", "https://schema.org/name"),
        ("Text", '{"password": "${password}", "token": "#{source.url}", "api_key": "{{ key }}"}'),
        ("Schema", '{"password": "string", "type": "record"}'),
        ("Mapping", '{"token": "auth.token"}'),
        ("Message", '{"password": "it is too short"}'),
    ],
)
def test_what_only_looks_wrong_is_passed_over(name: str, value: str) -> None:
    assert not values_told("UpdateAttribute", name, value)


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        ("EvaluateXPath", "password", "/user/password"),
        ("EvaluateXQuery", "token", "string(/a/b)"),
        ("EvaluateJsonPath", "token", "$.token"),
        ("ExtractText", "token", "token=(.*)"),
        ("HandleHttpRequest", "Hostname", "localhost"),
        ("ListenTCP", "Local Network Interface", "127.0.0.1"),
    ],
)
def test_what_a_type_looks_for_or_binds_to_is_passed_over(kind: str, name: str, value: str) -> None:
    assert not values_told(kind, name, value)
    assert values_told("UpdateAttribute", name, value) or value.startswith("$")


@pytest.mark.parametrize(
    ("code", "kind", "name", "value"),
    [
        ("NF031", "GenerateFlowFile", "Custom Text", '{"user": "me", "password": "hunter22"}'),
        ("NF031", "ReplaceText", "Replacement Value", '{\\"client_secret\\": \\"hunter22\\"}'),
        ("NF031", "ExecuteScript", "Script Body", "def apiKey = 'hunter$22'"),
        ("NF031", "EvaluateXPath", "x", "Bearer hunter2hunter2hunter2"),
        ("NF031", "UpdateAttribute", "accessToken", "hunter2"),
        ("NF030", "ListenSlack", "URL", "https://example.org/"),
        ("NF030", "UpdateAttribute", "URL", "https://notschema.org/"),
    ],
)
def test_what_is_wrong_in_the_midst_of_a_value_is_found(code: str, kind: str, name: str, value: str) -> None:
    assert values_told(kind, name, value) == {code}


def values_told(kind: str, name: str, value: str) -> set[str]:
    """What lint says of values in a flow with a processor of this type, with this property."""
    flow = copy.deepcopy(OURS)
    add_copy(flow, name="x", type=f"{STANDARD}.{kind}", properties={name: value})
    return {one.code for one in found(flow)} & {"NF030", "NF031", "NF033", "NF040"}


@pytest.mark.parametrize(
    ("kind", "given", "findings"),
    [
        ("EvaluateJsonPath", {"Destination": "flowfile-attribute"}, 0),
        ("EvaluateJsonPath", {"Destination": "flowfile-content"}, 1),
        ("EvaluateJsonPath", {}, 1),
        ("EvaluateXPath", {"Destination": "flowfile-attribute", "Return Type": "auto-detect"}, 0),
        ("EvaluateXPath", {"Destination": "flowfile-attribute", "Return Type": "nodeset"}, 1),
        ("EvaluateXQuery", {"Destination": "flowfile-attribute"}, 1),
    ],
)
def test_what_becomes_an_empty_attribute_is_not_unmatched(kind: str, given: dict[str, str], findings: int) -> None:
    flow = copy.deepcopy(OURS)
    setting("Stamp time of receipt", type=f"{STANDARD}.{kind}", properties=given)(flow)
    setting("Stamp time of receipt", autoTerminatedRelationships=["unmatched"])(flow)
    where = "users / Stamp time of receipt / unmatched"
    assert [(one.code, one.where) for one in found(flow) if "Stamp" in one.where] == [("NF013", where)] * findings


@pytest.mark.parametrize("kind", ["InvokeHTTP", "ExecuteSQL", "ExecuteSQLRecord"])
def test_what_asks_without_a_flowfile_has_none_to_lose(kind: str) -> None:
    flow = copy.deepcopy(OURS)
    ended = ["Failure", "Retry", "No Retry", "failure"]
    setting("Stamp time of receipt", type=f"{STANDARD}.{kind}", autoTerminatedRelationships=ended)(flow)
    assert len([one for one in found(flow) if one.code == "NF013"]) == len(ended)
    disconnect(flow, "received", "outdated: other flow version")
    assert not [one for one in found(flow) if one.code == "NF013"]
    setting("Stamp time of receipt", type="org.example.InvokeHTTP")(flow)
    assert [one for one in found(flow) if one.code == "NF013"]


def test_a_funnel_may_keep_what_failed() -> None:
    flow = copy.deepcopy(OURS)
    funnel(flow)
    kept = named(flow, "connections", "stamped")
    kept["selectedRelationships"] = ["failure", "No Retry", "nonzero status", "retries_exceeded"]
    assert not [one for one in found(flow) if one.code == "NF017"]
    kept["selectedRelationships"] = ["failure", "success"]
    assert [one.where for one in found(flow) if one.code == "NF017"] == ["users / funnel"]


def test_connections_without_names_are_told_apart_by_their_relationships() -> None:
    flow = copy.deepcopy(OURS)
    twin(flow)
    one, other = (each for each in every(flow, "connections") if each["identifier"].startswith("twin"))
    one["selectedRelationships"], other["selectedRelationships"] = ["a", "b"], ["b", "c"]
    assert not [each for each in found(flow) if each.code == "NF022"]
    other["selectedRelationships"] = ["b", "a"]
    assert len([each for each in found(flow) if each.code == "NF022"]) == 2


def test_copies_of_a_versioned_group_hold_the_same_identifiers() -> None:
    flow = copy.deepcopy(OURS)
    inner = named(flow, "processGroups", "Fetch pages")
    text = json.dumps({**inner, "name": "Twin", "position": {"x": 0.0, "y": 9000.0}})
    twin = json.loads(text.replace(inner["identifier"], "twin"))
    flow["flowContents"]["processGroups"].append(twin)
    for one in copy.deepcopy(flow["flowContents"]["connections"]):
        for end in (one["source"], one["destination"]):
            if end["groupId"] == inner["identifier"]:
                end["groupId"] = "twin"
                flow["flowContents"]["connections"].append(one | {"identifier": f"{one['identifier']} twin"})
    inner["connections"][0]["name"] = twin["connections"][0]["name"] = ""
    twice = Excuse("NF013", "users / Twin / *", "as in Fetch pages")
    assert found(flow, replace(CONFIG, excuses=(*CONFIG.excuses, twice))) == []
    twin["connections"][0]["source"]["id"] = "gone"
    assert "NF010" in {one.code for one in found(flow)}
    twin["processors"].append(copy.deepcopy(twin["processors"][0]))
    assert len([one for one in found(flow) if one.code == "NF002"]) == 2


def test_an_end_without_a_name_is_called_by_its_component() -> None:
    flow = copy.deepcopy(OURS)
    connection("stamped", name="", flowFileExpiration="1 min")(flow)
    for end in ("source", "destination"):
        named(flow, "connections", "")[end].pop("name")
    assert [one.where for one in found(flow)] == ["users / Stamp time of receipt to Publish users"]


def test_references_are_read_as_nifi_reads_them() -> None:
    assert references("#{a}-##{b}-###{c}-#{'d e'}-${#{f.g}:equals(#{ h })}-${x}-{y}") == ["a", "c", "d e", "f.g", "h"]


def test_a_parameter_is_found_in_the_context_that_is_inherited() -> None:
    flow = copy.deepcopy(OURS)
    contexts = flow["parameterContexts"]
    contexts["base"] = {**contexts["users"], "name": "base"}
    contexts["users"] = {**contexts["users"], "parameters": [], "inheritedParameterContexts": ["base"]}
    assert found(flow) == []


def test_a_service_is_found_in_the_group_and_above() -> None:
    flow = copy.deepcopy(OURS)
    property_("Fetch page", SSL_Context_Service=SERVICE)(flow)
    service = {"identifier": SERVICE, "name": "TLS", "type": "ssl", "properties": {}}
    flow["flowContents"]["controllerServices"].append(service)
    assert not [one for one in found(flow, inventory=target(OURS)) if one.code == "NF054"]


def test_what_somebody_may_merely_stumble_over_is_a_warning() -> None:
    flow = copy.deepcopy(OURS)
    setting("Stamp time of receipt", name="UpdateAttribute")(flow)
    connection("stamped", flowFileExpiration="1 min")(flow)
    told = {one.code: one.severity for one in lint.lint(flow, CONFIG)}
    assert (told["NF021"], told["NF012"]) == (lint.Severity.warning, lint.Severity.error)
