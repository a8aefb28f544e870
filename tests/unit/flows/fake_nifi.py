"""NiFi as a small canvas in memory, and the machine around it; what it really does is held by tests/engines."""

import copy
import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from nifi_flows.canvas import Part
from nifi_flows.deploy import Deployment, deploy
from nifi_flows.desired_state import DesiredState
from nifi_flows.errors import TerminalError, TransientError
from nifi_flows.hold import Held
from nifi_flows.host import Permission, Report
from nifi_flows.ledger import Deployed, Event, Ledger, State
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
# the same with its last queue made anew
REQUEUED = copy.deepcopy(FLOW)
REQUEUED["flowContents"]["connections"][1]["identifier"] = "Check valid, anew"


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

    stuck: processors that don't take what waits for them. slow: looks at the queues before anything is taken. invalid:
    those that don't become valid. deaf: a replace changes nothing. queues: id of a connection -> FlowFiles in it.
    taken: processor -> FlowFiles it took from there.
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
        self.slow = 0
        self.invalid: set[str] = set()
        self.deaf = False

    def all(self, kind: str = "processors") -> set[str]:
        return {part["name"] for part in self._contents(kind)}

    def _contents(self, kind: str) -> list[dict[str, Any]]:
        return [*self.flow["flowContents"][kind]] if self.flow else []

    def find_group(self, name: str) -> str | None:
        return "group" if self.flow and self.flow["flowContents"]["name"] == name else None

    def name_of(self, group: str) -> str | None:
        return str(self.flow["flowContents"]["name"]) if self.flow and group == "group" else None

    def export(self, group: str) -> FlowDefinition:
        assert self.flow
        return exported(self.flow)

    def idle(self, group: str) -> list[Part]:
        processors, services = self.all() - self.running, self.all("controllerServices") - self.enabled
        return [Part(name, "processor", name, "STOPPED", "VALID", []) for name in sorted(processors)] + [
            Part(name, "controller service", name, "DISABLED", "VALID", []) for name in sorted(services)
        ]

    def parts(self, group: str) -> list[Part]:
        running = [Part(name, "processor", name, "RUNNING", "VALID", []) for name in sorted(self.running)]
        return [*self.idle(group), *running]

    def parameters(self, group: str) -> dict[str, str]:
        return dict(self.values)

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

    def set_running(self, group: str, *, running: bool) -> None:
        self.step("start what can")
        self.running = self.all() if running else set()

    def sources(self, group: str) -> list[str]:
        fed = {c["destination"]["id"] for c in self._contents("connections")}
        return [f"canvas:{name}" for name in sorted(self.all() - fed)]

    def stop_all(self, group: str, ids: Iterable[str]) -> list[str]:
        self.step(f"stop {_listed(ids)}")
        ran = [i for i in ids if i.removeprefix("canvas:") in self.running]
        self.running -= {i.removeprefix("canvas:") for i in ran}
        return ran

    def start_all(self, group: str, ids: Iterable[str]) -> None:
        self.step(f"start {_listed(ids)}")
        self.running |= {i.removeprefix("canvas:") for i in ids}

    def start_except(self, group: str, ids: Collection[str]) -> None:
        others = self.all() - {i.removeprefix("canvas:") for i in ids}
        self.step(f"start {_listed(others)}")
        self.running |= others

    def queued(self, group: str) -> dict[str, int]:
        """What is in the queues; what takes from them, if it runs, has done so before the next look."""
        now = dict(self.queues)
        if self.slow:
            self.slow -= 1
            return now
        for connection in self._contents("connections"):
            destination, queue = connection["destination"]["id"], f"canvas:{connection['identifier']}"
            if queue in self.queues and destination in self.running - self.stuck:
                self.taken[destination] += self.queues.pop(queue)
        return now

    def stands_still(self, group: str) -> bool:
        return not self.running

    def working(self, group: str, ids: Iterable[str]) -> bool:
        return False


class Host:
    """The machine that the canvas is on. complaints: of the watch on what is started, one for each."""

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


@dataclass(frozen=True)
class Asked:
    """A Permission that calls what it was given, which may raise. always: at any step. replace: before a replace."""

    replace: Callable[[], None] = lambda: None
    always: Callable[[], None] = lambda: None

    def may_continue(self) -> None:
        self.always()

    def may_replace(self) -> None:
        self.always()
        self.replace()


class Here:
    """All that a deploy needs, and what came of it."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self.store, self.ledger = folder / "store", Ledger(folder / "ledger")
        self.step = Steps()
        self.canvas, self.host = Canvas(self.step), Host(self.step, clock)
        self.reported: list[str] = []

    def desired(
        self,
        name: str,
        definition: FlowDefinition = FLOW,
        code: str = "c1",
        rate: str = "1",
        schemas: Iterable[str] = (),
    ) -> DesiredState:
        version = Version(name, code, self.store)
        (version.folder / "schemas").mkdir(parents=True, exist_ok=True)
        (version.folder / "flow.json").write_text(json.dumps(definition))
        for schema in schemas:
            (version.folder / "schemas" / f"{schema}.avsc").write_text("{}")
        values = {"rate": rate}
        return DesiredState(version, values, Deployed(name, code, "dev", values, by="me"))

    def deploy(
        self,
        desired: DesiredState,
        permission: Permission | None = None,
        secrets: Mapping[str, str] | None = None,
    ) -> Deployment:
        """With the steps and reports of this deploy alone."""
        self.step.done.clear()
        self.reported.clear()
        allowed = permission or Asked()
        return deploy(desired, self.host, self.ledger, allowed, self.reported.append, secrets=secrets)

    def refused(
        self,
        desired: DesiredState,
        permission: Permission | None = None,
        secrets: Mapping[str, str] | None = None,
    ) -> str:
        """What a deploy says that must fail."""
        with pytest.raises((TerminalError, TransientError)) as told:
            self.deploy(desired, permission, secrets)
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

    def runs(self, desired: DesiredState) -> bool:
        """Whether all of the desired runs, with its values, and the ledger says so."""
        return (
            self.canvas.flow == desired.version.flow
            and self.canvas.running == self.canvas.all()
            and self.canvas.values == desired.values
            and self.host.code == desired.version.code
            and self.state.deployed is not None
            and self.state.deployed.version == desired.version.name
            and self.state.unfinished is None
        )


def _listed(ids: Iterable[str]) -> str:
    return ", ".join(sorted(i.removeprefix("canvas:") for i in ids))


def held() -> None:
    raise Held("ann holds the flow", "ask her")
