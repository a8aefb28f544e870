"""Bring a version onto NiFi: what is desired runs, or what ran before runs again; nothing in between stays.

The steps are told by `_bring`, in order. Each of them looks first and does only what is missing, so that a deploy that
was cut off anywhere is ended by the next one, and deploying what runs changes nothing.
"""

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

from nifi_flows import canvas
from nifi_flows.definition import parameters as declared_parameters
from nifi_flows.desired_state import DesiredState
from nifi_flows.drain import Undrained, make_room
from nifi_flows.errors import PipelineError, TerminalError, TransientError
from nifi_flows.hold import Held
from nifi_flows.host import NiFiHost, Permission, Report
from nifi_flows.lease import LeaseLost
from nifi_flows.ledger import Deployed, Ledger, State
from nifi_flows.plan import difference, listed, plan
from nifi_flows.transition import CanvasState, Direction, Suspect, Transition
from nifi_flows.verify import verify, wait_settled, wait_valid
from nifi_flows.version import Version

_START = 60.0  # seconds for what was started or enabled to be so
_RETURN = 240.0  # seconds for a NiFi that was killed to answer again, after a second start if need be
_TRIES = 3


@dataclass(frozen=True)
class Deployment:
    """version: what runs now. changes: what was done, in words; empty when nothing was. seconds: how long it took.

    stopped: seconds for which the whole flow was stopped meanwhile.
    """

    version: str
    changes: list[str]
    seconds: float
    stopped: float = 0.0


def deploy(
    desired: DesiredState,
    host: NiFiHost,
    ledger: Ledger,
    permission: Permission,
    report: Report,
    *,
    what: str = "deploy",
    secrets: Mapping[str, str] | None = None,
) -> Deployment:
    """Make the desired state run and verify it; whatever goes wrong, what ran before runs again, all three parts of it.

    what: deploy, redeploy or rollback, for the history. permission: asked before each step; what it raises ends the
    deploy. secrets: sensitive parameters of what ran before, to go back with.
    Raises TerminalError when it cannot run, TransientError when NiFi stays away, LeaseLost when somebody else deploys
    by now: then the next deploy ends what this one began.
    """
    state = ledger.state()
    if state.unfinished:
        report(f"an earlier deploy of {state.unfinished.version} did not end; this one ends it")
    planned = plan(desired, host)
    if planned.empty and not state.unfinished and _same(state.deployed, desired.record):
        return Deployment(desired.version.name, [], 0.0)
    begun = time.monotonic()
    permission.may_continue()
    if state.unfinished:
        _note_cut_off(ledger, state.unfinished)
    ledger.begin(desired.record)
    transition = _transition(desired, host, permission, report, state)
    by, name = desired.record.by, desired.version.name
    try:
        _insist(transition)
        permission.may_continue()
    except LeaseLost:
        raise  # whoever deploys by now ends this one too
    except BaseException as error:
        said, passing = str(error) or type(error).__name__, may_pass(error)
        try:
            undone = _undo(transition, ledger, secrets or {})
        except LeaseLost:
            raise
        except BaseException as trouble:
            _start_what_can(transition)
            failed = f"{said}; going back failed too: {str(trouble) or type(trouble).__name__}"
            ledger.note_failed(what, by, name, failed, passing=passing)
            if not isinstance(trouble, Exception):
                raise
            raise TransientError(failed, "deploy again: it ends what this deploy began") from error
        ledger.note_failed(what, by, name, f"{said}; {undone}", passing=passing)
        if isinstance(error, PipelineError):
            raise type(error)(f"{said}; {undone}", error.remedy) from error
        raise
    ledger.finish(replace(desired.record, group=transition.group))
    ledger.note_done(what, by, name, "; ".join(transition.changes) or "nothing to change")
    return Deployment(name, transition.changes, time.monotonic() - begun, transition.stopped)


def may_pass(error: BaseException) -> bool:
    """Whether what ended a deploy says nothing against the version: trying it again later may do."""
    return isinstance(error, Held) or not isinstance(error, TerminalError)


def _transition(
    desired: DesiredState, host: NiFiHost, permission: Permission, report: Report, state: State
) -> Transition:
    """The way forward, from where the ledger says that this stack is."""
    ran = [entry.version for entry in (state.deployed, state.previous) if entry]
    known = not ran or desired.version.name in ran
    return Transition(
        desired,
        host,
        permission,
        report,
        suspect=Suspect.SURROUNDINGS if known else Suspect.VERSION,
        canvas=CanvasState.LEFT_UNFINISHED if state.unfinished else CanvasState.AS_FOUND,
    )


def _note_cut_off(ledger: Ledger, unfinished: Deployed) -> None:
    """Who counts the tries has to know of one that could say nothing any more."""
    if not any(event.version == unfinished.version and event.at >= unfinished.at for event in ledger.history()):
        ledger.note_failed("deploy", unfinished.by, unfinished.version, "it was cut off", passing=True)


