"""What runs after a deploy that failed: what ran before, whatever went wrong."""

import json
from dataclasses import replace

import pytest

from nifi_flows.desired_state import DesiredState
from nifi_flows.errors import TerminalError, TransientError
from tests.unit.flows.fake_nifi import AWAY, ENRICHED, REFUSED, TUNED, Asked, Here, held
from tests.unit.flows.small_flows import flow

# -- going back -------------------------------------------------------------------------------------------------------


def test_a_replace_that_fails_goes_back(here: Here) -> None:
    here.step.faults = {"replace": [REFUSED]}
    said = here.refused(here.desired("v2", ENRICHED))
    assert said == "NiFi refuses; version v1 runs again"
    assert here.steps == ["stop", "replace", "start"]
    assert here.runs(here.desired("v1")) and here.state.previous is None
    assert (here.noted.ok, here.noted.version, here.noted.says) == (False, "v2", said)


def test_all_parts_of_what_ran_before_come_back(here: Here) -> None:
    here.canvas.invalid = {"Enrich"}
    said = here.refused(here.desired("v2", ENRICHED, code="c2", rate="2"))
    assert "processor 'Enrich' is not valid: no." in said
    assert here.steps == [
        *("stop", "load", "replace", "set parameters"),
        *("stop", "load", "replace", "set parameters", "start"),
    ]
    assert here.runs(here.desired("v1"))


def test_what_nifi_does_not_take_goes_back(here: Here) -> None:
    here.canvas.deaf = True
    assert "NiFi did not take all of the flow: 1 property" in here.refused(here.desired("v2", TUNED))
    assert here.runs(here.desired("v1"))


def test_an_interrupted_deploy_goes_back_and_stays_interrupted(here: Here) -> None:
    here.step.faults = {"replace": [KeyboardInterrupt()]}
    with pytest.raises(KeyboardInterrupt):
        here.deploy(here.desired("v2", ENRICHED))
    assert here.runs(here.desired("v1"))
    assert here.noted.says == "KeyboardInterrupt; version v1 runs again"


def test_a_first_import_that_fails_has_nothing_to_go_back_to(empty: Here) -> None:
    empty.canvas.invalid = {"Pull"}
    desired = empty.desired("v1")
    assert "there is no version before it to go back to" in empty.refused(desired)
    assert empty.state.unfinished and empty.state.deployed is None
    empty.canvas.invalid.clear()
    empty.deploy(desired)
    assert empty.steps == ["start"] and empty.runs(desired)


def test_when_going_back_fails_too_what_can_run_is_started_and_the_next_deploy_ends_it(here: Here) -> None:
    here.step.faults = {"replace": [REFUSED], "start": [TerminalError("no thread", "")]}
    desired = here.desired("v2", ENRICHED)
    with pytest.raises(TransientError, match="NiFi refuses; going back failed too: no thread"):
        here.deploy(desired)
    assert here.steps == ["stop", "replace", "start", "start what can"]
    assert here.canvas.running == here.canvas.all()
    assert here.state.unfinished == desired.record
    assert here.state.deployed and here.state.deployed.version == "v1"
    assert not here.noted.ok and "going back failed too: no thread" in here.noted.says

    here.deploy(desired)
    assert here.reported[0] == "an earlier deploy of v2 did not end; this one ends it"
    assert here.runs(desired)


def test_when_not_even_that_can_be_done_it_is_told_all_the_same(here: Here) -> None:
    here.step.faults = {"replace": [REFUSED], "start": [REFUSED], "start what can": [AWAY]}
    assert "going back failed too" in here.refused(here.desired("v2", ENRICHED))
    assert here.state.unfinished


def test_sensitive_parameters_come_back_with_the_version(here: Here) -> None:
    """NiFi doesn't tell them, and where they come from has the new ones by now."""
    definition = flow("Pull success Check", "Check valid Publish", parameters=["rate", "token"])

    def with_token(name: str, token: str) -> DesiredState:
        desired = here.desired(name, definition)
        return replace(desired, values={**desired.values, "token": token}, renewed=["token"])

    before = with_token("v2", "old")
    here.deploy(before)
    here.host.complaints = ["the source answers 401"]
    here.refused(with_token("v3", "new"), secrets={"token": "old"})
    assert here.canvas.values["token"] == "old"
    assert here.runs(before)
    assert "old" not in json.dumps(here.ledger.state().deployed.values)  # type: ignore[union-attr]


def test_a_way_back_that_is_interrupted_leaves_what_can_run_running(here: Here) -> None:
    here.step.faults = {"start": [REFUSED, KeyboardInterrupt()]}
    with pytest.raises(KeyboardInterrupt):
        here.deploy(here.desired("v2", ENRICHED))
    assert here.steps[-1] == "start what can"
    assert here.state.unfinished and not here.noted.ok
    here.deploy(here.desired("v1"))
    assert here.runs(here.desired("v1"))


