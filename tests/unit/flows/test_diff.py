"""What differs between two flows is said once, in words, whatever somebody typed into it."""

import copy
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st

from nifi_flows import definition
from nifi_flows.canonical import structure
from nifi_flows.diff import Difference, What, compare, removed_connections
from nifi_flows.errors import TerminalError
from scripts.commands.flow import diff as command

FLOW = Path(__file__).parents[3] / "nifi_flows" / "users" / "flow.json"
NASTY = "`a` | <b>x</b>\n# heading\r\x1b[31m\u202e\ud800 ``` @somebody"

FlowDefinition = dict[str, Any]


def _load() -> FlowDefinition:
    flow = definition.load(FLOW)
    for parameter in flow["parameterContexts"]["users"]["parameters"]:
        parameter.pop("value", None)
    return flow


_USERS = _load()


@pytest.fixture
def before() -> FlowDefinition:
    return copy.deepcopy(_USERS)


@pytest.fixture
def after() -> FlowDefinition:
    return copy.deepcopy(_USERS)


def _components(flow: FlowDefinition) -> Iterator[dict[str, Any]]:
    for group in definition.groups(flow):
        yield from (c for kind in definition.KINDS for c in group.contents.get(kind) or [])


def _named(flow: FlowDefinition, name: str) -> dict[str, Any]:
    return next(c for c in _components(flow) if c.get("name") == name)


def _inner(flow: FlowDefinition) -> FlowDefinition:
    inner: FlowDefinition = flow["flowContents"]["processGroups"][0]
    return inner


def _parameter(flow: FlowDefinition, name: str) -> dict[str, Any]:
    parameters = flow["parameterContexts"]["users"]["parameters"]
    return next(p for p in parameters if p["name"] == name)


def _end(flow: FlowDefinition, name: str) -> dict[str, Any]:
    """A processor of the root group as an end of a connection."""
    made = {"id": _named(_USERS, name)["identifier"], "name": name, "type": "PROCESSOR"}
    return {**made, "groupId": flow["flowContents"]["identifier"]}


def _service(identifier: str, name: str) -> dict[str, Any]:
    return {"identifier": identifier, "name": name, "type": "org.example.Reader", "properties": {}}


# -- each kind of change ------------------------------------------------------------------------------------------


def _added(flow: FlowDefinition) -> None:
    flow["flowContents"]["processors"].append({"identifier": "new", "name": "Log", "type": "org.example.LogAttribute"})


def _removed(flow: FlowDefinition) -> None:
    connections = flow["flowContents"]["connections"]
    connections.remove(next(c for c in connections if c["name"] == "received"))


def _renamed(flow: FlowDefinition) -> None:
    _named(flow, "Pull run")["name"] = "Pull"


def _to_elsewhere(flow: FlowDefinition) -> None:
    _named(flow, "published")["destination"] = _end(flow, "Publish dead letters")


def _from_elsewhere(flow: FlowDefinition) -> None:
    _named(flow, "stamped")["source"] = _end(flow, "Pull run")


def _both_ends(flow: FlowDefinition) -> None:
    _named(flow, "stamped")["source"] = _end(flow, "Pull run")
    _named(flow, "stamped")["destination"] = _end(flow, "Any invalid?")


def _relationships(flow: FlowDefinition) -> None:
    _named(flow, "stamped")["selectedRelationships"] = ["success", "failure"]


def _property(flow: FlowDefinition) -> None:
    _named(flow, "Publish users")["properties"]["Topic"] = "others"


def _property_gone(flow: FlowDefinition) -> None:
    del _named(flow, "Publish users")["properties"]["Topic"]


def _tasks(flow: FlowDefinition) -> None:
    _named(flow, "Publish users")["concurrentlySchedulableTaskCount"] = 2


def _auto_terminated(flow: FlowDefinition) -> None:
    _named(flow, "Publish users")["autoTerminatedRelationships"] = []


def _bundle(flow: FlowDefinition) -> None:
    _named(flow, "Fetch page")["bundle"]["version"] = "2.4.0"


def _back_pressure(flow: FlowDefinition) -> None:
    _named(flow, "stamped")["backPressureObjectThreshold"] = 9


def _unbound(flow: FlowDefinition) -> None:
    del flow["flowContents"]["parameterContextName"]


def _disabled(flow: FlowDefinition) -> None:
    _named(flow, "fetched")["scheduledState"] = "DISABLED"


