"""Rules that are off, findings that are excused, and files that are no flow definition."""

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from nifi_flows import lint
from nifi_flows.errors import TerminalError
from nifi_flows.lint.config import Excuse
from nifi_flows.pipeline import USERS
from tests.unit.flows.lint.linting import CONFIG, OURS, connection, declared, found
from tests.unit.flows.small_flows import FlowDefinition


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
