"""The steps of a deploy in their order, when all goes well or a queue does not drain."""

import pytest

from nifi_flows.errors import TransientError
from nifi_flows.plan import plan
from tests.unit.flows.fake_nifi import AWAY, ENRICHED, FLOW, REQUEUED, SHORTER, TUNED, Here
from tests.unit.flows.small_flows import flow

# -- what goes well ---------------------------------------------------------------------------------------------------


def test_the_first_import(empty: Here) -> None:
    desired = empty.desired("v1", schemas=["user"])
    done = empty.deploy(desired)
    assert empty.steps == ["load", "import", "register", "start"]
    assert empty.runs(desired)
    assert empty.state.deployed and empty.state.deployed.group == "group"
    assert (done.version, done.stopped, len(done.changes)) == ("v1", 0.0, 4)
    assert (empty.noted.ok, empty.noted.by, empty.noted.version) == (True, "me", "v1")


def test_what_runs_is_left_alone(here: Here) -> None:
    done = here.deploy(here.desired("v1"))
    assert (done.changes, here.steps) == ([], [])
    assert len(here.ledger.history()) == 1


def test_a_setting_is_replaced_in_place_while_the_flow_runs(here: Here) -> None:
    desired = here.desired("v2", TUNED)
    done = here.deploy(desired)
    assert here.steps == ["replace"]
    assert here.runs(desired)
    assert done.changes == ["replaced in place (1 property)"] and done.stopped == 0
    assert here.state.previous and here.state.previous.version == "v1"


def test_what_is_new_is_added_to_a_flow_that_stands_still(here: Here) -> None:
    desired = here.desired("v2", ENRICHED)
    here.deploy(desired)
    assert here.steps == ["stop", "replace", "start"]
    assert here.runs(desired)


def test_code_is_loaded_between_stop_and_start(here: Here) -> None:
    desired = here.desired("v2", TUNED, code="c2")
    done = here.deploy(desired)
    assert here.steps == ["stop", "load", "replace", "start"]
    assert here.runs(desired)
    assert done.stopped == 10


def test_parameters_alone_are_set_alone(here: Here) -> None:
    desired = here.desired("v1", rate="9")
    done = here.deploy(desired)
    assert here.steps == ["set parameters"]
    assert here.runs(desired) and done.changes == ["set rate"]
    assert here.state.deployed and here.state.deployed.values == {"rate": "9"}


def test_what_was_stopped_by_hand_is_started(here: Here) -> None:
    here.canvas.running.remove("Publish")
    here.deploy(here.desired("v1"))
    assert here.steps == ["start"] and here.runs(here.desired("v1"))


def test_another_version_of_the_same_content_is_only_noted(here: Here) -> None:
    desired = here.desired("v2")
    done = here.deploy(desired)
    assert (here.steps, done.changes, here.noted.says) == ([], [], "nothing to change")
    assert here.runs(desired)


def test_services_are_enabled_before_what_uses_them_has_to_be_valid(empty: Here) -> None:
    desired = empty.desired("v1", flow("Pull success Check", services=["Reader"], parameters=["rate"]))
    empty.deploy(desired)
    assert empty.steps == ["load", "import", "enable services", "start"]
    assert empty.runs(desired) and empty.canvas.enabled == {"Reader"}


def test_a_service_that_was_disabled_by_hand_is_enabled(here: Here) -> None:
    desired = here.desired("v2", flow("Pull success Check", "Check valid Publish", services=["A"], parameters=["rate"]))
    here.deploy(desired)
    here.canvas.enabled.clear()
    here.deploy(desired)
    assert here.steps == ["enable services"] and here.runs(desired)


