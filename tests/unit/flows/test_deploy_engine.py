"""The steps of a deploy in their order, and what runs afterwards whatever goes wrong between them.

NiFi is a small canvas in memory; what it really does on these steps is held by tests/engines.
"""

import copy
import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nifi_flows import deploy as engine
from nifi_flows.canvas import Part
from nifi_flows.deploy import Deployment, Report, Target
from nifi_flows.errors import TerminalError, TransientError
from nifi_flows.hold import Held
from nifi_flows.lease import LeaseLost
from nifi_flows.ledger import Deployed, Event, Ledger, State, now
from nifi_flows.queues import removed
from nifi_flows.version import Version
from tests.unit.flows.small_flows import FlowDefinition, exported, flow

AWAY, REFUSED = TransientError("NiFi is away", "wait"), TerminalError("NiFi refuses", "mend it")

FLOW = flow("Pull success Check", "Check valid Publish", parameters=["rate"])
# the same connections with another setting; a processor more, which tries again what it could not do; a queue less
TUNED = flow("Pull success Check", "Check valid Publish", parameters=["rate"], properties={"Pull": {"size": "9"}})
ENRICHED = flow(
    "Pull success Enrich",
    "Enrich failure Enrich",
    "Enrich success Check",
    "Check valid Publish",
    parameters=["rate"],
)
SHORTER = flow("Pull success Check", parameters=["rate"])


class Clock:
    """In place of the module time: nothing really sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Steps:
    """What was done, in order. faults: what the next calls of a step raise; None lets one pass."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.faults: dict[str, list[BaseException | None]] = {}

    def __call__(self, step: str) -> None:
        self.done.append(step)
        waiting = self.faults.get(step)
        if waiting and (fault := waiting.pop(0)):
            raise fault


