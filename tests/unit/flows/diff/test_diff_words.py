"""What is told of values: no secret, and nothing that leaves its place."""

import copy
import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nifi_flows.diff import Difference, compare
from nifi_flows.errors import TerminalError
from tests.unit.flows.diff.changes import USERS_FLOW, find, find_parameter, make_service
from tests.unit.flows.small_flows import FlowDefinition

NASTY = "`a` | <b>x</b>\n# heading\r\x1b[31m\u202e\ud800 ``` @somebody"


def test_values_of_parameters_are_compared_where_both_have_one(before: FlowDefinition, after: FlowDefinition) -> None:
    find_parameter(after, "run.seed")["value"] = "one"
    assert compare(before, after).empty
    find_parameter(before, "run.seed")["value"] = "two"
    assert compare(before, after).lines() == [
        "parameter context users: parameter 'run.seed': value: 'two' -> 'one'",
    ]


@pytest.mark.parametrize(
    ("name", "sensitive"), [("kafka.password", False), ("harmless", True), ("api-key", False), ("Passwort", False)]
)
def test_a_secret_parameter_is_only_said_to_have_changed(
    before: FlowDefinition, after: FlowDefinition, name: str, sensitive: bool
) -> None:
    for flow, value in ((before, "hunter1"), (after, "hunter2")):
        declared = {"name": name, "sensitive": sensitive, "value": value}
        flow["parameterContexts"]["users"]["parameters"].append(declared)
    found = compare(before, after)
    assert found.lines() == [f"parameter context users: parameter '{name}': value: changed, not shown"]
    _nowhere("hunter", found)


@pytest.mark.parametrize(
    "name",
    [
        "Password",
        "Access Token",
        "Token Value of Old",
        "client-secret",
        "SSL Passphrase",
        "secretKey",
        "API Key",
        "Authorization",
        "Account Key",
    ],
)
def test_a_property_that_looks_secret_is_not_shown(before: FlowDefinition, after: FlowDefinition, name: str) -> None:
    find(before, "Fetch page")["properties"][name] = "#{some.parameter}"
    find(after, "Fetch page")["properties"][name] = "hunter2"
    found = compare(before, after)
    assert "changed, not shown" in found.as_text()
    _nowhere("hunter", found)


@pytest.mark.parametrize(
    "value",
    [
        "https://me:hunter2@example.org/",
        "jdbc:sqlserver://db;user=me;password=hunter2",
        "Bearer hunter2hunter2hunter2",
        '{"user": "me", "password": "hunter22"}',
    ],
)
def test_a_value_that_looks_secret_is_not_shown(before: FlowDefinition, after: FlowDefinition, value: str) -> None:
    find(before, "Fetch page")["properties"]["HTTP URL"] = value
    find(before, "Fetch page")["comments"] = value
    find(before, "Fetch page")["more"] = [value]
    found = compare(before, after)
    assert [change.hidden for change in found.changes] == [True] * 3
    _nowhere("hunter", found)


def test_a_secret_in_place_of_a_service_is_not_shown(before: FlowDefinition, after: FlowDefinition) -> None:
    for flow, value in ((before, "s1"), (after, "hunter2")):
        flow["flowContents"]["controllerServices"] = [make_service("s1", "Vault"), make_service("s2", "Other")]
        find(flow, "Fetch page")["properties"]["Credentials"] = value
    _nowhere("hunter", compare(before, after))
    assert compare(before, after).changes[0].hidden
    find(after, "Fetch page")["properties"]["Credentials"] = "s2"
    assert "property 'Credentials': 'Vault' -> 'Other'" in compare(before, after).as_text()


def test_a_reference_to_a_parameter_is_no_secret(before: FlowDefinition, after: FlowDefinition) -> None:
    find(after, "Fetch page")["properties"]["Password"] = "#{source.password}"
    assert "property 'Password': not set -> '#{source.password}'" in compare(before, after).as_text()


def _nowhere(secret: str, found: Difference) -> None:
    assert secret not in found.as_text() + found.as_markdown() + json.dumps(found.as_json()) + repr(found)