def test_what_was_wrong_says_whether_it_may_pass(here: Here) -> None:
    here.step.faults = {"replace": [REFUSED]}
    here.refused(here.desired("v2", TUNED))
    assert not here.noted.passing
    here.step.faults = {"replace": [AWAY] * 3}
    here.refused(here.desired("v2", TUNED))
    assert here.noted.passing
    here.refused(here.desired("v2", TUNED), Asked(replace=held))
    assert here.noted.passing, "a hold says nothing against the version"


def test_what_waits_before_a_processor_of_the_failed_version_is_handed_over(here: Here) -> None:
    here.canvas.stuck = {"Enrich"}
    here.canvas.queues = {"canvas:Enrich failure": 7, "canvas:Enrich success": 1}
    here.host.complaints = ["no record in 60 s"]
    said = here.refused(here.desired("v2", ENRICHED))
    assert said == "no record in 60 s; version v1 runs again"
    assert here.steps == [
        *("stop", "replace", "start"),
        *("stop", "replace", "start Check, Publish", "stop", "replace", "start"),
    ]
    assert here.runs(here.desired("v1"))
    assert here.canvas.queues == {} and here.canvas.taken == {"Check": 8}


def test_what_leads_to_a_queue_of_the_failed_version_runs_empty_too(
    here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be of the failed version: under the one before, it would not be known for what it is."""
    here.canvas.queues, here.canvas.slow = {"canvas:Pull success": 3}, 8
    here.host.complaints = ["no record in 60 s"]
    waiting: list[int] = []

    def note(step: str) -> None:
        if step == "replace":
            waiting.append(sum(here.canvas.queues.values()))
        here.step(step)

    monkeypatch.setattr(here.canvas, "step", note)
    here.refused(here.desired("v2", ENRICHED))
    assert waiting == [3, 3, 0], "forward, handed over, and back"
    assert here.canvas.taken == {"Check": 3}
    assert not any("does not drain" in line for line in here.reported)


def test_going_back_tells_what_does_not_run_empty_and_goes_on(here: Here) -> None:
    here.canvas.stuck = {"Enrich", "Check"}
    here.canvas.queues = {"canvas:Pull success": 3}
    here.host.complaints = ["no record in 60 s"]
    assert here.refused(here.desired("v2", ENRICHED)) == "no record in 60 s; version v1 runs again"
    assert here.runs(here.desired("v1")) and here.canvas.queues == {"canvas:Pull success": 3}
    told = "the queue does not drain within 60 s: 'Pull to Enrich' holds 3 FlowFiles; version v1 gets them as they are"
    assert told in here.reported


def test_when_it_cannot_be_handed_over_everything_that_can_run_runs(here: Here) -> None:
    here.canvas.stuck = {"Enrich", "Check"}
    here.canvas.queues = {"canvas:Enrich failure": 7}
    here.host.complaints = ["no record in 60 s"]
    said = here.refused(here.desired("v2", ENRICHED))
    assert "going back failed too: the queue does not drain within 60 s: 'Enrich to Enrich' holds 7" in said
    assert here.steps[-2:] == ["stop", "start what can"]
    assert here.canvas.running == here.canvas.all() and here.canvas.queues == {"canvas:Enrich failure": 7}
    assert here.state.unfinished and here.state.unfinished.version == "v2"


# -- when no record passes --------------------------------------------------------------------------------------------


def test_a_complaint_rolls_a_new_version_back(here: Here) -> None:
    here.host.complaints = ["no record in 60 s"]
    assert here.refused(here.desired("v2", TUNED)) == "no record in 60 s; version v1 runs again"
    assert here.steps == ["replace", "replace"]
    assert here.runs(here.desired("v1"))


def test_a_complaint_about_a_version_that_ran_before_is_only_told(here: Here) -> None:
    here.deploy(here.desired("v2", TUNED))
    here.host.complaints = ["no record in 60 s"]
    here.deploy(here.desired("v1"))
    assert here.reported[-1] == "no record in 60 s"
    assert here.runs(here.desired("v1"))


def test_a_complaint_about_the_very_first_version_is_only_told(empty: Here) -> None:
    empty.host.complaints = ["no record in 60 s"]
    empty.deploy(empty.desired("v1"))
    assert empty.reported[-1] == "no record in 60 s" and empty.runs(empty.desired("v1"))


def test_a_complaint_on_the_way_back_does_not_stop_it(here: Here) -> None:
    here.host.complaints = ["no record of v2", "no record of v1 either"]
    assert here.refused(here.desired("v2", TUNED)) == "no record of v2; version v1 runs again"
    assert here.reported[-1] == "no record of v1 either"
    assert here.runs(here.desired("v1"))