class Canvas:
    """One group on a canvas, in place of nifi_flows.canvas. Components are known by their names.

    stuck: processors that don't take what waits for them. invalid: those that don't become valid. deaf: a replace
    changes nothing. queues: id of a connection -> FlowFiles in it. taken: processor -> FlowFiles it took from there.
    """

    def __init__(self, step: Steps) -> None:
        self.step = step
        self.flow: FlowDefinition | None = None
        self.values: dict[str, str] = {}
        self.running: set[str] = set()
        self.enabled: set[str] = set()
        self.queues: dict[str, int] = {}
        self.taken: Counter[str] = Counter()
        self.stuck: set[str] = set()
        self.invalid: set[str] = set()
        self.deaf = False

    def all(self, kind: str = "processors") -> set[str]:
        return {part["name"] for part in self._contents(kind)}

    def _contents(self, kind: str) -> list[dict[str, Any]]:
        return [*self.flow["flowContents"][kind]] if self.flow else []

    def find_group(self, name: str) -> str | None:
        return "group" if self.flow and self.flow["flowContents"]["name"] == name else None

    def export(self, group: str) -> FlowDefinition:
        assert self.flow
        return exported(self.flow)

    def idle(self, group: str) -> list[Part]:
        processors, services = self.all() - self.running, self.all("controllerServices") - self.enabled
        return [Part(name, "processor", name, "STOPPED", "VALID", []) for name in sorted(processors)] + [
            Part(name, "controller service", name, "DISABLED", "VALID", []) for name in sorted(services)
        ]

    def settled(self, group: str, patience: float) -> list[Part]:
        waiting = self.all() if self.all("controllerServices") - self.enabled else self.invalid & self.all()
        return [Part(name, "processor", name, "STOPPED", "INVALID", ["no."]) for name in sorted(waiting)]

    def import_flow(self, definition: FlowDefinition, values: Mapping[str, str]) -> str:
        self.step("import")
        self.flow, self.values = copy.deepcopy(definition), dict(values)
        return "group"

    def replace(self, group: str, definition: FlowDefinition, values: Mapping[str, str]) -> None:
        self.step("replace")
        if held := removed(self.export(group), definition).keys() & self.queued(group).keys():
            raise TerminalError(f"NiFi refuses to remove {held}")
        if not self.deaf:
            self.flow = copy.deepcopy(definition)
            self.values = dict(values) | self.values
            self.running &= self.all()

    def differing_parameters(
        self, group: str, declared: Collection[str], values: Mapping[str, str], renewed: Collection[str] = ()
    ) -> list[str]:
        return sorted(name for name in declared if name in renewed or self.values.get(name) != values.get(name))

    def set_parameters(
        self, group: str, declared: Collection[str], values: Mapping[str, str], renewed: Collection[str] = ()
    ) -> list[str]:
        changed = self.differing_parameters(group, declared, values, renewed)
        self.values = dict(values)
        self.step("set parameters")
        return changed

    def enable_services(self, group: str, patience: float) -> list[str]:
        disabled = self.all("controllerServices") - self.enabled
        if disabled:
            self.step("enable services")
        self.enabled |= disabled
        return [f"controller service {name!r}" for name in disabled]

    def start(self, group: str, patience: float) -> list[str]:
        idle = self.idle(group)
        if idle:
            self.step("start")
            self.running = self.all()
        return [str(part) for part in idle]

    def stop(self, group: str, patience: float) -> None:
        self.step("stop")
        self.running = set()

    def set_running(self, group: str, running: bool) -> None:
        self.step("start what can")
        self.running = self.all() if running else set()

    def sources(self, group: str) -> list[str]:
        fed = {c["destination"]["id"] for c in self._contents("connections")}
        return [f"canvas:{name}" for name in sorted(self.all() - fed)]

    def stop_all(self, group: str, ids: Iterable[str]) -> None:
        self.step(f"stop {_listed(ids)}")
        self.running -= {i.removeprefix("canvas:") for i in ids}

    def start_all(self, group: str, ids: Iterable[str]) -> None:
        self.step(f"start {_listed(ids)}")
        self.running |= {i.removeprefix("canvas:") for i in ids}

    def queued(self, group: str) -> dict[str, int]:
        """What is in the queues; what takes from them, if it runs, has done so before the next look."""
        now = dict(self.queues)
        for connection in self._contents("connections"):
            destination, queue = connection["destination"]["id"], f"canvas:{connection['identifier']}"
            if queue in self.queues and destination in self.running - self.stuck:
                self.taken[destination] += self.queues.pop(queue)
        return now

    def stands_still(self, group: str) -> bool:
        return not self.running

    def working(self, group: str, ids: Iterable[str]) -> bool:
        return False


class Place:
    """The Site that the canvas is on. complaints: of the watch on what is started, one for each."""

    def __init__(self, step: Steps, clock: Clock) -> None:
        self.step, self.clock = step, clock
        self.code: str | None = None
        self.schemas: dict[str, str] = {}
        self.complaints: list[str | None] = []
        self.inside = False

    @contextmanager
    def connected(self) -> Iterator[None]:
        assert not self.inside
        self.inside = True
        try:
            yield
        finally:
            self.inside = False

    def awake(self, patience: float) -> None:
        self.step("wait for NiFi")

    def loaded(self) -> str | None:
        return self.code

    def load(self, version: Version) -> None:
        self.clock.sleep(10)
        self.step("load")
        self.code = version.code

    def unregistered(self, schemas: Mapping[str, str]) -> list[str]:
        return sorted(name for name, text in schemas.items() if self.schemas.get(name) != text)

    def register(self, schemas: Mapping[str, str]) -> None:
        self.step("register")
        self.schemas |= schemas

    def watch(self, group: str) -> Callable[[Report], str | None]:
        return lambda report: self.complaints.pop(0) if self.complaints else None