def _retyped(flow: FlowDefinition) -> None:
    _named(flow, "Due?")["type"] = "org.example.Other"


def _group_renamed(flow: FlowDefinition) -> None:
    _inner(flow)["name"] = "Fetch"


def _declared(flow: FlowDefinition) -> None:
    flow["parameterContexts"]["users"]["parameters"].append({"name": "more", "sensitive": False})


def _undeclared(flow: FlowDefinition) -> None:
    flow["parameterContexts"]["users"]["parameters"].remove(_parameter(flow, "run.pages"))


def _described(flow: FlowDefinition) -> None:
    _parameter(flow, "run.seed")["description"] = "a seed"


def _sensitive(flow: FlowDefinition) -> None:
    _parameter(flow, "run.seed")["sensitive"] = True


def _external(flow: FlowDefinition) -> None:
    flow["externalControllerServices"] = {"x": {"identifier": "x", "name": "Pool"}}


CHANGES: list[tuple[Callable[[FlowDefinition], None], str, str]] = [
    (_added, "users", "added processor 'Log' (LogAttribute)"),
    (_removed, "users", "removed connection 'received' from 'fetched' of 'Fetch pages' to 'Stamp time of receipt'"),
    (_renamed, "users", "renamed from 'Pull run'"),
    (
        _to_elsewhere,
        "users",
        "'Publish users' success now goes to 'Publish dead letters' instead of 'Any invalid?'",
    ),
    (
        _from_elsewhere,
        "users",
        "'Publish users' now gets 'Pull run' success instead of 'Stamp time of receipt' success",
    ),
    (
        _both_ends,
        "users",
        "now from 'Pull run' success to 'Any invalid?' "
        "instead of from 'Stamp time of receipt' success to 'Publish users'",
    ),
    (
        _relationships,
        "users",
        "'Stamp time of receipt' now sends failure, success instead of success to 'Publish users'",
    ),
    (_property, "users", "property 'Topic': '#{kafka.topic}' -> 'others'"),
    (_property_gone, "users", "property 'Topic': '#{kafka.topic}' -> not set"),
    (_tasks, "users", "concurrent tasks: 4 -> 2"),
    (_auto_terminated, "users", "auto-terminated relationships: original -> none"),
    (_bundle, "users / Fetch pages", "bundle version: '2.3.0' -> '2.4.0'"),
    (_back_pressure, "users", "back-pressure object threshold: 8 -> 9"),
    (_unbound, "users", "parameter context: 'users' -> not set"),
    (_disabled, "users / Fetch pages", "output port 'fetched': disabled"),
    (_retyped, "users / Fetch pages", "type changed from"),
    (_group_renamed, "users", "process group 'Fetch': renamed from 'Fetch pages'"),
    (_declared, "parameter context users", "added parameter 'more'"),
    (_undeclared, "parameter context users", "removed parameter 'run.pages'"),
    (_described, "parameter context users", "parameter 'run.seed': description:"),
    (_sensitive, "parameter context users", "parameter 'run.seed': sensitive: false -> true"),
    (_external, "flow definition", "added external controller service 'Pool'"),
]


@pytest.mark.parametrize(("change", "where", "words"), CHANGES, ids=[change.__name__ for change, _, _ in CHANGES])
def test_a_change_is_told_once_where_it_is(
    before: FlowDefinition, after: FlowDefinition, change: Callable[[FlowDefinition], None], where: str, words: str
) -> None:
    change(after)
    found = compare(before, after)
    assert len(found.lines()) == 1, found.lines()
    assert found.lines()[0].startswith(f"{where}: ")
    assert words in found.lines()[0]
    assert words.split(": ")[-1] in found.as_text()
    assert found.as_text().startswith(f"{where}\n  ")
    assert found.as_markdown().startswith(f"### `{where}`\n\n- ")
    assert not found.moved_only


