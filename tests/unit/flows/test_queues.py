"""Which queues have to be empty before a flow is replaced, and where goes what waits in those of a failed version."""

import copy
from typing import Any

from nifi_flows.definition import groups
from nifi_flows.queues import handed_over, leading_to_removed, removed, unwanted_processors
from tests.unit.flows.small_flows import FlowDefinition, exported, flow

BEFORE = flow("Pull success Check", "Check valid Publish", "Check invalid Reject")
# a new processor between two, which tries again what it could not do
ENRICHED = flow(
    "Pull success Enrich",
    "Enrich failure Enrich",
    "Enrich success Check",
    "Check valid Publish",
    "Check invalid Reject",
)


def _destinations(definition: FlowDefinition) -> dict[str, str]:
    found = (c for group in groups(definition) for c in group.contents["connections"])
    return {connection["identifier"]: connection["destination"]["id"] for connection in found}


def _processors(definition: FlowDefinition) -> set[str]:
    return {p["identifier"] for group in groups(definition) for p in group.contents["processors"]}


def test_the_same_flow_removes_no_queue() -> None:
    assert removed(exported(BEFORE), BEFORE) == leading_to_removed(exported(BEFORE), BEFORE) == {}


def test_a_queue_that_leads_elsewhere_stays() -> None:
    assert removed(exported(BEFORE), ENRICHED) == {}


def test_removed_queues_are_called_by_their_ends_or_their_name() -> None:
    wanted = flow("Pull success Check", "Check valid Publish")
    present = exported(BEFORE)
    assert removed(present, wanted) == {"canvas:Check invalid": "Check to Reject"}
    present["flowContents"]["connections"][2]["name"] = "invalid users"
    assert removed(present, wanted) == {"canvas:Check invalid": "invalid users"}


def test_a_queue_under_its_old_identifier_but_of_another_source_is_removed() -> None:
    wanted = copy.deepcopy(BEFORE)
    wanted["flowContents"]["connections"][1]["source"] = {"id": "Reject", "name": "Reject"}
    assert list(removed(exported(BEFORE), wanted)) == ["canvas:Check valid"]


def test_what_still_flows_into_a_removed_queue_leads_to_it() -> None:
    present = exported(flow("Pull success Check", "Check valid Publish", "Publish success Count", "Clock tick Other"))
    wanted = flow("Pull success Check", "Check valid Publish", "Clock tick Other")
    assert removed(present, wanted).keys() == {"canvas:Publish success"}
    assert leading_to_removed(present, wanted).keys() == {
        "canvas:Pull success",
        "canvas:Check valid",
        "canvas:Publish success",
    }


def test_a_loop_leads_to_a_removed_queue_once() -> None:
    present = exported(flow("Pull success Due", "Due waiting Due", "Due due Fetch", "Fetch retry Due", "Fetch ok Out"))
    wanted = flow("Pull success Due", "Due waiting Due", "Due due Fetch", "Fetch retry Due")
    assert leading_to_removed(present, wanted).keys() == {
        f"canvas:{name}" for name in ("Fetch ok", "Due due", "Due waiting", "Fetch retry", "Pull success")
    }


def test_queues_lead_through_the_ports_of_groups() -> None:
    inner = flow("in - Fetch", "Fetch ok out", name="Fetch pages", ports=("in", "out"))
    around = ("Pull success in", "out - Publish")
    ports = ("in", "out")
    present = exported(flow(*around, "Publish ok Count", inside=[inner], ports=ports))
    assert leading_to_removed(present, flow(*around, inside=[inner], ports=ports)).keys() == {
        f"canvas:{name}" for name in ("Publish ok", "out -", "Fetch ok", "in -", "Pull success")
    }


def test_the_queues_of_both_copies_of_a_group_lead_to_what_is_removed() -> None:
    copies = [flow("Make ok Log", name=name) for name in ("left", "right")]
    present = exported(flow("Pull success Check", inside=copies))
    for group in present["flowContents"]["processGroups"]:
        group["connections"][0]["instanceIdentifier"] += f" {group['name']}"
    wanted = flow("Pull success Check")
    assert removed(present, wanted).keys() == {"canvas:Make ok left", "canvas:Make ok right"}
    assert leading_to_removed(present, wanted).keys() == removed(present, wanted).keys()


