"""Bring a version onto NiFi: what runs becomes the target, or what ran before runs again; nothing in between stays.

The steps are told by `_bring`, in order. Each of them looks first and does only what is missing, so that a deploy that
was cut off anywhere is ended by the next one, and deploying what runs changes nothing.
"""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from nifi_flows import canvas, queues
from nifi_flows.canonical import structure
from nifi_flows.definition import parameters as declared_parameters
from nifi_flows.diff import Difference, compare
from nifi_flows.errors import PipelineError, TerminalError, TransientError
from nifi_flows.hold import Held
from nifi_flows.lease import LeaseLost
from nifi_flows.ledger import Deployed, Ledger
from nifi_flows.version import Version
from nifi_flows.wording import some

Report = Callable[[str], None]
# Raises when a deploy may not go on: LeaseLost when another one has taken over, which may be asked at any step; before
# something is replaced (True), anything that speaks against that.
Check = Callable[[bool], None]

_VALID = 60.0  # seconds for processors to become valid; a Python processor takes about ten
_DRAIN = 60.0  # seconds for queues to run empty
_STOP = 20.0  # seconds for threads to end; an HTTP request may be under way
_START = 60.0
_RETURN = 240.0  # seconds for a NiFi that was killed to answer again, after a second start if need be
_TRIES = 3


class Site(Protocol):
    """The place where NiFi runs, as far as a deploy needs it besides NiFi's own API."""

    def connected(self) -> AbstractContextManager[None]:
        """Point nipyapi at the NiFi; see `connection.connected`."""

    def awake(self, patience: float) -> None:
        """Start NiFi if it was stopped, and wait until it answers; raises TransientError when it does not in time."""

    def loaded(self) -> str | None:
        """`code` of the version whose processors NiFi has loaded; None when they were put in place since."""

    def load(self, version: Version) -> None:
        """Give NiFi the version's processors and restart it; returns when it answers."""

    def unregistered(self, schemas: Mapping[str, str]) -> list[str]:
        """The schemas that the registry does not hold. Raises TerminalError for one that it would refuse."""

    def register(self, schemas: Mapping[str, str]) -> None:
        """Register schemas."""

    def watch(self, group: str) -> Callable[[Report], str | None]:
        """Begin to watch a group's records. What it returns waits for some to pass and says what stops them."""


@dataclass(frozen=True)
class Target:
    """What shall run: a version and its parameters' values. record: how the ledger notes it.

    renewed: sensitive parameters whose value is another one than when it was set last.
    """

    version: Version
    values: Mapping[str, str]
    record: Deployed
    renewed: Collection[str] = ()


