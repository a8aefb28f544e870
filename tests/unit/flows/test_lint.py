"""Each rule finds what it is there for in a flow that is broken once, and finds nothing in our own."""

import copy
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import typer
from nipyapi import nifi
from nipyapi.nifi.rest import ApiException

from nifi_flows import definition, lint
from nifi_flows import inventory as inventories
from nifi_flows.errors import TerminalError
from nifi_flows.inventory import Bundle, Definition, Inventory, Property
from nifi_flows.lint import RULES, Config, Finding
from nifi_flows.lint.config import Excuse
from nifi_flows.lint.parameters import references
from nifi_flows.pipeline import USERS
from scripts.bootstrap import ROOT
from scripts.commands.console import Output
from scripts.commands.flow import lint as command

OURS = definition.load(USERS.flow)
PROCESSORS = Path(ROOT, "nifi_processors", "processors")
CONFIG = lint.load_config(USERS.lint)
STANDARD = "org.apache.nifi.processors.standard"
SERVICE = "0f0f0f0f-0000-1000-8000-000000000000"

FlowDefinition = dict[str, Any]


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


@dataclass(frozen=True)
class Bad:
    """One mutation of our flow. where: a part of where the finding is. changes: what else lint is given."""

    code: str
    where: str
    mutate: Callable[[FlowDefinition], object]
    given: Callable[[Path], dict[str, Any]] = lambda _: {}


def broken_processors(folder: Path, old: str, new: str) -> dict[str, Any]:
    made = folder / "nifi_processors" / "processors"
    shutil.copytree(PROCESSORS, made)
    path = made / "pull_run.py"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    return {"processors": made}


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


def drop_failures(flow: FlowDefinition) -> None:
    disconnect(flow, "fetch failed")
    processor(flow, "Fetch page")["autoTerminatedRelationships"] += ["Failure", "Retry", "No Retry"]


def setting(name: str, /, **changes: object) -> Callable[[FlowDefinition], object]:
    return lambda flow: processor(flow, name).update(changes)


def property_(name: str, /, **changes: str) -> Callable[[FlowDefinition], object]:
    return lambda flow: processor(flow, name)["properties"].update({k.replace("_", " "): v for k, v in changes.items()})


def connection(name: str, /, **changes: object) -> Callable[[FlowDefinition], object]:
    return lambda flow: named(flow, "connections", name).update(changes)


def other_end(name: str, end: str, /, **changes: object) -> Callable[[FlowDefinition], object]:
    return lambda flow: named(flow, "connections", name)[end].update(changes)