def test_nothing_changed() -> None:
    found = compare(_USERS, _USERS)
    assert found.empty and not found.moved_only
    assert (found.lines(), found.summary()) == ([], "")
    assert found.as_text() == found.as_markdown() == "No difference.\n"
    assert found.as_json() == {"same": True, "groups": []}


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from([change for change, _, _ in CHANGES]), max_size=5, unique=True))
def test_whatever_was_changed_a_flow_is_like_itself_and_nothing_is_missed(
    changes: list[Callable[[FlowDefinition], None]],
) -> None:
    after = copy.deepcopy(_USERS)
    for change in changes:
        change(after)
    kept = copy.deepcopy(after)
    there, back = compare(_USERS, after), compare(after, _USERS)
    assert compare(after, copy.deepcopy(after)).empty
    assert there.empty == back.empty == (structure(_USERS) == structure(after))
    assert after == kept
    assert json.loads(json.dumps(there.as_json()))["same"] is there.empty
    opposite = {What.added: What.removed, What.removed: What.added, What.enabled: What.disabled}
    opposite[What.disabled] = What.enabled
    assert sorted(opposite.get(c.what, c.what) for c in there.changes) == sorted(c.what for c in back.changes)


def test_what_each_import_mints_is_no_change(before: FlowDefinition, after: FlowDefinition) -> None:
    text = json.dumps(after).replace(after["flowContents"]["identifier"], "11111111-2222-3333-4444-555555555555")
    exported = json.loads(text)
    for component in _components(exported):
        component["instanceIdentifier"] = "minted"
        component["propertyDescriptors"] = {"Topic": {"dynamic": True}}
    exported["flowContents"]["processors"].reverse()
    assert compare(before, exported).empty


# -- where components are, and which is which -----------------------------------------------------------------------


def test_what_only_moved_is_on_one_line(before: FlowDefinition, after: FlowDefinition) -> None:
    for component in _components(after):
        if "position" in component:
            component["position"]["x"] += 8
    _named(after, "refused: fetch again")["bends"].pop()
    found = compare(before, after)
    assert found.moved_only
    assert [line.partition(":")[0] for line in found.lines()] == ["users", "users / Fetch pages"]
    assert "'Publish users'" in found.lines()[0]
    assert re.search(r" and \d+ more|refused: fetch again", found.lines()[0])


def test_a_move_is_not_told_beside_another_change(before: FlowDefinition, after: FlowDefinition) -> None:
    _tasks(after)
    _named(after, "Publish users")["position"]["x"] = 0.0
    (line,) = compare(before, after).lines()
    assert line == "users: processor 'Publish users' (PublishUsers): concurrent tasks: 4 -> 2"


def test_a_component_in_another_group_is_the_same_one(before: FlowDefinition, after: FlowDefinition) -> None:
    processor = _named(after, "Stamp time of receipt")
    after["flowContents"]["processors"].remove(processor)
    _inner(after)["processors"].append({**processor, "groupIdentifier": _inner(after)["identifier"]})
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
    twin = copy.deepcopy(_inner(before))
    twin["identifier"], twin["name"] = "twin", "Twin"
    before["flowContents"]["processGroups"].append(twin)
    after = copy.deepcopy(before)
    next(p for p in after["flowContents"]["processGroups"][1]["processors"] if p["name"] == "Due?")["comments"] = "x"
    assert [line.partition(":")[0] for line in compare(before, after).lines()] == ["users / Twin"]
    after = copy.deepcopy(before)
    _named(after, "next page")["destination"]["groupId"] = "twin"
    (line,) = compare(before, after).lines()
    assert line.endswith("now goes to 'pages' of 'Twin' instead of 'pages' of 'Fetch pages'")


def test_another_component_of_the_same_name_is_told_by_its_identifier(before: FlowDefinition) -> None:
    before["flowContents"]["processors"].append({**_named(before, "Any invalid?"), "identifier": "other"})
    after = copy.deepcopy(before)
    _named(after, "published")["destination"]["id"] = "other"
    assert "'Any invalid? (other)' instead of 'Any invalid? (b352a528" in compare(before, after).lines()[0]


def test_a_renamed_end_is_no_rewiring(before: FlowDefinition, after: FlowDefinition) -> None:
    _renamed(after)
    for connection in (c for c in _components(after) if c["componentType"] == "CONNECTION"):
        for side in ("source", "destination"):
            if connection[side]["name"] == "Pull run":
                connection[side]["name"] = "Pull"
    assert [change.what for change in compare(before, after).changes] == [What.renamed]


def test_an_end_without_a_name_is_called_by_its_component(before: FlowDefinition, after: FlowDefinition) -> None:
    _removed(after)
    for side in ("source", "destination"):
        del _named(before, "received")[side]["name"]
    words = "removed connection 'received' from 'fetched' of 'Fetch pages' to 'Stamp time of receipt'"
    assert words in compare(before, after).as_text()


