"""What is asked of a NiFi's canvas, and done on it. All of it needs `connection.connected`."""

import json
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import nipyapi
from nipyapi import nifi
from urllib3.exceptions import HTTPError

from nifi_flows.definition import with_values
from nifi_flows.errors import TerminalError, TransientError

_POSITION = (0.0, 0.0)
_PAUSE = 0.25  # seconds from one look at NiFi to the next
_STILL = 20.0  # seconds for ports to end what they do
_SURE = 10.0  # seconds after which what is invalid for the same reason is taken to stay so


@dataclass(frozen=True)
class Part:
    """A processor, port or controller service on the canvas.

    state: RUNNING, STOPPED, DISABLED, ENABLED (of a service) and so on, as NiFi words it. validation: VALID, INVALID
    or VALIDATING. errors: why it is invalid. ghost: NiFi has no code for its type.
    """

    id: str
    kind: str
    name: str
    state: str
    validation: str
    errors: list[str]
    ghost: bool = False

    @property
    def service(self) -> bool:
        return self.kind == "controller service"

    @property
    def running(self) -> bool:
        return self.state in ("RUNNING", "ENABLED")

    @property
    def meant_to_run(self) -> bool:
        """A service that is disabled is merely off; a processor or port that is, the flow has taken out."""
        return self.service or self.state != "DISABLED"

    def __str__(self) -> str:
        return f"{self.kind} {self.name!r}"


def find_group(name: str) -> str | None:
    """The id of the process group of that name on the root canvas, or None."""
    flow = nipyapi.canvas.get_flow("root").process_group_flow.flow
    return next((group.id for group in flow.process_groups if group.component.name == name), None)


def name_of(group: str) -> str | None:
    """The name of a process group anywhere on the canvas, None when there is none of that id."""
    try:
        return str(nifi.ProcessGroupsApi().get_process_group(group).component.name)
    except nifi.rest.ApiException as error:
        if error.status == 404:
            return None
        raise


def export(group: str) -> dict[str, Any]:
    """The flow definition of a group as it is on the canvas now."""
    text = nifi.ProcessGroupsApi().export_process_group(group, include_referenced_services=False)
    exported: dict[str, Any] = json.loads(text) if isinstance(text, str | bytes) else text
    return exported


def import_flow(definition: dict[str, Any], values: Mapping[str, str]) -> str:
    """Put a flow on the canvas, stopped, with these values for its parameters; returns the new group's id."""
    entity = nipyapi.versioning.import_process_group_definition(
        nipyapi.canvas.get_process_group(nipyapi.canvas.get_root_pg_id(), "id"),
        flow_definition=json.dumps(with_values(definition, values)),
        position=_POSITION,
    )
    return str(entity.id)


def replace(group: str, definition: dict[str, Any], values: Mapping[str, str]) -> None:
    """Replace the contents in place: queues, group id and run state stay; NiFi stops what it touches, and we the ports.

    values: for parameters that are new. Raises TerminalError when NiFi refuses: a removed connection holds data.
    """
    with _still_ports(group):
        _replace(group, with_values(definition, values))


def _replace(group: str, snapshot: dict[str, Any]) -> None:
    api = nifi.ProcessGroupsApi()
    body = nifi.ProcessGroupImportEntity(
        process_group_revision=api.get_process_group(group).revision, versioned_flow_snapshot=snapshot
    )
    request = api.initiate_replace_process_group(body, group).request
    try:
        deadline = time.monotonic() + 60
        while not request.complete:
            if time.monotonic() > deadline:
                raise TransientError("NiFi did not finish replacing the flow within 60 s", "deploy again")
            time.sleep(_PAUSE)
            request = api.get_replace_process_group_request(request.request_id).request
    finally:
        with suppress(nifi.rest.ApiException, HTTPError):  # what ended the waiting is what has to be told
            api.delete_replace_process_group_request(request.request_id)
    if request.failure_reason:
        raise TerminalError(f"NiFi refuses to replace the flow: {request.failure_reason}", "deploy again")