FETCH = "users / Fetch pages / Fetch page"
NIFI: Callable[[Path], dict[str, Any]] = lambda _: {"inventory": target(OURS)}  # noqa: E731
BAD = [
    Bad(
        "NF002",
        "users / copy",
        lambda flow: add_copy(flow, name="copy", identifier=processor(flow, "Due?")["identifier"]),
    ),
    Bad("NF003", FETCH, setting("Fetch page", type=f"{STANDARD}.GetHTTP"), lambda _: {"previous": OURS}),
    Bad("NF004", "users / nifi-standard-nar", lambda flow: processor(flow, "Due?")["bundle"].update(version="2.2.0")),
    Bad("NF010", "users / stamped", other_end("stamped", "destination", id="gone", name="gone")),
    Bad("NF010", "users / stamped", other_end("stamped", "source", groupId="elsewhere")),
    Bad("NF011", "users / stamped", connection("stamped", backPressureObjectThreshold=0)),
    Bad("NF011", "users / stamped", connection("stamped", backPressureDataSizeThreshold="0 B")),
    Bad("NF011", "users / stamped", connection("stamped", backPressureDataSizeThreshold=None)),
    Bad("NF012", "users / stamped", connection("stamped", flowFileExpiration="10 mins")),
    Bad("NF013", f"{FETCH} / No Retry", drop_failures),
    Bad("NF013", f"{FETCH} / parseFailure", setting("Fetch page", autoTerminatedRelationships=["parseFailure"])),
    Bad("NF014", f"{FETCH} / Original", setting("Fetch page", autoTerminatedRelationships=[]), NIFI),
    Bad("NF014", "users / Any invalid? / more", property_("Any invalid?", more="${x:gt(1)}")),
    Bad("NF014", "users / Publish users / original", setting("Publish users", autoTerminatedRelationships=[])),
    Bad("NF015", FETCH, connection("page", selectedRelationships=["Respons"]), NIFI),
    Bad(
        "NF015",
        "users / Publish users / sent",
        setting("Publish users", autoTerminatedRelationships=["original", "sent"]),
    ),
    Bad("NF016", "users / Stamp time", lambda flow: disconnect(flow, "received")),
    Bad("NF016", "users / Fetch pages / refused", lambda flow: disconnect(flow, "refused: fetch again")),
    Bad("NF017", "users / Fetch pages / fetched", lambda flow: disconnect(flow, "received")),
    Bad("NF017", "users / Stamp time", lambda flow: disconnect(flow, "stamped")),
    Bad("NF017", "users / funnel", funnel),
    Bad("NF018", FETCH, setting("Fetch page", scheduledState="DISABLED")),
    Bad("NF019", "users / Pull run", setting("Pull run", schedulingPeriod="0 sec")),
    Bad("NF019", "users / make", lambda flow: add_copy(flow, name="make", type=f"{STANDARD}.GenerateFlowFile")),
    Bad("NF019", FETCH, setting("Fetch page", schedulingStrategy="EVENT_DRIVEN")),
    Bad("NF020", "users / Pull run", other_end("stamped", "destination", id=processor(OURS, "Pull run")["identifier"])),
    Bad("NF021", "users / UpdateAttribute", setting("Stamp time of receipt", name="UpdateAttribute")),
    Bad("NF021", "users / UpdateAttribute", setting("Stamp time of receipt", name=" ")),
    Bad("NF022", "Stamp time of receipt to Publish users", twin),
    Bad("NF023", "users / Publish users", setting("Publish users", position={"x": 1500.0, "y": 100.0})),
    Bad("NF030", f"{FETCH} / HTTP URL", property_("Fetch page", HTTP_URL="https://randomuser.me/api/")),
    Bad("NF030", "Kafka Brokers", property_("Publish users", Kafka_Brokers="kafka-1:9092, kafka-2:9092")),
    Bad("NF030", "users / Publish users / Topic", property_("Publish users", Topic="10.0.0.7:80")),
    Bad("NF030", f"{FETCH} / jdbc", property_("Fetch page", jdbc="jdbc:postgresql://db:5432/users")),
    Bad(
        "NF031",
        f"{FETCH} / X-Api-Key",
        lambda f: processor(f, "Fetch page")["properties"].update({"X-Api-Key": "k7Hq2"}),
    ),
    Bad("NF031", f"{FETCH} / Request Password", property_("Fetch page", Request_Password="hunter2")),
    Bad("NF031", f"{FETCH} / HTTP URL", property_("Fetch page", HTTP_URL="https://me:hunter2@#{source.url}")),
    Bad(
        "NF031",
        "parameters / users / run.seed",
        lambda f: declared(f)[0].update(name="run.seed", value="AKIA" + "Q" * 16),
    ),
    Bad("NF032", "kafka.brokers", lambda flow: declared(flow)[1].update(sensitive=True, value="x")),
    Bad("NF033", f"{FETCH} / Store", property_("Fetch page", Store="/home/me/users.json")),
    Bad("NF040", f"{FETCH} / HTTP URL", property_("Fetch page", HTTP_URL="#{source.ulr}")),
    Bad("NF040", f"{FETCH} / HTTP URL", lambda f: named(f, "processGroups", "Fetch pages").pop("parameterContextName")),
    Bad("NF041", "parameters / users / kafka.topic", property_("Publish users", Topic="##{kafka.topic}")),
    Bad("NF042", "kafka.topic", lambda _: None, lambda _: {"environments_values": {"kafka.topic": None}}),
    Bad("NF042", "parameters / mine", lambda _: None, lambda _: {"environments_values": {"mine": "x"}}),
    Bad("NF050", FETCH, setting("Fetch page", type=f"{STANDARD}.FetchHTTP"), NIFI),
    Bad("NF050", FETCH, lambda flow: processor(flow, "Fetch page")["bundle"].update(version="2.4.0"), NIFI),
    Bad("NF051", f"{FETCH} / HTTP Verb", property_("Fetch page", HTTP_Verb="GET"), NIFI),
    Bad("NF051", "users / Publish users / Acks", property_("Publish users", Acks="all")),
    Bad("NF052", f"{FETCH} / HTTP Method", property_("Fetch page", HTTP_Method="FETCH"), NIFI),
    Bad("NF053", f"{FETCH} / HTTP URL", lambda f: processor(f, "Fetch page")["properties"].pop("HTTP URL"), NIFI),
    Bad("NF053", "Kafka Brokers", lambda f: processor(f, "Publish users")["properties"].pop("Kafka Brokers")),
    Bad("NF054", f"{FETCH} / SSL", property_("Fetch page", SSL_Context_Service=SERVICE), NIFI),
    Bad(
        "NF060",
        "pull_run.py",
        lambda _: None,
        lambda to: broken_processors(to, 'version = "0.1.0"', "version = VERSION"),
    ),
    Bad("NF060", "pull_run.py", lambda _: None, lambda to: broken_processors(to, "import time", "import (")),
    Bad("NF061", "users / Pull run", lambda flow: processor(flow, "Pull run")["bundle"].update(version="9")),
    Bad("NF061", "users / Pull run", setting("Pull run", type="PullRuns")),
]