def test_what_waits_for_a_new_processor_goes_where_the_version_before_sends_it() -> None:
    handed = _destinations(handed_over(exported(ENRICHED), BEFORE))
    assert handed == {
        "Pull success": "Check",
        "Enrich failure": "Check",  # its own loop: to where goes what comes into it
        "Enrich success": "Check",
        "Check valid": "Publish",
        "Check invalid": "Reject",
    }


def test_it_goes_back_by_the_relationship_that_it_came_by() -> None:
    failed = flow("Pull success Check", "Check valid Publish", "Check invalid Mend", "Mend failure Mend", "X ok Reject")
    handed = _destinations(handed_over(exported(failed), BEFORE))
    assert (handed["Check invalid"], handed["Mend failure"]) == ("Reject", "Reject")


def test_it_goes_back_through_several_new_processors() -> None:
    failed = flow("Pull success A", "A ok B", "B retry A", "B failure B", "B ok Check", "Check valid Publish")
    handed = _destinations(handed_over(exported(failed), BEFORE))
    assert {handed[name] for name in ("Pull success", "A ok", "B retry", "B failure")} == {"Check"}


def test_the_whole_end_of_a_connection_is_the_wanted_one() -> None:
    wanted = copy.deepcopy(BEFORE)
    wanted["flowContents"]["connections"][0]["destination"] |= {"groupId": "g", "type": "PROCESSOR"}
    handed = handed_over(exported(ENRICHED), wanted)["flowContents"]["connections"][1]
    assert handed["destination"] == {"id": "Check", "name": "Check", "groupId": "g", "type": "PROCESSOR"}
    assert handed["instanceIdentifier"] == "canvas:Enrich failure"


def test_what_comes_from_a_new_source_has_nowhere_to_go() -> None:
    failed = flow("Pull success Check", "Clock tick Log", "Log failure Log", "Check valid Publish")
    assert _destinations(handed_over(exported(failed), BEFORE)) == _destinations(failed)


def test_what_the_wanted_flow_drops_is_not_handed_to_where_it_came_from() -> None:
    """Check would get its own output again and again, so that the queue never drains and no way back ends."""
    before = flow("Pull success Check")
    failed = flow("Pull success Check", "Check valid Publish", "Publish failure Publish")
    assert _destinations(handed_over(exported(failed), before))["Check valid"] != "Check"


def test_handing_over_changes_neither_flow() -> None:
    present, wanted = exported(ENRICHED), copy.deepcopy(BEFORE)
    handed: dict[str, Any] = handed_over(present, wanted)
    handed["flowContents"]["connections"][0]["destination"]["id"] = "changed"
    assert (present, wanted) == (exported(ENRICHED), BEFORE)


def test_nothing_is_handed_to_a_processor_that_is_not_on_the_canvas() -> None:
    """NiFi refuses a connection whose destination it can't find, and with it the way back."""
    failed = flow("Pull success Check2", "Check2 failure Check2", "Check2 valid Publish", "X ok Reject")
    handed = handed_over(exported(failed), BEFORE)
    assert set(_destinations(handed).values()) <= _processors(handed)


def test_nothing_is_handed_to_a_processor_of_another_group() -> None:
    """A connection in a group can't end at a processor outside of it."""
    inner = flow("in - Enrich", "Enrich failure Enrich", "Enrich success out", name="Enrich", ports=("in", "out"))
    failed = flow("Pull success in", "out - Check", "Check valid Publish", inside=[inner], ports=("in", "out"))
    handed = handed_over(exported(failed), BEFORE)
    within = _destinations({"flowContents": handed["flowContents"]["processGroups"][0]})
    assert set(within.values()) <= {"Enrich", "out"}


def test_unwanted_processors_are_those_of_the_exported_flow_alone_by_their_ids_on_the_canvas() -> None:
    inner = flow("Fetch ok Keep", name="inner")
    present = exported(flow("Pull success Enrich", "Enrich success Check", inside=[inner, flow("A ok B", name="gone")]))
    wanted = flow("Pull success Check", "Check valid Publish", inside=[inner])
    assert unwanted_processors(present, wanted) == {"canvas:Enrich", "canvas:A", "canvas:B"}