class Here:
    """All that a deploy needs, and what came of it."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self.store, self.ledger = folder / "store", Ledger(folder / "ledger")
        self.step = Steps()
        self.canvas, self.site = Canvas(self.step), Place(self.step, clock)
        self.reported: list[str] = []

    def target(
        self,
        name: str,
        definition: FlowDefinition = FLOW,
        code: str = "c1",
        rate: str = "1",
        schemas: Iterable[str] = (),
    ) -> Target:
        version = Version(name, code, self.store)
        (version.folder / "schemas").mkdir(parents=True, exist_ok=True)
        (version.folder / "flow.json").write_text(json.dumps(definition))
        for schema in schemas:
            (version.folder / "schemas" / f"{schema}.avsc").write_text("{}")
        values = {"rate": rate}
        return Target(version, values, Deployed(name, code, "dev", values, by="me"))

    def deploy(
        self,
        target: Target,
        check: Callable[[bool], None] = lambda replacing: None,
        secrets: Mapping[str, str] | None = None,
    ) -> Deployment:
        """With the steps and reports of this deploy alone."""
        self.step.done.clear()
        self.reported.clear()
        return engine.deploy(target, self.site, self.ledger, self.reported.append, check=check, secrets=secrets)

    def refused(
        self,
        target: Target,
        check: Callable[[bool], None] = lambda replacing: None,
        secrets: Mapping[str, str] | None = None,
    ) -> str:
        """What a deploy says that must fail."""
        with pytest.raises((TerminalError, TransientError)) as told:
            self.deploy(target, check, secrets)
        return str(told.value)

    @property
    def steps(self) -> list[str]:
        return self.step.done

    @property
    def state(self) -> State:
        return self.ledger.state()

    @property
    def noted(self) -> Event:
        return self.ledger.history()[-1]

    def runs(self, target: Target) -> bool:
        """Whether all of the target runs, with its values, and the ledger says so."""
        return (
            self.canvas.flow == target.version.flow
            and self.canvas.running == self.canvas.all()
            and self.canvas.values == target.values
            and self.site.code == target.version.code
            and self.state.deployed is not None
            and self.state.deployed.version == target.version.name
            and self.state.unfinished is None
        )


def _listed(ids: Iterable[str]) -> str:
    return ", ".join(sorted(i.removeprefix("canvas:") for i in ids))


def _held(replacing: bool) -> None:
    if replacing:
        raise Held("ann holds the flow", "ask her")


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Here:
    """A NiFi on which nothing was deployed."""
    clock = Clock()
    here = Here(tmp_path, clock)
    monkeypatch.setattr(engine, "canvas", here.canvas)
    monkeypatch.setattr(engine, "time", clock)
    return here


@pytest.fixture
def here(empty: Here) -> Here:
    """A NiFi on which version v1 runs."""
    empty.deploy(empty.target("v1"))
    assert empty.runs(empty.target("v1"))
    return empty


# -- what goes well -----------------------------------------------------------------------------------------------


def test_the_first_import(empty: Here) -> None:
    target = empty.target("v1", schemas=["user"])
    done = empty.deploy(target)
    assert empty.steps == ["load", "import", "register", "start"]
    assert empty.runs(target)
    assert empty.state.deployed and empty.state.deployed.group == "group"
    assert (done.version, done.stopped, len(done.changes)) == ("v1", 0.0, 4)
    assert (empty.noted.ok, empty.noted.by, empty.noted.version) == (True, "me", "v1")


def test_what_runs_is_left_alone(here: Here) -> None:
    done = here.deploy(here.target("v1"))
    assert (done.changes, here.steps) == ([], [])
    assert len(here.ledger.history()) == 1


def test_a_setting_is_replaced_in_place_while_the_flow_runs(here: Here) -> None:
    target = here.target("v2", TUNED)
    done = here.deploy(target)
    assert here.steps == ["replace"]
    assert here.runs(target)
    assert done.changes == ["replaced in place (1 property)"] and done.stopped == 0
    assert here.state.previous and here.state.previous.version == "v1"


def test_what_is_new_is_added_to_a_flow_that_stands_still(here: Here) -> None:
    target = here.target("v2", ENRICHED)
    here.deploy(target)
    assert here.steps == ["stop", "replace", "start"]
    assert here.runs(target)


def test_code_is_loaded_between_stop_and_start(here: Here) -> None:
    target = here.target("v2", TUNED, code="c2")
    done = here.deploy(target)
    assert here.steps == ["stop", "load", "replace", "start"]
    assert here.runs(target)
    assert done.stopped == 10


def test_parameters_alone_are_set_alone(here: Here) -> None:
    target = here.target("v1", rate="9")
    done = here.deploy(target)
    assert here.steps == ["set parameters"]
    assert here.runs(target) and done.changes == ["set rate"]
    assert here.state.deployed and here.state.deployed.values == {"rate": "9"}


def test_what_was_stopped_by_hand_is_started(here: Here) -> None:
    here.canvas.running.remove("Publish")
    here.deploy(here.target("v1"))
    assert here.steps == ["start"] and here.runs(here.target("v1"))


def test_another_version_of_the_same_content_is_only_noted(here: Here) -> None:
    target = here.target("v2")
    done = here.deploy(target)
    assert (here.steps, done.changes, here.noted.says) == ([], [], "nothing to change")
    assert here.runs(target)


def test_services_are_enabled_before_what_uses_them_has_to_be_valid(empty: Here) -> None:
    target = empty.target("v1", flow("Pull success Check", services=["Reader"], parameters=["rate"]))
    empty.deploy(target)
    assert empty.steps == ["load", "import", "enable services", "start"]
    assert empty.runs(target) and empty.canvas.enabled == {"Reader"}


def test_a_service_that_was_disabled_by_hand_is_enabled(here: Here) -> None:
    target = here.target("v2", flow("Pull success Check", "Check valid Publish", services=["A"], parameters=["rate"]))
    here.deploy(target)
    here.canvas.enabled.clear()
    here.deploy(target)
    assert here.steps == ["enable services"] and here.runs(target)


def test_a_queue_that_goes_runs_empty_first(here: Here) -> None:
    here.canvas.queues = {"canvas:Pull success": 2, "canvas:Check valid": 3}
    target = here.target("v2", SHORTER)
    here.deploy(target)
    assert here.steps == ["stop Pull", "replace", "start"]
    assert "drained Check to Publish, Pull to Check" in here.reported  # what flows into it has to be empty too
    assert here.canvas.taken == {"Check": 2, "Publish": 3}
    assert here.runs(target)


def test_the_plan_tells_the_steps_and_does_none(here: Here) -> None:
    here.step.done.clear()
    planned = engine.plan(here.target("v2", SHORTER, code="c2", rate="2", schemas=["user"]), here.site)
    assert planned.lines() == [
        "register user",
        "drain Check to Publish, Pull to Check",
        "load the processors, which restarts NiFi",
        "replace the flow in place (2 removed)",
        "set rate",
    ]
    assert here.steps == [] and not planned.empty
    assert engine.plan(here.target("v1"), here.site).empty


def test_the_plan_of_a_first_import(empty: Here) -> None:
    planned = engine.plan(empty.target("v1"), empty.site)
    assert planned.lines() == ["import the flow", "load the processors, which restarts NiFi", "set rate"]
    assert empty.steps == []


# -- going back ---------------------------------------------------------------------------------------------------


def test_a_replace_that_fails_goes_back(here: Here) -> None:
    here.step.faults = {"replace": [REFUSED]}
    said = here.refused(here.target("v2", ENRICHED))
    assert said == "NiFi refuses; version v1 runs again"
    assert here.steps == ["stop", "replace", "start"]
    assert here.runs(here.target("v1")) and here.state.previous is None
    assert (here.noted.ok, here.noted.version, here.noted.says) == (False, "v2", said)


def test_all_parts_of_what_ran_before_come_back(here: Here) -> None:
    here.canvas.invalid = {"Enrich"}
    said = here.refused(here.target("v2", ENRICHED, code="c2", rate="2"))
    assert "processor 'Enrich' is not valid: no." in said
    assert here.steps == [
        *("stop", "load", "replace", "set parameters"),
        *("stop", "load", "replace", "set parameters", "start"),
    ]
    assert here.runs(here.target("v1"))


def test_what_nifi_does_not_take_goes_back(here: Here) -> None:
    here.canvas.deaf = True
    assert "NiFi did not take all of the flow: 1 property" in here.refused(here.target("v2", TUNED))
    assert here.runs(here.target("v1"))


def test_an_interrupted_deploy_goes_back_and_stays_interrupted(here: Here) -> None:
    here.step.faults = {"replace": [KeyboardInterrupt()]}
    with pytest.raises(KeyboardInterrupt):
        here.deploy(here.target("v2", ENRICHED))
    assert here.runs(here.target("v1"))
    assert here.noted.says == "KeyboardInterrupt; version v1 runs again"


def test_a_first_import_that_fails_has_nothing_to_go_back_to(empty: Here) -> None:
    empty.canvas.invalid = {"Pull"}
    target = empty.target("v1")
    assert "there is no version before it to go back to" in empty.refused(target)
    assert empty.state.unfinished and empty.state.deployed is None
    empty.canvas.invalid.clear()
    empty.deploy(target)
    assert empty.steps == ["start"] and empty.runs(target)


def test_when_going_back_fails_too_what_can_run_is_started_and_the_next_deploy_ends_it(here: Here) -> None:
    here.step.faults = {"replace": [REFUSED], "start": [TerminalError("no thread", "")]}
    target = here.target("v2", ENRICHED)
    with pytest.raises(TransientError, match="NiFi refuses; going back failed too: no thread"):
        here.deploy(target)
    assert here.steps == ["stop", "replace", "start", "start what can"]
    assert here.canvas.running == here.canvas.all()
    assert here.state.unfinished == target.record
    assert here.state.deployed and here.state.deployed.version == "v1"
    assert not here.noted.ok and "going back failed too: no thread" in here.noted.says

    here.deploy(target)
    assert here.reported[0] == "an earlier deploy of v2 did not end; this one ends it"
    assert here.runs(target)


def test_when_not_even_that_can_be_done_it_is_told_all_the_same(here: Here) -> None:
    here.step.faults = {"replace": [REFUSED], "start": [REFUSED], "start what can": [AWAY]}
    assert "going back failed too" in here.refused(here.target("v2", ENRICHED))
    assert here.state.unfinished


def test_sensitive_parameters_come_back_with_the_version(here: Here) -> None:
    """NiFi doesn't tell them, and where they come from has the new ones by now."""
    definition = flow("Pull success Check", "Check valid Publish", parameters=["rate", "token"])

    def with_token(name: str, token: str) -> Target:
        target = here.target(name, definition)
        return replace(target, values={**target.values, "token": token}, renewed=["token"])

    before = with_token("v2", "old")
    here.deploy(before)
    here.site.complaints = ["the source answers 401"]
    here.refused(with_token("v3", "new"), secrets={"token": "old"})
    assert here.canvas.values["token"] == "old"
    assert here.runs(before)
    assert "old" not in json.dumps(here.ledger.state().deployed.values)  # type: ignore[union-attr]