def found(flow: FlowDefinition, config: Config = CONFIG, **given: Any) -> list[Finding]:
    return lint.lint(flow, config, **{"processors": PROCESSORS, **given})


def test_our_flow_is_clean_alone_and_on_a_nifi() -> None:
    assert found(OURS) == []
    assert found(OURS, inventory=target(OURS), previous=OURS) == []


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: f"{bad.code}-{bad.where}")
def test_a_rule_finds_what_it_is_for(bad: Bad, tmp_path: Path) -> None:
    flow = copy.deepcopy(OURS)
    bad.mutate(flow)
    told = [one for one in found(flow, **bad.given(tmp_path)) if one.code == bad.code and bad.where in one.where]
    assert told
    for finding in told:
        assert finding.message and finding.remedy
        assert "hunter2" not in str(finding) and "k7Hq2" not in str(finding)


def test_every_rule_has_a_bad_flow_and_a_code_of_its_own() -> None:
    codes = [rule.code for rule in RULES]
    assert len(set(codes)) == len(codes) == len({rule.name for rule in RULES})
    assert set(codes) - {bad.code for bad in BAD} == {"NF001", "NF090"}  # of the file and of the excuses; see below


@pytest.mark.parametrize("text", ['{"flowContents": {}}', "[]", "{", '{"a": 1, "a": 2}'])
def test_what_is_no_flow_definition_is_a_finding(text: str, tmp_path: Path) -> None:
    path = tmp_path / "flow.json"
    path.write_text(text)
    (finding,) = lint.lint_file(path, CONFIG)
    assert (finding.code, finding.where) == ("NF001", "flow.json")


