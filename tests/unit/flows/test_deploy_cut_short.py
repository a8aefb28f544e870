"""A NiFi that goes away under a deploy, and a deploy that was cut off."""

from dataclasses import replace

import pytest

from nifi_flows.ledger import now
from tests.unit.flows.fake_nifi import AWAY, ENRICHED, REQUEUED, TUNED, Asked, Here, held

# -- a NiFi that goes away --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", ["stop", "load", "replace", "set parameters", "start"])
def test_a_nifi_that_goes_away_is_waited_for(here: Here, step: str) -> None:
    here.step.faults = {step: [AWAY]}
    desired = here.desired("v2", ENRICHED, code="c2", rate="2")
    here.deploy(desired)
    assert here.steps.count("wait for NiFi") == 1
    assert here.steps[here.steps.index("wait for NiFi") - 1] == step
    assert "NiFi is away; waiting for NiFi" in here.reported
    assert here.runs(desired) and here.noted.ok


def test_a_nifi_that_goes_away_after_the_import_gets_no_second_one(empty: Here) -> None:
    empty.step.faults = {"start": [AWAY]}
    empty.deploy(empty.desired("v1"))
    assert empty.steps == ["load", "import", "start", "wait for NiFi", "start"]
    assert empty.runs(empty.desired("v1"))


def test_the_third_time_it_goes_back(here: Here) -> None:
    here.step.faults = {"replace": [AWAY] * 3}
    assert here.refused(here.desired("v2", TUNED)) == "NiFi is away; version v1 runs again"
    assert here.steps == ["replace", "wait for NiFi", "replace", "wait for NiFi", "replace"]
    assert here.runs(here.desired("v1"))


def test_it_is_not_waited_for_before_anything_is_touched(here: Here) -> None:
    def away() -> None:
        raise AWAY

    assert here.refused(here.desired("v2", TUNED), Asked(replace=away)) == "NiFi is away; nothing was changed"
    assert here.steps == []
    assert here.runs(here.desired("v1"))


def test_a_nifi_that_stays_away_leaves_the_deploy_unfinished(here: Here) -> None:
    here.step.faults = {"load": [AWAY] * 2, "wait for NiFi": [AWAY] * 2}
    # the way back finds the old code loaded, since no load came to its end, and can't start it
    here.step.faults["start"] = [AWAY]
    assert "going back failed too" in here.refused(here.desired("v2", code="c2"))
    assert here.state.unfinished and here.state.unfinished.version == "v2"
    here.deploy(here.desired("v1"))
    assert here.runs(here.desired("v1"))


def test_how_long_it_stood_still_counts_from_the_first_try_on(here: Here) -> None:
    here.step.faults = {"start": [AWAY]}
    assert here.deploy(here.desired("v2", code="c2")).stopped >= 10


# -- a deploy that was cut off ----------------------------------------------------------------------------------------


def test_a_deploy_that_was_cut_off_is_verified_again_even_if_nothing_differs(here: Here) -> None:
    here.ledger.begin(here.desired("v1").record)
    here.host.complaints = ["no record in 60 s"]
    here.deploy(here.desired("v1"))
    assert here.steps == []
    assert here.reported == [
        "an earlier deploy of v1 did not end; this one ends it",
        "verified: the flow is as deployed, valid and running",
        "no record in 60 s",
    ]
    assert here.runs(here.desired("v1"))


def test_a_deploy_that_was_cut_off_counts_as_a_try(here: Here) -> None:
    cut = replace(here.desired("v2", TUNED).record, by="airflow", at=now())
    here.ledger.begin(cut)
    here.deploy(here.desired("v1"))
    told = here.ledger.history()[-2]
    assert (told.by, told.version, told.ok, told.passing, told.says) == ("airflow", "v2", False, True, "it was cut off")


def test_a_version_that_was_cut_off_before_it_was_watched_is_still_new(here: Here) -> None:
    desired = here.desired("v2", TUNED)
    here.ledger.begin(desired.record)
    here.canvas.flow = TUNED
    here.host.complaints = ["no record in 60 s"]
    assert here.refused(desired) == "no record in 60 s; version v1 runs again"
    assert here.runs(here.desired("v1"))


def test_a_deploy_that_was_cut_off_is_undone_if_the_next_one_fails_at_once(here: Here) -> None:
    here.ledger.begin(here.desired("v2", TUNED).record)
    here.canvas.flow = TUNED
    assert (
        here.refused(here.desired("v3", ENRICHED), Asked(replace=held)) == "ann holds the flow; version v1 runs again"
    )
    assert here.runs(here.desired("v1"))


def _cut_off(here: Here) -> None:
    """A deploy of a version with a processor more ended nowhere: all stands still, with FlowFiles in its loop."""
    here.ledger.begin(here.desired("v2", ENRICHED).record)
    here.canvas.flow, here.canvas.running = ENRICHED, set()
    here.canvas.queues = {"canvas:Enrich failure": 7}


def test_what_waits_in_a_version_that_was_cut_off_is_handed_over_to_the_next(here: Here) -> None:
    _cut_off(here)
    here.deploy(here.desired("v3", TUNED))
    assert here.steps == ["stop", "replace", "start Check, Publish", "stop", "replace", "start"]
    assert here.runs(here.desired("v3", TUNED))
    assert here.canvas.taken == {"Check": 7}


@pytest.mark.parametrize("running", [True, False])
def test_what_leads_to_a_queue_that_goes_runs_empty_after_a_cut_too(here: Here, running: bool) -> None:
    here.ledger.begin(here.desired("v2", REQUEUED).record)
    if not running:
        here.canvas.running.clear()
    here.canvas.queues = {"canvas:Pull success": 7}
    here.deploy(here.desired("v2", REQUEUED))
    assert here.steps == ["stop", "replace", "start Check, Publish", "stop", "replace", "start"]
    assert here.canvas.taken == {"Check": 7} and here.canvas.queues == {}
    assert here.runs(here.desired("v2", REQUEUED))


def test_when_that_does_not_run_empty_what_ran_before_runs_again(here: Here) -> None:
    here.ledger.begin(here.desired("v2", REQUEUED).record)
    here.canvas.stuck = {"Check"}
    here.canvas.queues = {"canvas:Pull success": 7}
    assert "'Pull to Check' holds 7 FlowFiles; version v1 runs again" in here.refused(here.desired("v2", REQUEUED))
    assert here.canvas.running == here.canvas.all() and here.canvas.queues == {"canvas:Pull success": 7}
    assert here.state.deployed and here.state.deployed.version == "v1" and here.state.unfinished is None


def test_who_may_not_go_on_hands_nothing_over(here: Here) -> None:
    _cut_off(here)
    steps: list[list[str]] = []

    def look() -> None:
        steps.append([*here.steps])
        held()

    here.refused(here.desired("v3", TUNED), Asked(replace=look))
    assert steps == [[]]