def test_a_way_back_that_is_interrupted_leaves_what_can_run_running(here: Here) -> None:
    here.step.faults = {"start": [REFUSED, KeyboardInterrupt()]}
    with pytest.raises(KeyboardInterrupt):
        here.deploy(here.target("v2", ENRICHED))
    assert here.steps[-1] == "start what can"
    assert here.state.unfinished and not here.noted.ok
    here.deploy(here.target("v1"))
    assert here.runs(here.target("v1"))


def test_what_was_wrong_says_whether_it_may_pass(here: Here) -> None:
    here.step.faults = {"replace": [REFUSED]}
    here.refused(here.target("v2", TUNED))
    assert not here.noted.passing
    here.step.faults = {"replace": [AWAY] * 3}
    here.refused(here.target("v2", TUNED))
    assert here.noted.passing
    here.refused(here.target("v2", TUNED), _held)
    assert here.noted.passing, "a hold says nothing against the version"


def test_what_waits_before_a_processor_of_the_failed_version_is_handed_over(here: Here) -> None:
    here.canvas.stuck = {"Enrich"}
    here.canvas.queues = {"canvas:Enrich failure": 7, "canvas:Enrich success": 1}
    here.site.complaints = ["no record in 60 s"]
    said = here.refused(here.target("v2", ENRICHED))
    assert said == "no record in 60 s; version v1 runs again"
    assert here.steps == [
        *("stop", "replace", "start"),
        *("stop", "replace", "start Check, Publish", "stop", "replace", "start"),
    ]
    assert here.runs(here.target("v1"))
    assert here.canvas.queues == {} and here.canvas.taken == {"Check": 8}


