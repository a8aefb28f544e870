"""What a deploy would do, step by step."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from nifi_flows import canvas, queues
from nifi_flows.canonical import structure
from nifi_flows.definition import parameters as declared_parameters
from nifi_flows.desired_state import DesiredState
from nifi_flows.diff import Difference, compare
from nifi_flows.host import NiFiHost
from nifi_flows.wording import some


@dataclass(frozen=True)
class Plan:
    """What has to be done so that the desired state runs; nothing, when every field is empty.

    change: of the canvas; None when the group has to be imported. drain: connections that must run empty, in words.
    """

    new: bool = False
    change: Difference | None = None
    reload: bool = False
    drain: Sequence[str] = ()
    parameters: Sequence[str] = ()
    schemas: Sequence[str] = ()
    idle: Sequence[str] = ()

    @property
    def empty(self) -> bool:
        return not self.lines()

    def lines(self) -> list[str]:
        """The plan in words, a step a line."""
        said = ["import the flow"] if self.new else []
        if self.schemas:
            said.append(f"register {listed(self.schemas)}")
        if self.drain:
            said.append(f"drain {listed(self.drain)}")
        if self.reload:
            said.append("load the processors, which restarts NiFi")
        if self.change is not None and not self.change.empty:
            said.append(f"replace the flow in place ({self.change.summary()})")
        if self.parameters:
            said.append(f"set {listed(self.parameters)}")
        if self.idle:
            said.append(f"start {listed(self.idle)}")
        return said


def plan(desired: DesiredState, host: NiFiHost) -> Plan:
    """What deploying the desired state would do; changes nothing. Raises what NiFi and the registry raise."""
    schemas = host.unregistered(desired.version.schemas)
    reload = host.loaded() != desired.version.code
    with host.connected():
        group = canvas.find_group(desired.group)
        if group is None:
            return Plan(new=True, reload=reload, schemas=schemas, parameters=sorted(desired.values))
        before, wanted = canvas.export(group), desired.flow
        change = difference(group, wanted)
        drain = queues.leading_to_removed(before, wanted)
        parameters = canvas.differing_parameters(group, declared_parameters(wanted), desired.values, desired.renewed)
        idle = [f"{part}, {part.state.lower()}" for part in canvas.idle(group)]
    return Plan(
        change=change,
        reload=reload,
        drain=sorted(set(drain.values())),
        parameters=parameters,
        schemas=schemas,
        idle=idle,
    )


def difference(group: str, wanted: dict[str, Any]) -> Difference:
    """What is to be changed on the canvas; parameters' values have a step of their own."""
    return compare(structure(canvas.export(group)), structure(wanted))


def listed(items: Sequence[str]) -> str:
    """A few by name, the rest by number."""
    return some(items, named=4)