@contextmanager
def _still_ports(group: str) -> Iterator[None]:
    """No port of a group is at work meanwhile; those that ran and are still there run again afterwards.

    A port holds its own lock while it asks for its group's, and a replace holds the group's while it asks for a port's:
    NiFi 2.3 can wait for itself then, or break off a port in a way that lets no FlowFile into its group any more.
    """
    ports = _port_entities(group)
    running = {port.id for port in ports if port.component.state == "RUNNING"}
    _schedule(group, ports, running, "STOPPED")
    try:
        if busy := _until(_STILL, lambda: [port for port in _ports(_status(group)) if port.active_thread_count]):
            raise TransientError(f"port {busy[0].name!r} does not end its work within {_STILL:.0f} s", "deploy again")
        yield
    finally:
        _schedule(group, _port_entities(group), running, "RUNNING")


def parameters(group: str) -> dict[str, str]:
    """The values of the group's parameters as NiFi has them; sensitive ones read as None. {} without a context."""
    try:
        listed = _context(group).component.parameters
    except _Unbound:
        return {}
    return {entity.parameter.name: entity.parameter.value for entity in listed}


def differing_parameters(
    group: str, declared: Mapping[str, Mapping[str, Any]], values: Mapping[str, str], renewed: Collection[str] = ()
) -> list[str]:
    """Names of the parameters that are not as declared, or not of these values.

    renewed: sensitive ones that are known to have another value now; NiFi does not tell theirs.
    """
    try:
        return [update.name for update in _updates(_context(group), declared, values, renewed) if update.counts]
    except _Unbound:
        return sorted(declared)


def set_parameters(
    group: str, declared: Mapping[str, Mapping[str, Any]], values: Mapping[str, str], renewed: Collection[str] = ()
) -> list[str]:
    """Make the context's parameters what the flow declares, with these values; returns the names it changed.

    NiFi's replace does not: it only adds. A sensitive value cannot be read back, so it is set whenever anything is.
    """
    context = _context(group)
    updates = _updates(context, declared, values, renewed)
    if not updates:
        return []
    context.component.parameters = [update.entity for update in updates]
    changed = [update.name for update in updates if update.counts]
    try:
        nipyapi.parameters.update_parameter_context(context)
    except ValueError as error:  # as nipyapi reports that NiFi could not end the update
        if isinstance(error.__cause__, nifi.rest.ApiException):
            raise
        said = ", ".join(changed)
        raise TerminalError(f"NiFi did not take the parameters {said}: {error}", "deploy again") from error
    return changed


@dataclass(frozen=True)
class _Update:
    """counts: whether it is known to change anything."""

    name: str
    entity: Any
    counts: bool = True


def _updates(
    context: Any, declared: Mapping[str, Mapping[str, Any]], values: Mapping[str, str], renewed: Collection[str]
) -> list[_Update]:
    found = []
    present = {entity.parameter.name: entity.parameter for entity in context.component.parameters}
    prepare = nipyapi.parameters.prepare_parameter
    for name, declaration in sorted(declared.items()):
        now = present.get(name)
        said, sensitive = declaration.get("description") or "", bool(declaration.get("sensitive"))
        given = {"value": values[name]} if name in values else {}
        if now is None or (given and not sensitive and now.value != values[name]) or (now.description or "") != said:
            found.append(_Update(name, prepare(name, description=said, sensitive=sensitive, **given)))
        elif given and sensitive:
            entity = prepare(name, description=said, sensitive=True, **given)
            found.append(_Update(name, entity, counts=name in renewed))
    for name in sorted(set(present) - set(declared)):
        found.append(_Update(name, nifi.ParameterEntity(parameter=nifi.ParameterDTO(name=name))))  # removes it
    return found


def processors(group: str) -> list[Any]:
    """The processor entities of a group and of the groups in it."""
    listed: list[Any] = nifi.ProcessGroupsApi().get_processors(group, include_descendant_groups=True).processors
    return listed