def test_when_it_cannot_be_handed_over_everything_that_can_run_runs(here: Here) -> None:
    here.canvas.stuck = {"Enrich", "Check"}
    here.canvas.queues = {"canvas:Enrich failure": 7}
    here.site.complaints = ["no record in 60 s"]
    said = here.refused(here.target("v2", ENRICHED))
    assert "going back failed too: the queue does not drain within 60 s: 'Enrich to Enrich' holds 7" in said
    assert here.steps[-2:] == ["stop", "start what can"]
    assert here.canvas.running == here.canvas.all() and here.canvas.queues == {"canvas:Enrich failure": 7}
    assert here.state.unfinished and here.state.unfinished.version == "v2"


# -- a NiFi that goes away ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", ["stop", "load", "replace", "set parameters", "start"])
def test_a_nifi_that_goes_away_is_waited_for(here: Here, step: str) -> None:
    here.step.faults = {step: [AWAY]}
    target = here.target("v2", ENRICHED, code="c2", rate="2")
    here.deploy(target)
    assert here.steps.count("wait for NiFi") == 1
    assert here.steps[here.steps.index("wait for NiFi") - 1] == step
    assert "NiFi is away; waiting for NiFi" in here.reported
    assert here.runs(target) and here.noted.ok


def test_a_nifi_that_goes_away_after_the_import_gets_no_second_one(empty: Here) -> None:
    empty.step.faults = {"start": [AWAY]}
    empty.deploy(empty.target("v1"))
    assert empty.steps == ["load", "import", "start", "wait for NiFi", "start"]
    assert empty.runs(empty.target("v1"))