def test_a_queue_that_goes_runs_empty_first(here: Here) -> None:
    here.canvas.queues = {"canvas:Pull success": 2, "canvas:Check valid": 3}
    desired = here.desired("v2", SHORTER)
    here.deploy(desired)
    assert here.steps == ["stop Pull", "replace", "start"]
    assert "drained Check to Publish, Pull to Check" in here.reported  # what flows into it has to be empty too
    assert here.canvas.taken == {"Check": 2, "Publish": 3}
    assert here.runs(desired)


def test_a_flow_that_was_stopped_by_hand_drains_before_a_queue_goes(here: Here) -> None:
    """What waits may not be what the next version takes, such as a page whose attributes have other names there."""
    here.canvas.running.clear()
    here.canvas.queues = {"canvas:Pull success": 2}
    desired = here.desired("v2", REQUEUED)
    here.deploy(desired)
    assert here.steps == ["stop Pull", "start Check, Publish", "stop", "replace", "start"]
    assert here.canvas.taken == {"Check": 2}
    assert here.runs(desired)


def test_a_flow_that_stands_still_and_holds_nothing_needs_no_drain(here: Here) -> None:
    here.canvas.running.clear()
    here.deploy(here.desired("v2", REQUEUED))
    assert here.steps == ["stop", "replace", "start"]


def test_the_plan_tells_the_steps_and_does_none(here: Here) -> None:
    here.step.done.clear()
    planned = plan(here.desired("v2", SHORTER, code="c2", rate="2", schemas=["user"]), here.host)
    assert planned.lines() == [
        "register user",
        "drain Check to Publish, Pull to Check",
        "load the processors, which restarts NiFi",
        "replace the flow in place (2 removed)",
        "set rate",
    ]
    assert here.steps == [] and not planned.empty
    assert plan(here.desired("v1"), here.host).empty


def test_the_plan_of_a_first_import(empty: Here) -> None:
    planned = plan(empty.desired("v1"), empty.host)
    assert planned.lines() == ["import the flow", "load the processors, which restarts NiFi", "set rate"]
    assert empty.steps == []


# -- queues that do not drain -----------------------------------------------------------------------------------------


def test_a_drain_that_times_out_starts_the_sources_again_and_is_not_tried_again(here: Here) -> None:
    here.canvas.stuck = {"Publish"}
    here.canvas.queues = {"canvas:Check valid": 3}
    with pytest.raises(TransientError, match=r"drain within 60 s: 'Check to Publish' holds 3 .*nothing was ch"):
        here.deploy(here.desired("v2", SHORTER))
    assert here.steps == ["stop Pull", "start Pull"]
    assert here.runs(here.desired("v1"))
    assert here.canvas.queues == {"canvas:Check valid": 3}


def test_a_source_that_was_stopped_by_hand_stays_so_when_a_queue_does_not_drain(here: Here) -> None:
    here.canvas.running.remove("Pull")
    here.canvas.stuck = {"Publish"}
    here.canvas.queues = {"canvas:Check valid": 3}
    assert "nothing was changed" in here.refused(here.desired("v2", SHORTER))
    assert here.canvas.running == {"Check", "Publish"}


def test_a_flow_that_was_stopped_by_hand_and_does_not_drain_is_stopped_again(here: Here) -> None:
    here.canvas.running.clear()
    here.canvas.stuck = {"Check"}
    here.canvas.queues = {"canvas:Pull success": 2}
    assert "'Pull to Check' holds 2 FlowFiles; nothing was changed" in here.refused(here.desired("v2", REQUEUED))
    assert here.steps == ["stop Pull", "start Check, Publish", "stop"]
    assert here.canvas.running == set() and here.canvas.flow == FLOW


def test_when_nifi_goes_away_while_draining_the_sources_start_again(here: Here) -> None:
    here.canvas.queues = {"canvas:Check valid": 3}
    here.step.faults = {"stop Pull": [AWAY]}
    desired = here.desired("v2", SHORTER)
    here.deploy(desired)
    assert here.steps == ["stop Pull", "wait for NiFi", "stop Pull", "replace", "start"]
    assert here.runs(desired)
