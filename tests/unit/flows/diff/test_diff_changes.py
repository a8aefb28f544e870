"""Each kind of change is told in words, once and where it is."""

import copy
import json
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nifi_flows.canonical import structure
from nifi_flows.diff import What, compare
from tests.unit.flows.diff.changes import (
    USERS_FLOW,
    add,
    change_property,
    change_tasks,
    come_from_elsewhere,
    components_of,
    declare,
    end_of,
    find,
    find_parameter,
    inner_group,
    lead_elsewhere,
    remove,
    rename,
    retype,
)
from tests.unit.flows.small_flows import FlowDefinition


def _both_ends(flow: FlowDefinition) -> None:
    find(flow, "stamped")["source"] = end_of(flow, "Pull run")
    find(flow, "stamped")["destination"] = end_of(flow, "Any invalid?")


def _relationships(flow: FlowDefinition) -> None:
    find(flow, "stamped")["selectedRelationships"] = ["success", "failure"]


def _property_gone(flow: FlowDefinition) -> None:
    del find(flow, "Publish users")["properties"]["Topic"]


def _auto_terminated(flow: FlowDefinition) -> None:
    find(flow, "Publish users")["autoTerminatedRelationships"] = []


def _bundle(flow: FlowDefinition) -> None:
    find(flow, "Fetch page")["bundle"]["version"] = "2.4.0"


def _back_pressure(flow: FlowDefinition) -> None:
    find(flow, "stamped")["backPressureObjectThreshold"] = 9


def _unbound(flow: FlowDefinition) -> None:
    del flow["flowContents"]["parameterContextName"]


def _disabled(flow: FlowDefinition) -> None:
    find(flow, "fetched")["scheduledState"] = "DISABLED"


def _group_renamed(flow: FlowDefinition) -> None:
    inner_group(flow)["name"] = "Fetch"


def _undeclared(flow: FlowDefinition) -> None:
    flow["parameterContexts"]["users"]["parameters"].remove(find_parameter(flow, "run.pages"))


def _described(flow: FlowDefinition) -> None:
    find_parameter(flow, "run.seed")["description"] = "a seed"


def _sensitive(flow: FlowDefinition) -> None:
    find_parameter(flow, "run.seed")["sensitive"] = True


def _external(flow: FlowDefinition) -> None:
    flow["externalControllerServices"] = {"x": {"identifier": "x", "name": "Pool"}}


CHANGES: list[tuple[Callable[[FlowDefinition], None], str, str]] = [
    (add, "users", "added processor 'Log' (LogAttribute)"),
    (remove, "users", "removed connection 'received' from 'fetched' of 'Fetch pages' to 'Stamp time of receipt'"),
    (rename, "users", "renamed from 'Pull run'"),
    (
        lead_elsewhere,
        "users",
        "'Publish users' success now goes to 'Publish dead letters' instead of 'Any invalid?'",
    ),
    (
        come_from_elsewhere,
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
    (change_property, "users", "property 'Topic': '#{kafka.topic}' -> 'others'"),
    (_property_gone, "users", "property 'Topic': '#{kafka.topic}' -> not set"),
    (change_tasks, "users", "concurrent tasks: 4 -> 2"),
    (_auto_terminated, "users", "auto-terminated relationships: original -> none"),
    (_bundle, "users / Fetch pages", "bundle version: '2.3.0' -> '2.4.0'"),
    (_back_pressure, "users", "back-pressure object threshold: 8 -> 9"),
    (_unbound, "users", "parameter context: 'users' -> not set"),
    (_disabled, "users / Fetch pages", "output port 'fetched': disabled"),
    (retype, "users / Fetch pages", "type changed from"),
    (_group_renamed, "users", "process group 'Fetch': renamed from 'Fetch pages'"),
    (declare, "parameter context users", "added parameter 'more'"),
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


def test_nothing_changed() -> None:
    found = compare(USERS_FLOW, USERS_FLOW)
    assert found.empty
    assert (found.lines(), found.summary()) == ([], "")
    assert found.as_text() == found.as_markdown() == "No difference.\n"
    assert found.as_json() == {"same": True, "groups": []}


@settings(max_examples=30)
@given(st.lists(st.sampled_from([change for change, _, _ in CHANGES]), max_size=5, unique=True))
def test_whatever_was_changed_a_flow_is_like_itself_and_nothing_is_missed(
    changes: list[Callable[[FlowDefinition], None]],
) -> None:
    after = copy.deepcopy(USERS_FLOW)
    for change in changes:
        change(after)
    kept = copy.deepcopy(after)
    there, back = compare(USERS_FLOW, after), compare(after, USERS_FLOW)
    assert compare(after, copy.deepcopy(after)).empty
    assert there.empty == back.empty == (structure(USERS_FLOW) == structure(after))
    assert after == kept
    assert json.loads(json.dumps(there.as_json()))["same"] is there.empty
    opposite = {What.added: What.removed, What.removed: What.added, What.enabled: What.disabled}
    opposite[What.disabled] = What.enabled
    assert sorted(opposite.get(c.what, c.what) for c in there.changes) == sorted(c.what for c in back.changes)


def test_what_each_import_mints_is_no_change(before: FlowDefinition, after: FlowDefinition) -> None:
    text = json.dumps(after).replace(after["flowContents"]["identifier"], "11111111-2222-3333-4444-555555555555")
    exported = json.loads(text)
    for component in components_of(exported):
        component["instanceIdentifier"] = "minted"
        component["propertyDescriptors"] = {"Topic": {"dynamic": True}}
    exported["flowContents"]["processors"].reverse()
    assert compare(before, exported).empty