def test_the_third_time_it_goes_back(here: Here) -> None:
    here.step.faults = {"replace": [AWAY] * 3}
    assert here.refused(here.target("v2", TUNED)) == "NiFi is away; version v1 runs again"
    assert here.steps == ["replace", "wait for NiFi", "replace", "wait for NiFi", "replace"]
    assert here.runs(here.target("v1"))


def test_it_is_not_waited_for_before_anything_is_touched(here: Here) -> None:
    def away(replacing: bool) -> None:
        if replacing:
            raise AWAY

    assert here.refused(here.target("v2", TUNED), away) == "NiFi is away; nothing was changed"
    assert here.steps == []
    assert here.runs(here.target("v1"))


def test_a_nifi_that_stays_away_leaves_the_deploy_unfinished(here: Here) -> None:
    here.step.faults = {"load": [AWAY] * 2, "wait for NiFi": [AWAY] * 2}
    # the way back finds the old code loaded, since no load came to its end, and can't start it
    here.step.faults["start"] = [AWAY]
    assert "going back failed too" in here.refused(here.target("v2", code="c2"))
    assert here.state.unfinished and here.state.unfinished.version == "v2"
    here.deploy(here.target("v1"))
    assert here.runs(here.target("v1"))


def test_how_long_it_stood_still_counts_from_the_first_try_on(here: Here) -> None:
    here.step.faults = {"start": [AWAY]}
    assert here.deploy(here.target("v2", code="c2")).stopped >= 10