def parts(group: str) -> list[Part]:
    """All that can be started or enabled in a group and in the groups in it."""
    found = []
    for entity in processors(group):
        p = entity.component
        errors = list(p.validation_errors or [])
        ghost = bool(p.extension_missing)
        found.append(Part(p.id, "processor", p.name, p.state, p.validation_status, errors, ghost))
    for port in _ports(_status(group)):
        state = port.run_status.upper()
        validation = "INVALID" if state == "INVALID" else "VALID"
        found.append(Part(port.id, "port", port.name, "STOPPED" if state == "INVALID" else state, validation, []))
    listed = nifi.FlowApi().get_controller_services_from_group(
        group, include_ancestor_groups=False, include_descendant_groups=True
    )
    for entity in listed.controller_services:
        s = entity.component
        errors = list(s.validation_errors or [])
        ghost = bool(s.extension_missing)
        found.append(Part(s.id, "controller service", s.name, s.state, s.validation_status, errors, ghost))
    return found


def idle(group: str) -> list[Part]:
    """What does not run and shall."""
    return [part for part in parts(group) if part.meant_to_run and not part.running]


def set_running(group: str, *, running: bool) -> None:
    """Start or stop all components of a group; returns when NiFi has taken the order, not when it is done."""
    state = "RUNNING" if running else "STOPPED"
    nifi.FlowApi().schedule_components(nifi.ScheduleComponentsEntity(id=group, state=state), group)


def enable_services(group: str, patience: float) -> list[str]:
    """Enable the controller services that are not; returns them in words. What uses them is invalid before that.

    Raises TerminalError when one is invalid, TransientError when one is not enabled after `patience` seconds.
    """
    waiting = _disabled_services(group)
    if not waiting:
        return []
    services = nifi.ActivateControllerServicesEntity(id=group, state="ENABLED")
    nifi.FlowApi().activate_controller_services(services, group)
    left = _until(patience, lambda: _disabled_services(group))
    for part in left:
        if part.validation == "INVALID":
            raise TerminalError(f"{part} is invalid: {'; '.join(part.errors)}", "mend it on the canvas, then export")
    if left:
        raise TransientError(f"{left[0]} is not enabled after {patience:.0f} s", "deploy again")
    return [str(part) for part in waiting]


def start(group: str, patience: float) -> list[str]:
    """Start what does not run; returns what had to be started, in words.

    Raises TransientError when something has not started after `patience` seconds.
    """
    waiting = idle(group)
    if not waiting:
        return []
    set_running(group, running=True)
    if left := _until(patience, lambda: idle(group)):
        raise TransientError(f"{left[0]} did not start within {patience:.0f} s", "deploy again")
    return [str(part) for part in waiting]


def _disabled_services(group: str) -> list[Part]:
    return [part for part in idle(group) if part.service]


def stop(group: str, patience: float) -> None:
    """Stop all processors and ports and wait until no thread is at work, at most `patience` seconds."""
    set_running(group, running=False)
    _until(patience, lambda: [1] if _status(group).active_thread_count else [])


def sources(group: str) -> list[str]:
    """Ids of the processors to which no connection leads, but those that the flow has taken out."""
    fed = {entity.destination_id for flow in _flows(group) for entity in flow.connections}
    return [e.id for e in processors(group) if e.id not in fed and e.component.state != "DISABLED"]


def stop_all(group: str, ids: Iterable[str]) -> list[str]:
    """Stop these processors; returns those that ran, when NiFi has taken the order. What is queued goes on."""
    return _schedule(group, processors(group), ids, "STOPPED")


def start_all(group: str, ids: Iterable[str]) -> None:
    """Start these processors; returns when NiFi has taken the order."""
    _schedule(group, processors(group), ids, "RUNNING")


def start_except(group: str, ids: Collection[str]) -> None:
    """Start the processors and ports of a group that are fit to run, but these; returns when NiFi has taken the order.

    NiFi would refuse the whole order for one that is invalid.
    """
    fit = {p.id for p in parts(group) if p.meant_to_run and not p.service and p.validation != "INVALID"}
    _schedule(group, [*processors(group), *_port_entities(group)], fit - set(ids), "RUNNING")


def queued(group: str) -> dict[str, int]:
    """Id of each connection, as the canvas has it, that holds FlowFiles -> how many."""
    status = {c.id: c.flow_files_queued for c in connection_statuses(_status(group))}
    return {identifier: count for identifier, count in status.items() if count}


def stands_still(group: str) -> bool:
    """Whether no processor of the group runs."""
    return not any(entity.component.state == "RUNNING" for entity in processors(group))