@pytest.mark.parametrize(
    ("where", "mutate"),
    [
        ("flowContents / processors 0", lambda flow: flow["flowContents"]["processors"].insert(0, None)),
        ("flowContents / connections 0", lambda flow: flow["flowContents"].update(connections=5)),
        ("flowContents / processGroups 0", lambda flow: flow["flowContents"]["processGroups"][0].pop("name")),
        ("flowContents / processors 0 / bundle", lambda flow: flow["flowContents"]["processors"][0].update(bundle="x")),
        ("parameterContexts / users / parameter 0", lambda flow: declared(flow)[0].pop("name")),
        (
            "parameterContexts / users / parameter 0",
            lambda flow: flow["parameterContexts"]["users"].update(parameters=1),
        ),
        ("flowEncodingVersion", lambda flow: flow.update(flowEncodingVersion=1.0)),
        ("externalControllerServices", lambda flow: flow.update(externalControllerServices={"x": 1})),
        ("flowContents / parameterContextName", lambda flow: flow["flowContents"].update(parameterContextName=["x"])),
        ("flowContents / processors 0", lambda flow: flow["flowContents"]["processors"][0].pop("identifier")),
        ("flowContents / processors 0 / name", lambda flow: flow["flowContents"]["processors"][0].update(name=5)),
        ("flowContents / connections 0 / source", lambda flow: flow["flowContents"]["connections"][0].pop("source")),
        (
            "flowContents / connections 0 / destination",
            lambda flow: flow["flowContents"]["connections"][0]["destination"].update(groupId={}),
        ),
        (
            "flowContents / connections 0 / selectedRelationships",
            lambda flow: flow["flowContents"]["connections"][0].update(selectedRelationships="success"),
        ),
        *(
            ("flowContents / position", lambda flow, x=x: flow["flowContents"].update(position={"x": x, "y": 0}))
            for x in (10**400, float("inf"), "1", 1e300)
        ),
        (
            "flowContents / remoteProcessGroups 0 / inputPorts 0",
            lambda flow: flow["flowContents"].update(remoteProcessGroups=[{"identifier": "r", "inputPorts": [1]}]),
        ),
    ],
)
def test_another_shape_than_nifis_is_a_finding(where: str, mutate: Callable[[FlowDefinition], object]) -> None:
    flow = copy.deepcopy(OURS)
    mutate(flow)
    assert [(one.code, one.where) for one in found(flow)] == [("NF001", where)]


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
    disconnect(flow, "received")
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


def test_a_rule_can_be_off_and_a_finding_excused(tmp_path: Path) -> None:
    flow = copy.deepcopy(OURS)
    connection("stamped", flowFileExpiration="1 min")(flow)
    assert [one.code for one in found(flow)] == ["NF012"]
    assert found(flow, replace(CONFIG, off=frozenset({"NF012"}))) == []
    path = tmp_path / "lint.toml"
    path.write_text(USERS.lint.read_text() + '[[excuse]]\ncode = "NF012"\nwhere = "users / st*"\nwhy = "stale soon"\n')
    assert found(flow, lint.load_config(path)) == []


@pytest.mark.parametrize("name", ["a [b] c", "[", "[!a]", "a\x1b[31m", "* or ?"])
def test_an_excuse_is_copied_as_lint_prints_it(name: str) -> None:
    flow = copy.deepcopy(OURS)
    connection("stamped", flowFileExpiration="1 min", name=name)(flow)
    (finding,) = found(flow)
    where = str(finding).removeprefix("NF012 ").partition(": drops")[0]
    assert found(flow, replace(CONFIG, excuses=(*CONFIG.excuses, Excuse("NF012", where, "why")))) == []