def test_a_controller_service_is_called_by_its_name(before: FlowDefinition) -> None:
    before["flowContents"]["controllerServices"] = [
        _service("s1", "JSON"),
        _service("s2", "Avro"),
        _service("s3", "Avro"),
    ]
    _named(before, "Publish users")["properties"]["Reader"] = "s1"
    after = copy.deepcopy(before)
    _named(after, "Publish users")["properties"]["Reader"] = "s2"
    assert "property 'Reader': 'JSON' -> 'Avro'" in compare(before, after).lines()[0]
    other = copy.deepcopy(after)
    _named(other, "Publish users")["properties"]["Reader"] = "s3"
    assert "property 'Reader': 's2' -> 's3'" in compare(after, other).lines()[0]


# -- for the deploy -------------------------------------------------------------------------------------------------


def test_removed_connections_are_those_that_nifi_takes_away(before: FlowDefinition, after: FlowDefinition) -> None:
    for connection in (c for c in _components(before) if c["componentType"] == "CONNECTION"):
        connection["instanceIdentifier"] = f"on canvas {connection['name']}"
    assert removed_connections(before, after) == []
    _to_elsewhere(after)  # keeps its queue
    assert removed_connections(before, after) == []
    _from_elsewhere(after)  # NiFi can't change a source in place
    assert [c["instanceIdentifier"] for c in removed_connections(before, after)] == ["on canvas stamped"]
    _removed(after)
    moved = _inner(after)["connections"].pop()
    after["flowContents"]["connections"].append(moved)
    assert sorted(c["name"] for c in removed_connections(before, after)) == sorted(
        ["received", "stamped", moved["name"]]
    )


def test_a_minted_root_identifier_removes_no_connection(before: FlowDefinition) -> None:
    exported = json.loads(json.dumps(before).replace(before["flowContents"]["identifier"], "minted"))
    assert removed_connections(exported, before) == []


def test_a_changed_type_is_found(before: FlowDefinition, after: FlowDefinition) -> None:
    _retyped(after)
    (changed,) = compare(before, after).changes
    assert changed.what is What.retyped
    assert (changed.component.name, changed.after) == ("Due?", "org.example.Other")
    assert "give it a new identifier" in compare(before, after).as_text()


def test_a_service_that_is_enabled_and_one_that_runs(before: FlowDefinition, after: FlowDefinition) -> None:
    for flow, states in ((before, ("DISABLED", "ENABLED")), (after, ("ENABLED", "RUNNING"))):
        flow["flowContents"]["controllerServices"] = [
            {**_service(state, name), "identifier": name, "scheduledState": state}
            for name, state in zip(("one", "two"), states, strict=True)
        ]
    assert compare(before, after).lines() == [
        "users: controller service 'one' (Reader): enabled",
        "users: controller service 'two' (Reader): run state: 'ENABLED' -> 'RUNNING'",
    ]


def test_the_same_identifier_on_another_kind_is_a_changed_type(before: FlowDefinition, after: FlowDefinition) -> None:
    processor = _named(after, "Due?")
    _inner(after)["processors"].remove(processor)
    _inner(after)["funnels"].append({"identifier": processor["identifier"], "componentType": "FUNNEL"})
    retyped = [change for change in compare(before, after).changes if change.what is What.retyped]
    assert [(change.before, change.after) for change in retyped] == [("processor", "funnel")]


def test_what_adds_components(before: FlowDefinition, after: FlowDefinition) -> None:
    after["flowContents"]["labels"].append({"identifier": "l", "label": "hello"})
    _declared(after)
    assert not compare(before, after).adds_components
    _added(after)
    assert compare(before, after).adds_components
    assert not compare(after, before).adds_components
    assert compare(before, after).summary() == "3 added"


# -- parameters, and what is not for every eye ----------------------------------------------------------------------


def test_values_of_parameters_are_compared_where_both_have_one(before: FlowDefinition, after: FlowDefinition) -> None:
    _parameter(after, "run.seed")["value"] = "one"
    assert compare(before, after).empty
    _parameter(before, "run.seed")["value"] = "two"
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
    _named(before, "Fetch page")["properties"][name] = "#{some.parameter}"
    _named(after, "Fetch page")["properties"][name] = "hunter2"
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
    _named(before, "Fetch page")["properties"]["HTTP URL"] = value
    _named(before, "Fetch page")["comments"] = value
    _named(before, "Fetch page")["more"] = [value]
    found = compare(before, after)
    assert [change.hidden for change in found.changes] == [True] * 3
    _nowhere("hunter", found)


