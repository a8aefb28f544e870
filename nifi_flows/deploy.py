"""Bring a flow definition and its parameters onto a NiFi and start it; deploying what runs changes nothing."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nipyapi
from nipyapi import nifi

from nifi_flows.canonical import structure
from nifi_flows.errors import TerminalError, TransientError

_POSITION = (0.0, 0.0)


@dataclass(frozen=True)
class Deployed:
    """group: id of the process group on the canvas. changes: what the deploy did, in words; empty when nothing."""

    group: str
    changes: list[str]


def load(path: Path) -> dict[str, Any]:
    """Read a flow definition. Raises TerminalError when the file holds none."""
    try:
        definition: dict[str, Any] = json.loads(path.read_text())
        definition["flowContents"]["identifier"], definition["flowContents"]["name"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TerminalError(f"{path} is no NiFi flow definition: {error!r}", "export the flow again") from error
    return definition


def deploy(definition: dict[str, Any], values: Mapping[str, str], patience: float = 120) -> Deployed:
    """Import or replace the flow, set its parameters, wait until every processor is valid, and start it.

    values: parameters of the environment; a name that the flow does not know is refused before anything is touched.
    patience: seconds to wait for the processors. Needs `connection.connected`. Raises TerminalError when a processor
    stays invalid or NiFi cannot take the definition, TransientError when it does not come up in time.
    """
    name = definition["flowContents"]["name"]
    known = {p["name"] for context in definition["parameterContexts"].values() for p in context["parameters"]}
    unknown = sorted(set(values) - known)
    if unknown:
        raise TerminalError(
            f"flow {name!r} has no parameter {', '.join(unknown)}", f"it has {', '.join(sorted(known))}"
        )
    changes = []
    group = find_group(name)
    if group is None:
        group = _import(definition)
        changes.append("imported")
    else:
        _wait_settled(group, patience)
        if structure(export(group)) != structure(definition):
            _replace(group, definition)
            changes.append("replaced")
    changes += [f"parameter {changed} set" for changed in _set_parameters(group, values)]
    _wait_valid(group, patience)
    if _start(group, patience):
        changes.append("started")
    return Deployed(group, changes)


def find_group(name: str) -> str | None:
    """The id of the process group of that name on the root canvas, or None."""
    flow = nipyapi.canvas.get_flow("root").process_group_flow.flow
    return next((group.id for group in flow.process_groups if group.component.name == name), None)


def export(group: str) -> dict[str, Any]:
    """The flow definition of a group as it is on the canvas now."""
    text = nifi.ProcessGroupsApi().export_process_group(group, include_referenced_services=False)
    exported: dict[str, Any] = json.loads(text) if isinstance(text, str | bytes) else text
    return exported


def set_running(group: str, running: bool) -> None:
    """Start or stop all components of a group; returns when NiFi has taken the order, not when it is done."""
    state = "RUNNING" if running else "STOPPED"
    nifi.FlowApi().schedule_components(nifi.ScheduleComponentsEntity(id=group, state=state), group)


def _import(definition: dict[str, Any]) -> str:
    entity = nipyapi.versioning.import_process_group_definition(
        nipyapi.canvas.get_process_group(nipyapi.canvas.get_root_pg_id(), "id"),
        flow_definition=json.dumps(definition),
        position=_POSITION,
    )
    return str(entity.id)


def _replace(group: str, definition: dict[str, Any]) -> None:
    """Replace the contents in place: queues, group id and run state stay; NiFi stops only what it touches."""
    api = nifi.ProcessGroupsApi()
    revision = api.get_process_group(group).revision
    body = nifi.ProcessGroupImportEntity(process_group_revision=revision, versioned_flow_snapshot=definition)
    request = api.initiate_replace_process_group(body, group).request
    try:
        deadline = time.monotonic() + 60
        while not request.complete:
            if time.monotonic() > deadline:
                raise TransientError("NiFi did not finish replacing the flow within 60 s", "deploy again")
            time.sleep(0.2)
            request = api.get_replace_process_group_request(request.request_id).request
    finally:
        api.delete_replace_process_group_request(request.request_id)
    if request.failure_reason:
        raise TerminalError(
            f"NiFi refuses to replace the flow: {request.failure_reason}",
            "a removed connection must be empty: let its queue drain, then deploy again",
        )


def parameters(group: str) -> dict[str, str]:
    """The values of the group's parameters as NiFi has them; sensitive ones read as None."""
    return {entity.parameter.name: entity.parameter.value for entity in _context(group).component.parameters}


def _set_parameters(group: str, wanted: Mapping[str, str]) -> list[str]:
    context = _context(group)
    present = {entity.parameter.name: entity.parameter.value for entity in context.component.parameters}
    changed = sorted(name for name, value in wanted.items() if present.get(name) != value)
    if changed:
        context.component.parameters = [nipyapi.parameters.prepare_parameter(name, wanted[name]) for name in changed]
        nipyapi.parameters.update_parameter_context(context)
    return changed


def _context(group: str) -> Any:
    reference = nifi.ProcessGroupsApi().get_process_group(group).component.parameter_context
    if reference is None:
        raise TerminalError("the flow on the canvas has lost its parameter context", "bind it again and deploy again")
    return nipyapi.parameters.get_parameter_context(reference.id, identifier_type="id")


def processors(group: str) -> list[Any]:
    """The processor entities of a group and of the groups in it."""
    listed: list[Any] = nifi.ProcessGroupsApi().get_processors(group, include_descendant_groups=True).processors
    return listed


def _wait_settled(group: str, patience: float) -> None:
    """Until its Python processors are loaded, a flow exports differently; one that stays invalid is replaced."""
    deadline = time.monotonic() + patience / 4
    while time.monotonic() < deadline and any(p.component.validation_status != "VALID" for p in processors(group)):
        time.sleep(0.5)


def _wait_valid(group: str, patience: float) -> None:
    """Python processors are VALIDATING, or invalid without a reason of ours, until their process has loaded them."""
    deadline = time.monotonic() + patience
    while invalid := [p.component for p in processors(group) if p.component.validation_status != "VALID"]:
        if time.monotonic() > deadline:
            worst = invalid[0]
            why = "; ".join(worst.validation_errors or ["still validating"])
            raise TerminalError(
                f"processor {worst.name!r} is not valid after {patience:.0f} s: {why}"
                + (f" (and {len(invalid) - 1} more)" if len(invalid) > 1 else ""),
                "./scripts/pipeline logs nifi",
            )
        time.sleep(0.5)


def _start(group: str, patience: float) -> bool:
    """Start what does not run; returns whether there was anything to start."""
    if not _stopped(group):
        return False
    set_running(group, True)
    deadline = time.monotonic() + patience
    while stopped := _stopped(group):
        if time.monotonic() > deadline:
            raise TransientError(f"processor {stopped[0]!r} did not start within {patience:.0f} s", "deploy again")
        time.sleep(0.3)
    return True


def _stopped(group: str) -> list[str]:
    return [p.component.name for p in processors(group) if p.component.state not in ("RUNNING", "DISABLED")]