def test_an_excuse_for_nothing_is_found_unless_its_rule_did_not_run(tmp_path: Path) -> None:
    path = tmp_path / "lint.toml"
    text = '\n[[excuse]]\ncode = "{}"\nwhere = "users / gone"\nwhy = "was there"\n'
    path.write_text(USERS.lint.read_text() + text.format("NF012"))
    (finding,) = found(OURS, lint.load_config(path))
    assert (finding.code, finding.where) == ("NF090", "lint.toml") and "users / gone" in finding.message
    path.write_text(USERS.lint.read_text() + text.format("NF050"))
    assert found(OURS, lint.load_config(path)) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("of = []", "'of' is not known"),
        ('off = ["NF999"]', "off is no list of codes"),
        ('[[excuse]]\ncode = "NF012"\nwhere = "x"', "why is missing"),
        ('[[excuse]]\ncode = "NF999"\nwhere = "x"\nwhy = "x"', "no rule NF999"),
        ('[options]\nsecret = "("', "no regular expression"),
        ("off = [", "cannot be read"),
    ],
)
def test_a_wrong_configuration_is_named(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "lint.toml"
    path.write_text(text)
    with pytest.raises(TerminalError, match=said):
        lint.load_config(path)


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


def test_what_somebody_may_merely_stumble_over_is_a_warning() -> None:
    flow = copy.deepcopy(OURS)
    setting("Stamp time of receipt", name="UpdateAttribute")(flow)
    connection("stamped", flowFileExpiration="1 min")(flow)
    told = {one.code: one.severity for one in lint.lint(flow, CONFIG)}
    assert (told["NF021"], told["NF012"]) == (lint.Severity.warning, lint.Severity.error)


def test_the_command_says_where_and_what_next(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flow = copy.deepcopy(OURS)
    connection("stamped", flowFileExpiration="1 min")(flow)
    path = tmp_path / "flow.json"
    path.write_text(json.dumps(flow))
    shutil.copy(USERS.lint, tmp_path)
    with pytest.raises(typer.Exit) as ended:
        command.lint(path, output=Output.json)
    assert ended.value.exit_code == 1
    told = json.loads(capsys.readouterr().out)
    assert [(one["code"], one["where"]) for one in told] == [("NF012", "users / stamped")]
    command.lint()
    assert capsys.readouterr().out == "no errors\nno warnings\n"


def test_a_name_stays_on_its_line_and_steers_no_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flow = copy.deepcopy(OURS)
    connection("stamped", flowFileExpiration="1 min", name="a\x1b[31m\nno errors\u202e\ud800")(flow)
    path = tmp_path / "flow.json"
    path.write_text(json.dumps(flow))
    with pytest.raises(typer.Exit):
        command.lint(path)
    said = r"users / a\x1b[31m\nno errors\u202e\ud800: drops what waits longer than 1 min"
    assert said in capsys.readouterr().out.splitlines()[0]
    assert said in str(next(one for one in lint.lint_file(path, CONFIG) if one.code == "NF012"))


def test_the_command_needs_a_flow_definition_before_and_one_inventory(tmp_path: Path) -> None:
    with pytest.raises(TerminalError, match="contradict"):
        command.lint(nifi=True, inventory=tmp_path)
    with pytest.raises(TerminalError, match="as a revision it cannot be read"):
        command.lint(previous=str(tmp_path / "none.json"))
    (tmp_path / "broken.json").write_text('{"flowContents": {"name": "x", "identifier": "x", "processors": [1]}}')
    with pytest.raises(TerminalError, match="flowContents / processors 0: it is not an object"):
        command.lint(previous=str(tmp_path / "broken.json"))


def test_the_definition_before_may_be_whatever_flow_diff_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "on_canvas", lambda: OURS)
    flow = copy.deepcopy(OURS)
    setting("Fetch page", type=f"{STANDARD}.GetHTTP")(flow)
    path = tmp_path / "flow.json"
    path.write_text(json.dumps(flow))
    with pytest.raises(typer.Exit):
        command.lint(path, previous="nifi", output=Output.json)
    assert "NF003" in [one["code"] for one in json.loads(capsys.readouterr().out)]


def test_an_inventory_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "_ask", lambda _: target(OURS))
    with pytest.raises(TerminalError, match="cannot be written"):
        command.lint(nifi=True, write_inventory=tmp_path / "none" / "inventory.json")
    command.lint(nifi=True, write_inventory=tmp_path / "inventory.json")
    assert inventories.load(tmp_path / "inventory.json") == target(OURS)


def test_linting_a_file_does_not_load_nifis_client() -> None:
    script = "import sys, scripts.commands.flow.lint; sys.exit('nipyapi' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False).returncode == 0


def test_the_command_lists_its_rules(capsys: pytest.CaptureFixture[str]) -> None:
    command.lint(rules=True)
    told = capsys.readouterr().out
    assert all(rule.code in told for rule in RULES)


def test_a_long_flow_is_linted_whole() -> None:
    flow = copy.deepcopy(OURS)
    group = flow["flowContents"]
    stamp, between = processor(flow, "Stamp time of receipt"), named(flow, "connections", "stamped")
    before = stamp
    for n in range(200):
        after = {**stamp, "identifier": f"p{n}", "name": f"stamp {n}", "position": {"x": n * 400.0, "y": 5000.0}}
        source, destination = ({"id": one["identifier"], "name": one["name"]} for one in (before, after))
        ends = {"source": source, "destination": destination, "identifier": f"c{n}", "name": after["name"]}
        group["processors"].append(after)
        group["connections"].append({**between, **ends})
        before = after
    before["autoTerminatedRelationships"] = ["success"]
    assert found(flow) == []
    before["position"] = stamp["position"]
    assert [one.code for one in found(flow)] == ["NF023"]