def working(group: str, ids: Iterable[str]) -> bool:
    """Whether one of these processors has a thread at work."""
    wanted = set(ids)
    snapshots = (e.processor_status_snapshot for g in _inner(_status(group)) for e in g.processor_status_snapshots)
    return any(snapshot.active_thread_count for snapshot in snapshots if snapshot.id in wanted)


def settled(group: str, patience: float) -> list[Part]:
    """Wait until nothing is being validated or initialised any more; returns what is not valid then.

    A Python processor is invalid, for no reason of its own, until its process has loaded it: what stays invalid for
    the same reasons gets ten seconds, and what changes `patience` seconds.
    """
    deadline = time.monotonic() + patience
    since, last = 0.0, None
    while invalid := [part for part in parts(group) if part.meant_to_run and part.validation != "VALID"]:
        now = time.monotonic()
        if now > deadline:
            break
        reasons = [(part.id, part.errors) for part in invalid]
        if any(part.validation == "VALIDATING" for part in invalid) or reasons != last:
            since, last = now, reasons
        elif now - since > _SURE:
            break
        time.sleep(_PAUSE)
    return invalid


def complaints(group: str) -> dict[int, str]:
    """Number of each bulletin of level ERROR, which grows with time -> its source and message; of a group's parts."""
    ours = {part.id for part in parts(group)}
    listed = nifi.FlowApi().get_bulletin_board(limit=100).bulletin_board.bulletins
    readable = [entity.bulletin for entity in listed if entity.bulletin and entity.bulletin.level == "ERROR"]
    return {int(b.id): f"{b.source_name} says: {b.message or ''}" for b in readable if b.source_id in ours}


def _until(patience: float, left: Callable[[], list[Any]]) -> list[Any]:
    """Look until nothing is left or patience ends; returns what is left then."""
    deadline = time.monotonic() + patience
    while (found := left()) and time.monotonic() < deadline:
        time.sleep(_PAUSE)
    return found


class _Unbound(TerminalError):
    """Raised when the group has no parameter context."""


def _context(group: str) -> Any:
    reference = nifi.ProcessGroupsApi().get_process_group(group).component.parameter_context
    if reference is None:
        raise _Unbound("the flow on the canvas has lost its parameter context", "bind it again and deploy again")
    return nipyapi.parameters.get_parameter_context(reference.id, identifier_type="id")


def _schedule(group: str, entities: Iterable[Any], ids: Iterable[str], state: str) -> list[str]:
    """Have NiFi start or stop those of a group's parts that have these ids and another state; returns their ids."""
    wanted = set(ids)
    revisions = {e.id: e.revision for e in entities if e.id in wanted and e.component.state != state}
    if revisions:
        order = nifi.ScheduleComponentsEntity(id=group, state=state, components=revisions)
        nifi.FlowApi().schedule_components(order, group)
    return list(revisions)


def _status(group: str) -> Any:
    status = nifi.FlowApi().get_process_group_status(group, recursive=True).process_group_status
    return status.aggregate_snapshot


def _inner(snapshot: Any) -> Iterator[Any]:
    """A group's status and that of the groups in it."""
    yield snapshot
    for entity in snapshot.process_group_status_snapshots:
        yield from _inner(entity.process_group_status_snapshot)


def _ports(snapshot: Any) -> Iterator[Any]:
    for group in _inner(snapshot):
        yield from (entity.port_status_snapshot for entity in group.input_port_status_snapshots)
        yield from (entity.port_status_snapshot for entity in group.output_port_status_snapshots)


def _port_entities(group: str) -> list[Any]:
    """The ports of a group and of the groups in it."""
    return [port for flow in _flows(group) for port in (*flow.input_ports, *flow.output_ports)]


def connection_statuses(snapshot: Any) -> Iterator[Any]:
    """The status of every connection in a group's status, and in that of the groups in it."""
    for group in _inner(snapshot):
        yield from (entity.connection_status_snapshot for entity in group.connection_status_snapshots)


def _flows(group: str) -> Iterator[Any]:
    """What a group holds, and what the groups in it hold."""
    flow = nipyapi.canvas.get_flow(group).process_group_flow.flow
    yield flow
    for inner in flow.process_groups:
        yield from _flows(inner.id)