def test_a_secret_in_place_of_a_service_is_not_shown(before: FlowDefinition, after: FlowDefinition) -> None:
    for flow, value in ((before, "s1"), (after, "hunter2")):
        flow["flowContents"]["controllerServices"] = [_service("s1", "Vault"), _service("s2", "Other")]
        _named(flow, "Fetch page")["properties"]["Credentials"] = value
    _nowhere("hunter", compare(before, after))
    assert compare(before, after).changes[0].hidden
    _named(after, "Fetch page")["properties"]["Credentials"] = "s2"
    assert "property 'Credentials': 'Vault' -> 'Other'" in compare(before, after).as_text()


def test_a_reference_to_a_parameter_is_no_secret(before: FlowDefinition, after: FlowDefinition) -> None:
    _named(after, "Fetch page")["properties"]["Password"] = "#{source.password}"
    assert "property 'Password': not set -> '#{source.password}'" in compare(before, after).as_text()


def _nowhere(secret: str, found: Difference) -> None:
    assert secret not in found.as_text() + found.as_markdown() + json.dumps(found.as_json()) + repr(found)


# -- whatever somebody typed ----------------------------------------------------------------------------------------


def _typed(flow: FlowDefinition, text: str) -> Difference:
    """Text in every place where somebody may type one."""
    before, after = copy.deepcopy(flow), copy.deepcopy(flow)
    for changed in (before, after):
        changed["flowContents"]["name"] = text
    processor = _named(after, "Publish users")
    processor["properties"] |= {"Topic": text, f"x{text}": "y"}
    processor |= {"name": text, "comments": text, "type": f"org.{text}", text: text}
    _named(after, "published")["destination"] |= {"id": "elsewhere", "name": text}
    _named(after, "stamped").update(name=text, selectedRelationships=[text])
    after["flowContents"]["labels"][0]["label"] = text
    _parameter(after, "run.seed")["name"] = text
    return compare(before, after)


@settings(max_examples=30, deadline=None)
@given(st.one_of(st.just(NASTY), st.text(alphabet=st.sampled_from("`|<>\n\r\t #*_[]()!&\x00\x1b\u2028\u202e\ud800ab"))))
def test_no_text_leaves_its_place(text: str) -> None:
    found = _typed(_USERS, text or "x")
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
    _named(after, "Pull run")["name"] = NASTY
    assert r"````" in compare(before, after).as_markdown()
    assert r"\n# heading\r\x1b[31m\u202e\ud800 ``` @somebody" in compare(before, after).as_text()


def test_of_long_values_the_part_that_differs_is_shown(before: FlowDefinition, after: FlowDefinition) -> None:
    _named(before, "Due?")["properties"]["script"] = "a" * 3000 + "before" + "b" * 3000
    _named(after, "Due?")["properties"]["script"] = "a" * 3000 + "after" + "b" * 3000
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
    _named(before, "Due?")["annotationData"] = one
    _named(after, "Due?")["annotationData"] = other
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


# -- the command ----------------------------------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path: Path, after: FlowDefinition) -> tuple[str, str]:
    _property(after)
    changed = tmp_path / "changed.json"
    changed.write_text(json.dumps(after))
    return str(FLOW), str(changed)


def test_the_command_exits_with_0_when_both_are_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    command.diff(str(FLOW), str(FLOW))
    assert capsys.readouterr().out == "No difference.\n"


@pytest.mark.parametrize(
    ("form", "words"), [("text", "-> 'others'\n"), ("markdown", "→ `others`\n"), ("json", '"after": "others"')]
)
def test_the_command_tells_a_difference_and_exits_with_1(
    files: tuple[str, str], capsys: pytest.CaptureFixture[str], form: str, words: str
) -> None:
    with pytest.raises(typer.Exit) as ended:
        command.diff(*files, output=command.Form(form))
    assert ended.value.exit_code == 1
    told = capsys.readouterr().out
    assert words in told
    if form == "json":
        assert json.loads(told)["same"] is False


def test_only_nifi_asks_for_the_canvas(files: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "on_canvas", lambda: copy.deepcopy(_USERS))
    command.diff(files[0], "nifi")
    monkeypatch.setattr(command, "on_canvas", _not_asked)
    with pytest.raises(typer.Exit):
        command.diff(*files)


def _not_asked() -> FlowDefinition:
    raise AssertionError("NiFi was asked")