# -- a deploy that was cut off ------------------------------------------------------------------------------------


def test_a_deploy_that_was_cut_off_is_verified_again_even_if_nothing_differs(here: Here) -> None:
    here.ledger.begin(here.target("v1").record)
    here.site.complaints = ["no record in 60 s"]
    here.deploy(here.target("v1"))
    assert here.steps == []
    assert here.reported == [
        "an earlier deploy of v1 did not end; this one ends it",
        "verified: the flow is as deployed, valid and running",
        "no record in 60 s",
    ]
    assert here.runs(here.target("v1"))


def test_a_deploy_that_was_cut_off_counts_as_a_try(here: Here) -> None:
    cut = replace(here.target("v2", TUNED).record, by="airflow", at=now())
    here.ledger.begin(cut)
    here.deploy(here.target("v1"))
    told = here.ledger.history()[-2]
    assert (told.by, told.version, told.ok, told.passing, told.says) == ("airflow", "v2", False, True, "it was cut off")


def test_a_version_that_was_cut_off_before_it_was_watched_is_still_new(here: Here) -> None:
    target = here.target("v2", TUNED)
    here.ledger.begin(target.record)
    here.canvas.flow = TUNED
    here.site.complaints = ["no record in 60 s"]
    assert here.refused(target) == "no record in 60 s; version v1 runs again"
    assert here.runs(here.target("v1"))


def test_a_deploy_that_was_cut_off_is_undone_if_the_next_one_fails_at_once(here: Here) -> None:
    here.ledger.begin(here.target("v2", TUNED).record)
    here.canvas.flow = TUNED
    assert here.refused(here.target("v3", ENRICHED), _held) == "ann holds the flow; version v1 runs again"
    assert here.runs(here.target("v1"))


def _cut_off(here: Here) -> None:
    """A deploy of a version with a processor more ended nowhere: all stands still, with FlowFiles in its loop."""
    here.ledger.begin(here.target("v2", ENRICHED).record)
    here.canvas.flow, here.canvas.running = ENRICHED, set()
    here.canvas.queues = {"canvas:Enrich failure": 7}


def test_what_waits_in_a_version_that_was_cut_off_is_handed_over_to_the_next(here: Here) -> None:
    _cut_off(here)
    here.deploy(here.target("v3", TUNED))
    assert here.steps == ["stop", "replace", "start Check, Publish", "stop", "replace", "start"]
    assert here.runs(here.target("v3", TUNED))
    assert here.canvas.taken == {"Check": 7}


def test_who_may_not_go_on_hands_nothing_over(here: Here) -> None:
    _cut_off(here)
    steps: list[list[str]] = []

    def held(replacing: bool) -> None:
        if replacing:
            steps.append([*here.steps])
        _held(replacing)

    here.refused(here.target("v3", TUNED), held)
    assert steps == [[]]


# -- queues that do not drain -------------------------------------------------------------------------------------


def test_a_drain_that_times_out_starts_the_sources_again_and_is_not_tried_again(here: Here) -> None:
    here.canvas.stuck = {"Publish"}
    here.canvas.queues = {"canvas:Check valid": 3}
    with pytest.raises(TransientError, match=r"drain within 60 s: 'Check to Publish' holds 3 .*nothing was ch"):
        here.deploy(here.target("v2", SHORTER))
    assert here.steps == ["stop Pull", "start Pull"]
    assert here.runs(here.target("v1"))
    assert here.canvas.queues == {"canvas:Check valid": 3}