def _same(deployed: Deployed | None, wanted: Deployed) -> bool:
    """Whether the ledger says of what runs what it shall say."""
    return deployed is not None and (
        (deployed.version, deployed.environment, dict(deployed.values), dict(deployed.sealed))
        == (wanted.version, wanted.environment, dict(wanted.values), dict(wanted.sealed))
    )


def _undo(transition: Transition, ledger: Ledger, secrets: Mapping[str, str]) -> str:
    """Bring back the version that was deployed before; returns what was done, in words."""
    state = ledger.state()
    if not transition.touched:
        ledger.undo()
        return "nothing was changed"
    if state.deployed is None:
        return "there is no version before it to go back to"
    version = Version(state.deployed.version, state.deployed.code, transition.desired.version.store)
    before = DesiredState(version, {**state.deployed.values, **secrets}, state.deployed, renewed=list(secrets))
    transition.report(f"going back to version {version.name}")
    transition.turn_back(before)
    _insist(transition)
    ledger.undo()
    return f"version {version.name} runs again"


def _start_what_can(transition: Transition) -> None:
    """The way back has failed: whatever is on the canvas now, its sources must not stay stopped."""
    with suppress(Exception), transition.host.connected():
        canvas.set_running(transition.group, running=True)


def _insist(transition: Transition) -> None:
    """Bring it up; when NiFi goes away meanwhile, wait for it and begin again: every step looks first."""
    for attempt in range(1, _TRIES + 1):
        try:
            with transition.host.connected():
                _bring(transition)
            return
        except (Undrained, LeaseLost):
            raise
        except TransientError as error:
            if attempt == _TRIES or not transition.touched:
                raise
            transition.report(f"{error}; waiting for NiFi")
            transition.host.awake(_RETURN)


def _bring(transition: Transition) -> None:
    desired, host = transition.desired, transition.host
    group = canvas.find_group(desired.group)
    if group is not None:
        transition.group = group
        wait_settled(group)
        make_room(group, transition)
    if host.loaded() != desired.version.code:
        group = _load(group, transition)
    group = transition.group = _put(group, transition)
    transition.permission.may_continue()
    _set_parameters(group, transition)
    if enabled := canvas.enable_services(group, _START):
        transition.touch()
        transition.did(f"enabled {listed(enabled)}")
    wait_valid(group)
    transition.permission.may_continue()
    if transition.direction is Direction.FORWARD:
        _register(transition)
    watch = host.watch(group)
    if started := canvas.start(group, _START):
        transition.touch()
        transition.started()
        transition.did(f"started {listed(started)}")
    if not transition.touched:
        return
    verify(group, desired.flow, transition.report)
    if complaint := watch(transition.report):
        if transition.suspect is Suspect.VERSION:
            raise TerminalError(complaint, "./scripts/pipeline logs nifi says more")
        transition.report(complaint)


def _load(group: str | None, transition: Transition) -> str | None:
    """Have NiFi load the processors; returns the id that the flow's group has afterwards."""
    transition.ask_to_replace()
    transition.touch()
    if group is not None:
        transition.stop(group)
    transition.report("loading the processors; NiFi restarts")
    transition.host.load(transition.desired.version)
    transition.did("loaded the processors")
    return canvas.find_group(transition.desired.group)


def _put(group: str | None, transition: Transition) -> str:
    """Import the flow, or replace what differs from it; returns its group's id."""
    desired = transition.desired
    if group is None:
        transition.ask_to_replace()
        transition.touch()
        imported = canvas.import_flow(desired.flow, desired.values)
        transition.did("imported")
        return imported
    change = difference(group, desired.flow)
    if not change.empty:
        transition.ask_to_replace()
        transition.touch()
        if transition.stopped_since is None and change.adds_components:
            transition.stop(group)  # or FlowFiles wait in new queues of a version that may never run
        canvas.replace(group, desired.flow, desired.values)
        transition.did(f"replaced in place ({change.summary()})")
    return group


def _set_parameters(group: str, transition: Transition) -> None:
    desired = transition.desired
    declared = declared_parameters(desired.flow)
    if canvas.differing_parameters(group, declared, desired.values, desired.renewed):
        transition.touch()
        changed = canvas.set_parameters(group, declared, desired.values, desired.renewed)
        transition.did(f"set {listed(changed)}")


def _register(transition: Transition) -> None:
    """No sooner than it is valid: what never comes up must not decide with which schemas the next is compatible."""
    schemas = transition.desired.version.schemas
    if missing := transition.host.unregistered(schemas):
        transition.host.register({name: schemas[name] for name in missing})
        transition.did(f"registered {listed(missing)}")