def _typed(flow: FlowDefinition, text: str) -> Difference:
    """Text in every place where somebody may type one."""
    before, after = copy.deepcopy(flow), copy.deepcopy(flow)
    for changed in (before, after):
        changed["flowContents"]["name"] = text
    processor = find(after, "Publish users")
    processor["properties"] |= {"Topic": text, f"x{text}": "y"}
    processor |= {"name": text, "comments": text, "type": f"org.{text}", text: text}
    find(after, "published")["destination"] |= {"id": "elsewhere", "name": text}
    find(after, "stamped").update(name=text, selectedRelationships=[text])
    after["flowContents"]["labels"][0]["label"] = text
    find_parameter(after, "run.seed")["name"] = text
    return compare(before, after)


@settings(max_examples=30)
@given(st.one_of(st.just(NASTY), st.text(alphabet=st.sampled_from("`|<>\n\r\t #*_[]()!&\x00\x1b\u2028\u202e\ud800ab"))))
def test_no_text_leaves_its_place(text: str) -> None:
    found = _typed(USERS_FLOW, text or "x")
    shown = (found.as_text(), found.as_markdown(), "\n".join(found.lines()))
    for told in shown:
        told.encode()  # no lone surrogate
        assert all(c.isprintable() or c == "\n" for c in told)
    headings = [line for line in found.as_text().splitlines() if re.match(r"\S", line)]
    assert len(headings) == len(found.sections)
    for line in found.as_markdown().splitlines():
        assert re.match(r"(### |- |  - |$)", line), line
        assert not re.search(r"[<>|*_\[\]#&!\\]", _outside_code(line.removeprefix("### "))), line
    json.dumps(found.as_json()).encode()


def _outside_code(line: str) -> str:
    """What Markdown does not take for code: a span ends at the first run of as many backticks as begin it."""
    return re.sub(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", "", line)


def test_a_nasty_name_stays_in_its_code_span(before: FlowDefinition, after: FlowDefinition) -> None:
    find(after, "Pull run")["name"] = NASTY
    assert r"````" in compare(before, after).as_markdown()
    assert r"\n# heading\r\x1b[31m\u202e\ud800 ``` @somebody" in compare(before, after).as_text()


def test_of_long_values_the_part_that_differs_is_shown(before: FlowDefinition, after: FlowDefinition) -> None:
    find(before, "Due?")["properties"]["script"] = "a" * 3000 + "before" + "b" * 3000
    find(after, "Due?")["properties"]["script"] = "a" * 3000 + "after" + "b" * 3000
    (line,) = compare(before, after).lines()
    assert "before" in line and "after" in line
    assert "(6,006 characters)" in line and "(6,005 characters)" in line
    assert len(line) < 500
    (group,) = compare(before, after).as_json()["groups"]
    assert len(group["changes"][0]["before"]) == 6006


@pytest.mark.parametrize(
    ("one", "other"), [("1", 1), ("a\nb", "a\\nb"), ("none", []), ("a, b", ["a", "b"]), ("", None)]
)
def test_different_values_look_different(before: FlowDefinition, after: FlowDefinition, one: Any, other: Any) -> None:
    find(before, "Due?")["annotationData"] = one
    find(after, "Due?")["annotationData"] = other
    found = compare(before, after)
    left, right = found.lines()[0].partition("annotation data: ")[2].split(" -> ")
    assert left != right
    left, right = found.as_markdown().splitlines()[3].partition("`: ")[2].split(" → ")
    assert left != right


@pytest.mark.parametrize(
    "broken",
    [
        {"processors": [{"name": "without identifier"}]},
        {"processors": 5},
        {"processors": ["text"]},
        {"processGroups": [{"identifier": "g"}]},
        {"connections": [{"identifier": "c", "source": {}, "destination": {}}]},
        {"connections": [{"identifier": "c"}]},
        {"processors": [{"identifier": ["list"]}]},
        {"processors": [{"identifier": "p"}, {"identifier": "p"}]},
    ],
)
def test_a_definition_that_is_not_whole_is_refused(broken: dict[str, Any]) -> None:
    whole = {"flowContents": {"identifier": "root", "name": "users"}}
    half = {"flowContents": {**whole["flowContents"], **broken}}
    for one, other in ((whole, half), (half, whole)):
        with pytest.raises(TerminalError):
            compare(one, other)


def test_a_definition_that_is_too_deep_is_refused() -> None:
    inner: dict[str, Any] = {"identifier": "g", "name": "g"}
    for _ in range(2000):
        inner = {"identifier": "g", "name": "g", "processGroups": [inner]}
    with pytest.raises(TerminalError, match="isn't whole"):
        compare({"flowContents": inner}, {"flowContents": inner})