@dataclass(frozen=True)
class Plan:
    """What has to be done so that the target runs; nothing, when every field is empty.

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
            said.append(f"register {_listed(self.schemas)}")
        if self.drain:
            said.append(f"drain {_listed(self.drain)}")
        if self.reload:
            said.append("load the processors, which restarts NiFi")
        if self.change is not None and not self.change.empty:
            said.append(f"replace the flow in place ({self.change.summary()})")
        if self.parameters:
            said.append(f"set {_listed(self.parameters)}")
        if self.idle:
            said.append(f"start {_listed(self.idle)}")
        return said


@dataclass(frozen=True)
class Deployment:
    """version: what runs now. changes: what was done, in words; empty when nothing was. seconds: how long it took.

    stopped: seconds for which the whole flow was stopped meanwhile.
    """

    version: str
    changes: list[str]
    seconds: float
    stopped: float = 0.0


@dataclass
class _Work:
    """One way from what runs to the target."""

    name: str
    site: Site
    report: Report
    check: Check
    changes: list[str] = field(default_factory=list)
    group: str = ""
    since: float | None = None  # time.monotonic() when the whole flow was stopped, None while it runs
    stopped: float = 0.0
    touched: bool = False  # whether anything on the canvas may differ from before
    proven: bool = False  # whether this version has run here: then it isn't to blame when no record passes
    back: bool = False  # whether this is the way back
    stranded: bool = False  # whether FlowFiles may wait for what only a version has that did not come up

    def did(self, text: str) -> None:
        self.changes.append(text)
        self.report(text)


def plan(target: Target, site: Site) -> Plan:
    """What deploying the target would do; changes nothing. Raises what NiFi and the registry raise."""
    schemas = site.unregistered(target.version.schemas)
    reload = site.loaded() != target.version.code
    with site.connected():
        group = canvas.find_group(_name(target))
        if group is None:
            return Plan(new=True, reload=reload, schemas=schemas, parameters=sorted(target.values))
        before = canvas.export(group)
        wanted = target.version.flow
        change = _difference(group, wanted)
        drain = queues.leading_to_removed(before, wanted)
        declared = declared_parameters(wanted)
        parameters = canvas.differing_parameters(group, declared, target.values, target.renewed)
        idle = [f"{part}, {part.state.lower()}" for part in canvas.idle(group)]
    return Plan(
        change=change,
        reload=reload,
        drain=sorted(set(drain.values())),
        parameters=parameters,
        schemas=schemas,
        idle=idle,
    )


def deploy(
    target: Target,
    site: Site,
    ledger: Ledger,
    report: Report,
    what: str = "deploy",
    check: Check = lambda replacing: None,
    secrets: Mapping[str, str] | None = None,
) -> Deployment:
    """Make the target run and verify it; whatever goes wrong, what ran before runs again, all three parts of it.

    what: deploy, redeploy or rollback, for the history. report: gets a line for each step. check: called before each
    step; what it raises ends the deploy. secrets: sensitive parameters of what ran before, to go back with.
    Raises TerminalError when the target cannot run, TransientError when NiFi stays away, LeaseLost when somebody else
    deploys by now: then the next deploy ends what this one began.
    """
    state = ledger.state()
    if state.unfinished:
        report(f"an earlier deploy of {state.unfinished.version} did not end; this one ends it")
    planned = plan(target, site)
    if planned.empty and not state.unfinished and _same(state.deployed, target.record):
        return Deployment(target.version.name, [], 0.0)
    begun = time.monotonic()
    check(False)
    if state.unfinished:
        _note_cut_off(ledger, state.unfinished)
    ledger.begin(target.record)
    ran = [entry.version for entry in (state.deployed, state.previous) if entry]
    work = _Work(_name(target), site, report, check)
    work.proven = not ran or target.version.name in ran
    work.touched = work.stranded = state.unfinished is not None  # by the deploy that did not end
    by, name = target.record.by, target.version.name
    try:
        _insist(target, work)
        check(False)
    except LeaseLost:
        raise  # whoever deploys by now ends this one too
    except BaseException as error:
        said, passing = str(error) or type(error).__name__, may_pass(error)
        try:
            undone = _undo(target, work, ledger, secrets or {})
        except LeaseLost:
            raise
        except BaseException as trouble:
            _start_what_can(work)
            failed = f"{said}; going back failed too: {str(trouble) or type(trouble).__name__}"
            ledger.note(what, False, by, name, failed, passing)
            if not isinstance(trouble, Exception):
                raise
            raise TransientError(failed, "deploy again: it ends what this deploy began") from error
        ledger.note(what, False, by, name, f"{said}; {undone}", passing)
        if isinstance(error, PipelineError):
            raise type(error)(f"{said}; {undone}", error.remedy) from error
        raise
    ledger.finish(replace(target.record, group=work.group))
    ledger.note(what, True, by, name, "; ".join(work.changes) or "nothing to change")
    return Deployment(name, work.changes, time.monotonic() - begun, work.stopped)


def may_pass(error: BaseException) -> bool:
    """Whether what ended a deploy says nothing against the version: trying it again later may do."""
    return isinstance(error, Held) or not isinstance(error, TerminalError)


def _note_cut_off(ledger: Ledger, unfinished: Deployed) -> None:
    """Who counts the tries has to know of one that could say nothing any more."""
    if not any(event.version == unfinished.version and event.at >= unfinished.at for event in ledger.history()):
        ledger.note("deploy", False, unfinished.by, unfinished.version, "it was cut off", passing=True)


def _same(deployed: Deployed | None, wanted: Deployed) -> bool:
    """Whether the ledger says of what runs what it shall say."""
    return deployed is not None and (
        (deployed.version, deployed.environment, dict(deployed.values), dict(deployed.sealed))
        == (wanted.version, wanted.environment, dict(wanted.values), dict(wanted.sealed))
    )


def _undo(target: Target, work: _Work, ledger: Ledger, secrets: Mapping[str, str]) -> str:
    """Bring back the version that was deployed before; returns what was done, in words."""
    state = ledger.state()
    if not work.touched:
        ledger.undo()
        return "nothing was changed"
    if state.deployed is None:
        return "there is no version before it to go back to"
    store = target.version.store
    version = Version(state.deployed.version, state.deployed.code, store)
    before = Target(version, {**state.deployed.values, **secrets}, state.deployed, renewed=list(secrets))
    work.report(f"going back to version {before.version.name}")
    work.proven = work.back = work.stranded = True
    _insist(before, work)
    ledger.undo()
    return f"version {before.version.name} runs again"


def _start_what_can(work: _Work) -> None:
    """The way back has failed: whatever is on the canvas now, its sources must not stay stopped."""
    with suppress(Exception), work.site.connected():
        canvas.set_running(work.group, True)


def _insist(target: Target, work: _Work) -> None:
    """Bring the target up; when NiFi goes away meanwhile, wait for it and begin again: every step looks first."""
    for attempt in range(1, _TRIES + 1):
        try:
            with work.site.connected():
                _bring(target, work)
            return
        except (_Undrained, LeaseLost):
            raise
        except TransientError as error:
            if attempt == _TRIES or not work.touched:
                raise
            work.report(f"{error}; waiting for NiFi")
            work.site.awake(_RETURN)


def _bring(target: Target, work: _Work) -> None:
    wanted, site = target.version.flow, work.site
    group = canvas.find_group(work.name)
    if group is not None:
        work.group = group
        canvas.settled(group, _VALID / 4)  # until its Python processors are loaded, a flow exports differently
        _make_room(group, wanted, work)
    if site.loaded() != target.version.code:
        _may_go_on(work)
        work.touched = True
        if group is not None:
            _stop(group, work)
        work.report("loading the processors; NiFi restarts")
        site.load(target.version)
        work.did("loaded the processors")
        group = canvas.find_group(work.name)
    if group is None:
        _may_go_on(work)
        work.touched = True
        group = canvas.import_flow(wanted, target.values)
        work.did("imported")
    elif not (change := _difference(group, wanted)).empty:
        _may_go_on(work)
        work.touched = True
        if work.since is None and change.adds_components:
            _stop(group, work)  # or FlowFiles wait in new queues of a version that may never run
        canvas.replace(group, wanted, target.values)
        work.did(f"replaced in place ({change.summary()})")
    work.group = group
    work.check(False)
    declared = declared_parameters(wanted)
    if canvas.differing_parameters(group, declared, target.values, target.renewed):
        work.touched = True
        changed = canvas.set_parameters(group, declared, target.values, target.renewed)
        work.did(f"set {_listed(changed)}")
    if enabled := canvas.enable_services(group, _START):
        work.touched = True
        work.did(f"enabled {_listed(enabled)}")
    _wait_valid(group)
    work.check(False)
    if not work.back and (missing := site.unregistered(target.version.schemas)):
        # No sooner: a version that never comes up must not decide with which schemas the next one is compatible.
        site.register({name: target.version.schemas[name] for name in missing})
        work.did(f"registered {_listed(missing)}")
    watch = site.watch(group)
    if started := canvas.start(group, _START):
        work.touched = True
        if work.since is not None:
            work.stopped += time.monotonic() - work.since
            work.since = None
        work.did(f"started {_listed(started)}")
    if work.touched:
        _verify(group, wanted, work.report)
        complaint = watch(work.report)
        if complaint and work.proven:
            work.report(complaint)
        elif complaint:
            raise TerminalError(complaint, "./scripts/pipeline logs nifi says more")


class _Undrained(TransientError):
    """Raised when a queue does not run empty in time; trying again at once would not help."""


def _make_room(group: str, wanted: dict[str, Any], work: _Work) -> None:
    """See that the queues are empty which the replace has to remove.

    What waits before a processor that only a failed version has would wait for ever: it is handed to where the wanted
    one sends it.
    """
    exported = canvas.export(group)
    removed = queues.removed(exported, wanted)
    holding = removed.keys() & canvas.queued(group).keys()
    if not removed or (not holding and canvas.stands_still(group)):
        return
    if work.stranded:
        _hand_over(group, exported, wanted, work)
    else:
        _drain(group, queues.leading_to_removed(exported, wanted), work)


def _drain(group: str, draining: Mapping[str, str], work: _Work) -> None:
    """Stop the sources until these queues are empty; when that does not happen in time, start them again."""
    _may_go_on(work)
    names = _listed(sorted(set(draining.values())))
    work.report(f"draining {names}")
    before, work.touched = work.touched, True
    sources = canvas.sources(group)
    canvas.stop_all(group, sources)
    try:
        _wait_empty(group, draining, sources)
    except BaseException:
        canvas.start_all(group, sources)
        work.touched = before
        raise
    work.did(f"drained {names}")


def _hand_over(group: str, exported: dict[str, Any], wanted: dict[str, Any], work: _Work) -> None:
    _may_go_on(work)
    _stop(group, work)
    canvas.replace(group, queues.handed_over(exported, wanted), {})
    going_on = queues.kept_processors(exported, wanted) - set(canvas.sources(group))
    canvas.start_all(group, going_on)
    try:
        _wait_empty(group, queues.removed(exported, wanted), [])
    finally:
        canvas.stop(group, _STOP)
    work.did("handed over what waited in queues of the failed version")


def _wait_empty(group: str, draining: Mapping[str, str], sources: Sequence[str]) -> None:
    deadline = time.monotonic() + _DRAIN
    quiet = 0
    while quiet < 2:
        waiting = {draining[i]: count for i, count in canvas.queued(group).items() if i in draining}
        quiet = 0 if waiting or canvas.working(group, sources) else quiet + 1
        if not quiet and time.monotonic() > deadline:
            held = ", ".join(f"{name!r} holds {count} FlowFiles" for name, count in waiting.items())
            raise _Undrained(
                f"the queue does not drain within {_DRAIN:.0f} s: {held or 'a source does not end its work'}",
                "mend what does not take them, or empty the queue on the canvas; then deploy again",
            )
        time.sleep(0.25)


def _may_go_on(work: _Work) -> None:
    """The way back is gone to its end, whoever holds the flow by now, unless somebody else deploys."""
    work.check(not work.back)


def _stop(group: str, work: _Work) -> None:
    work.touched = True
    work.report("stopping the flow")
    if work.since is None:
        work.since = time.monotonic()
    canvas.stop(group, _STOP)


def _wait_valid(group: str) -> None:
    if invalid := canvas.settled(group, _VALID):
        worst = invalid[0]
        why = "NiFi has no code for its type" if worst.ghost else "; ".join(worst.errors) or worst.validation.lower()
        more = f" (and {len(invalid) - 1} more)" if len(invalid) > 1 else ""
        raise TerminalError(f"{worst} is not valid: {why}{more}", "./scripts/pipeline logs nifi says more")


def _verify(group: str, wanted: dict[str, Any], report: Report) -> None:
    left = _difference(group, wanted)
    if not left.empty:
        raise TerminalError(
            f"NiFi did not take all of the flow: {left.summary()}", "compare: ./scripts/pipeline flow diff"
        )
    if idle := canvas.idle(group):
        raise TerminalError(f"{idle[0]} does not run", "./scripts/pipeline logs nifi says more")
    report("verified: the flow is as deployed, valid and running")


def _difference(group: str, wanted: dict[str, Any]) -> Difference:
    """What is to be changed on the canvas; parameters' values have a step of their own."""
    return compare(structure(canvas.export(group)), structure(wanted))


def _name(target: Target) -> str:
    return str(target.version.flow["flowContents"]["name"])


def _listed(items: Sequence[str]) -> str:
    return some(items, named=4)
