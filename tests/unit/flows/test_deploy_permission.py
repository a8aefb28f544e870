"""A deploy that may not go on, for a hold or since somebody else deploys."""

import pytest

from nifi_flows.lease import LeaseLost
from nifi_flows.ledger import State
from tests.unit.flows.fake_nifi import ENRICHED, FLOW, REFUSED, SHORTER, TUNED, Asked, Here, held
from tests.unit.flows.small_flows import FlowDefinition


@pytest.mark.parametrize(
    ("definition", "code"),
    [
        (TUNED, "c1"),
        (ENRICHED, "c1"),
        (FLOW, "c2"),
        (SHORTER, "c1"),
    ],
    ids=["replace", "replace a stopped flow", "load", "drain"],
)
def test_who_may_not_go_on_touches_nothing(here: Here, definition: FlowDefinition, code: str) -> None:
    assert (
        here.refused(here.desired("v2", definition, code=code), Asked(replace=held))
        == "ann holds the flow; nothing was changed"
    )
    assert here.steps == []
    assert here.runs(here.desired("v1"))


@pytest.mark.parametrize("loaded", [None, "c1"])
def test_who_may_not_go_on_imports_nothing(empty: Here, loaded: str | None) -> None:
    empty.host.code = loaded
    assert empty.refused(empty.desired("v1"), Asked(replace=held)) == "ann holds the flow; nothing was changed"
    assert empty.steps == [] and empty.state == State()


def test_the_way_back_is_gone_to_its_end_whoever_holds_the_flow(here: Here) -> None:
    def held_after_load() -> None:
        if "load" in here.steps:
            held()

    assert "version v1 runs again" in here.refused(here.desired("v2", TUNED, code="c2"), Asked(replace=held_after_load))
    assert here.steps == ["stop", "load", "stop", "load", "start"]
    assert here.runs(here.desired("v1"))


def _taken_over(here: Here, step: str) -> Asked:
    """Another deploy takes over as soon as a step is done."""

    def check() -> None:
        if step in here.steps:
            here.ledger.begin(here.desired("v3").record)
            raise LeaseLost("airflow has the lease", "try again when it is free")

    return Asked(always=check)


@pytest.mark.parametrize(
    ("definition", "step", "steps"),
    [(TUNED, "replace", ["replace"]), (ENRICHED, "replace", ["stop", "replace"]), (TUNED, "load", ["stop", "load"])],
)
def test_who_lost_the_lease_does_nothing_more(
    here: Here, definition: FlowDefinition, step: str, steps: list[str]
) -> None:
    """Whoever has it goes on from there; going back would undo what they do."""
    code = "c2" if step == "load" else "c1"
    with pytest.raises(LeaseLost):
        here.deploy(here.desired("v2", definition, code=code), _taken_over(here, step))
    assert here.steps == steps
    assert here.state.unfinished and here.state.unfinished.version == "v3"


def test_who_lost_the_lease_on_the_way_back_does_nothing_more(here: Here) -> None:
    here.step.faults = {"replace": [REFUSED]}
    with pytest.raises(LeaseLost):
        here.deploy(here.desired("v2", TUNED), _taken_over(here, "replace"))
    assert here.steps == ["replace"]
    assert here.state.unfinished and here.state.unfinished.version == "v3"


def test_who_lost_the_lease_before_it_began_leaves_no_trace(here: Here) -> None:
    def lost() -> None:
        raise LeaseLost("airflow has the lease", "try again when it is free")

    with pytest.raises(LeaseLost):
        here.deploy(here.desired("v2", TUNED), Asked(always=lost))
    assert here.runs(here.desired("v1")) and here.steps == []