def test_when_nifi_goes_away_while_draining_the_sources_start_again(here: Here) -> None:
    here.canvas.queues = {"canvas:Check valid": 3}
    here.step.faults = {"stop Pull": [AWAY]}
    target = here.target("v2", SHORTER)
    here.deploy(target)
    assert here.steps == ["stop Pull", "wait for NiFi", "stop Pull", "replace", "start"]
    assert here.runs(target)


# -- whether it may go on -----------------------------------------------------------------------------------------


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
    assert here.refused(here.target("v2", definition, code=code), _held) == "ann holds the flow; nothing was changed"
    assert here.steps == []
    assert here.runs(here.target("v1"))


@pytest.mark.parametrize("loaded", [None, "c1"])
def test_who_may_not_go_on_imports_nothing(empty: Here, loaded: str | None) -> None:
    empty.site.code = loaded
    assert empty.refused(empty.target("v1"), _held) == "ann holds the flow; nothing was changed"
    assert empty.steps == [] and empty.state == State()


def test_the_way_back_is_gone_to_its_end_whoever_holds_the_flow(here: Here) -> None:
    def held_after_load(replacing: bool) -> None:
        if "load" in here.steps:
            _held(replacing)

    assert "version v1 runs again" in here.refused(here.target("v2", TUNED, code="c2"), held_after_load)
    assert here.steps == ["stop", "load", "stop", "load", "start"]
    assert here.runs(here.target("v1"))


def _taken_over(here: Here, step: str) -> Callable[[bool], None]:
    """Another deploy takes over as soon as a step is done."""

    def check(replacing: bool) -> None:
        if step in here.steps:
            here.ledger.begin(here.target("v3").record)
            raise LeaseLost("airflow has the lease", "try again when it is free")

    return check


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
        here.deploy(here.target("v2", definition, code=code), _taken_over(here, step))
    assert here.steps == steps
    assert here.state.unfinished and here.state.unfinished.version == "v3"


def test_who_lost_the_lease_on_the_way_back_does_nothing_more(here: Here) -> None:
    here.step.faults = {"replace": [REFUSED]}
    with pytest.raises(LeaseLost):
        here.deploy(here.target("v2", TUNED), _taken_over(here, "replace"))
    assert here.steps == ["replace"]
    assert here.state.unfinished and here.state.unfinished.version == "v3"


def test_who_lost_the_lease_before_it_began_leaves_no_trace(here: Here) -> None:
    def lost(replacing: bool) -> None:
        raise LeaseLost("airflow has the lease", "try again when it is free")

    with pytest.raises(LeaseLost):
        here.deploy(here.target("v2", TUNED), lost)
    assert here.runs(here.target("v1")) and here.steps == []


# -- when no record passes ----------------------------------------------------------------------------------------


def test_a_complaint_rolls_a_new_version_back(here: Here) -> None:
    here.site.complaints = ["no record in 60 s"]
    assert here.refused(here.target("v2", TUNED)) == "no record in 60 s; version v1 runs again"
    assert here.steps == ["replace", "replace"]
    assert here.runs(here.target("v1"))


def test_a_complaint_about_a_version_that_ran_before_is_only_told(here: Here) -> None:
    here.deploy(here.target("v2", TUNED))
    here.site.complaints = ["no record in 60 s"]
    here.deploy(here.target("v1"))
    assert here.reported[-1] == "no record in 60 s"
    assert here.runs(here.target("v1"))


def test_a_complaint_about_the_very_first_version_is_only_told(empty: Here) -> None:
    empty.site.complaints = ["no record in 60 s"]
    empty.deploy(empty.target("v1"))
    assert empty.reported[-1] == "no record in 60 s" and empty.runs(empty.target("v1"))


def test_a_complaint_on_the_way_back_does_not_stop_it(here: Here) -> None:
    here.site.complaints = ["no record of v2", "no record of v1 either"]
    assert here.refused(here.target("v2", TUNED)) == "no record of v2; version v1 runs again"
    assert here.reported[-1] == "no record of v1 either"
    assert here.runs(here.target("v1"))
