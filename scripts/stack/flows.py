"""The flow of this stack: what the command line and Airflow both call to deploy it, watch it and bring it back."""

import hashlib
import hmac
import json
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from nifi_flows import canonical, canvas, environments, hold, inventory, lease, lint, version
from nifi_flows import deploy as engine
from nifi_flows import drift as drifting
from nifi_flows.definition import parameters, with_values
from nifi_flows.deploy import Deployment, Plan, Target
from nifi_flows.diff import compare
from nifi_flows.errors import PipelineError, TerminalError, TransientError
from nifi_flows.files import write_private
from nifi_flows.hold import Held, Hold
from nifi_flows.lease import LeaseLost
from nifi_flows.ledger import Deployed, Event, Ledger, now
from nifi_flows.pipeline import USERS
from nifi_flows.version import Version
from scripts.bootstrap import ROOT
from scripts.stack import credentials
from scripts.stack.engines import kafka, registry
from scripts.stack.engines import source as source_engine
from scripts.stack.settings import Settings
from scripts.stack.site import LocalSite

_VERSION = "flow.version"  # the parameter that names the version on the canvas and in every row
_START = 240.0  # seconds that NiFi may take to answer
_SECRETS = "parameters.toml"  # sensitive parameters, among the stack's other secrets
_KEPT_SECRETS = "deployed_parameters.json"  # those of the versions that are kept, by their seals
Report = Callable[[str], None]


def folder(settings: Settings) -> Path:
    """What is kept of the flow: stored versions, the ledger, the lock, the hold and edits that were made by hand."""
    return settings.flows / USERS.name


def make(settings: Settings, tree: Path = Path(ROOT)) -> Version:
    """Store the version that a source tree holds. Raises TerminalError when it holds none."""
    return version.make(tree, USERS.name, folder(settings))


def plan(settings: Settings, *, revision: str | None = None, tree: Path = Path(ROOT)) -> Plan:
    """What `deploy` would do. Changes nothing; raises what `deploy` raises before it touches anything."""
    _refuse_held(settings)
    if busy := deploying(settings):
        raise TransientError(f"{busy} deploys now", "try again when it is done")
    known = deployed(settings)
    # Stored apart: what NiFi has loaded must stay as it is.
    with _files(revision, tree) as files, tempfile.TemporaryDirectory(prefix="plan-") as store:
        made = version.make(files, USERS.name, Path(store))
        target = _checked(settings, made, files, {}, version.source_of(tree, revision))
        _refuse_lost(settings)
        _check_fits(settings, target)
        planned = engine.plan(target, _site(settings))
    edited = known is not None and known.code == made.code and bool(version.changed_files(_stored(settings, known)))
    return replace(planned, reload=planned.reload or edited)


def deploy(
    settings: Settings,
    *,
    revision: str | None = None,
    tree: Path = Path(ROOT),
    overrides: Mapping[str, str | None] | None = None,
    report: Report = lambda line: None,
) -> Deployment:
    """Deploy a source tree, or a git revision of it. Deploying what runs changes nothing.

    overrides: values that go before the environment's until they are given anew; None ends one. report: gets a line for
    each step. Raises TerminalError when it cannot run, is held or does not verify, and then what ran before runs again;
    TransientError when somebody else deploys, a queue does not drain, or an engine stays away.
    """
    with _attempt(settings, "deploy", report) as attempt, _files(revision, tree) as files:
        made = make(settings, files)
        attempt.version = made.name
        target = _checked(settings, made, files, overrides or {}, version.source_of(tree, revision))
        return _brought(settings, target, attempt)


def redeploy(settings: Settings, report: Report = lambda line: None) -> Deployment:
    """Make run again what was deployed, as it was. Raises as `deploy`, and when nothing was deployed."""
    with _attempt(settings, "redeploy", report) as attempt:
        entry = _deployed(settings)
        return _again(settings, entry, entry.overrides, attempt)


def rollback(settings: Settings, report: Report = lambda line: None) -> Deployment:
    """Deploy the version that ran before the present one; a pull run that was asked for goes on.

    Raises as `deploy`, and when there was none.
    """
    with _attempt(settings, "rollback", report) as attempt:
        state = _ledger(settings).state()
        if state.previous is None or state.deployed is None:
            raise TerminalError(
                "there is no version before the present one", "./scripts/pipeline flow deploy --revision REV"
            )
        return _again(settings, state.previous, state.deployed.overrides, attempt)


def drift(settings: Settings) -> list[str]:
    """In words, what is not as it was deployed; [] when all is."""
    deployed = _deployed(settings)
    return drifting.drift(deployed, _stored(settings, deployed), _site(settings))


def export(settings: Settings) -> str:
    """The flow on the canvas in its canonical form, without parameters' values: the text that is kept in git."""
    with _site(settings).connected():
        return canonical.dumps(canonical.structure(canvas.export(_group())))


def save_edit(settings: Settings, besides: Version | None = None) -> Path | None:
    """Keep what somebody changed on the canvas: a folder with flow.json and diff.md. None when nobody did.

    besides: a version that is about to be deployed: that the canvas is like it already is no edit.
    """
    edit = _edit(settings, besides)
    if edit is None:
        return None
    if (last := _last_edit(settings, edit)) is not None:
        return last
    place = folder(settings) / "edits" / datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")
    place.mkdir(parents=True, exist_ok=True)
    (place / "flow.json").write_text(edit.flow, encoding="utf-8")
    (place / "diff.md").write_text(edit.diff, encoding="utf-8")
    return place


def unsaved_edit(settings: Settings) -> bool:
    """Whether somebody changed the canvas, and `save_edit` has not been told since."""
    edit = _edit(settings, None)
    return edit is not None and _last_edit(settings, edit) is None


@dataclass(frozen=True)
class _Edit:
    """What somebody made of the flow on the canvas. flow: in the canonical form. diff: from what was deployed."""

    flow: str
    diff: str


def _edit(settings: Settings, besides: Version | None) -> _Edit | None:
    state = _ledger(settings).state()
    if state.deployed is None:
        return None
    with _site(settings).connected():
        group = canvas.find_group(USERS.name)
        if group is None:
            return None
        exported = canvas.export(group)
    before, values = _stored(settings, state.deployed).flow, state.deployed.values
    known = [(before, values)]
    if besides is not None:
        known.append((besides.flow, values))
    if state.unfinished is not None:  # which may have come as far as the flow, and not to its values
        unfinished = _stored(settings, state.unfinished).flow
        known += [(unfinished, values), (unfinished, state.unfinished.values)]
    if any(compare(with_values(flow, given), exported).empty for flow, given in known):
        return None
    return _Edit(canonical.dumps(exported), compare(with_values(before, values), exported).as_markdown())


def _last_edit(settings: Settings, edit: _Edit) -> Path | None:
    """The folder of the last edit that was saved, when it is this one."""
    last = max((folder(settings) / "edits").glob("*/flow.json"), default=None)
    return last.parent if last is not None and last.read_text(encoding="utf-8") == edit.flow else None


def held(settings: Settings) -> Hold | None:
    """Who holds the flow, so that nothing may be deployed; None when nobody does."""
    return hold.read(folder(settings) / "hold.json")


def deployed(settings: Settings) -> Deployed | None:
    """The version that was deployed and verified last, None before the first deploy."""
    return _ledger(settings).state().deployed


def unfinished(settings: Settings) -> Deployed | None:
    """What a deploy has begun to bring up and has not ended, None when there is no such thing."""
    return _ledger(settings).state().unfinished


def deploying(settings: Settings) -> lease.Holder | None:
    """Who deploys at this moment."""
    holder = lease.read(folder(settings) / "lock.json")
    return holder if holder and lease.ended(holder, datetime.now(UTC)) is None else None


def new_version(settings: Settings) -> str | None:
    """The version of git's HEAD, when HEAD has moved since the last deploy to another version; else None.

    Commits that change no version say nothing of what was deployed, which may be files that were never committed.
    """
    known = deployed(settings)
    if known is None or known.commit is None:
        return None
    head = version.commit(Path(ROOT), "HEAD")
    if head == known.commit:
        return None
    name = _version_at(head)
    if name == known.version:
        return None
    with suppress(TerminalError):  # the commit may be gone, as after a rebase
        if _version_at(known.commit) == name:
            return None
    return name


def _version_at(commit: str) -> str:
    with version.at_revision(Path(ROOT), commit) as tree:
        return version.name_of(tree, USERS.name)


def heals(settings: Settings) -> bool:
    """Whether the environment allows that the flow is deployed again by itself."""
    return environments.heals(environments.load(USERS.environments), settings.environment)


def history(settings: Settings) -> list[Event]:
    """Deploys, redeploys and rollbacks, the oldest first."""
    return _ledger(settings).history()


@dataclass
class _Attempt:
    """One deploy, redeploy or rollback, alone. lease: raises as soon as that is no longer so. version: if known yet."""

    what: str
    report: Report
    lease: Callable[[], None]
    version: str = "none"


@contextmanager
def _attempt(settings: Settings, what: str, report: Report) -> Iterator[_Attempt]:
    """Nobody else holds the flow, and nobody else deploys it.

    What fails is noted, also what was refused before anything was begun: a guard has to know what was tried.
    """
    _refuse_held(settings)
    with lease.hold_lease(folder(settings) / "lock.json", hold.whoever(), what) as taken:
        if taken.took_over:
            report(f"took the lock over from {taken.took_over}")
        attempt, ledger = _Attempt(what, report, taken.check), _ledger(settings)
        before = ledger.history()
        try:
            yield attempt
        except LeaseLost:
            raise
        except PipelineError as error:
            if ledger.history() == before:
                ledger.note(what, False, hold.whoever(), attempt.version, str(error), engine.may_pass(error))
            raise


def _refuse_held(settings: Settings) -> None:
    holder = held(settings)
    if holder is not None and holder.who != hold.whoever():
        raise Held(
            f"{holder.who} holds the flow since {holder.since:%Y-%m-%d %H:%M} UTC: {holder.why}",
            "ask them, or end it: ./scripts/pipeline flow release",
        )


@contextmanager
def _files(revision: str | None, tree: Path) -> Iterator[Path]:
    """The source tree itself, or that of a revision of it."""
    if revision is None:
        yield tree
        return
    with version.at_revision(tree, revision) as files:
        yield files


def _again(settings: Settings, entry: Deployed, overrides: Mapping[str, str], attempt: _Attempt) -> Deployment:
    """Bring back what the ledger knows, with its values but these."""
    attempt.version = entry.version
    made = _restored(settings, entry)
    declared = parameters(made.flow)
    secret = environments.sensitive_values(declared, settings.secrets / _SECRETS)
    given = {name: value for name, value in overrides.items() if name in declared}
    values = {**entry.values, **given}
    record = replace(
        entry, values=values, overrides=given, sealed=_sealed(settings, secret), by=hold.whoever(), at=now()
    )
    target = Target(made, {**values, **secret}, record, _renewed(settings, record))
    done = _brought(settings, target, attempt)
    if not done.changes:  # a guard has to know that it was tried, and that it mends nothing
        _ledger(settings).note(attempt.what, True, hold.whoever(), made.name, "nothing to change")
    return done


def _restored(settings: Settings, entry: Deployed) -> Version:
    """A stored version, made anew from its sources where the files that NiFi loads were changed."""
    made = _stored(settings, entry)
    changed = version.changed_files(made)
    if not changed:
        return made
    for revision in (None, entry.commit):
        with suppress(TerminalError), _files(revision, Path(ROOT)) as files:
            if version.name_of(files, USERS.name) == entry.version:
                return make(settings, files)
    raise TerminalError(
        f"processor file {changed[0]} was changed, and the sources of version {entry.version} are gone",
        "./scripts/pipeline flow deploy brings the version of the files as they are",
    )


def _brought(settings: Settings, target: Target, attempt: _Attempt) -> Deployment:
    ledger, site = _ledger(settings), _site(settings)
    if ledger.state().unfinished:
        site.awake(_START)  # its deploy may have ended while NiFi was stopped
    _refuse_lost(settings)
    _check_fits(settings, target)

    def check(replacing: bool) -> None:
        attempt.lease()
        if not replacing:
            return
        _refuse_held(settings)
        edit = save_edit(settings, target.version)
        if edit is not None and edit not in kept:
            kept.append(edit)
            attempt.report(f"saved what was changed on the canvas: {edit}")

    kept: list[Path] = []
    check(True)
    before = _kept_secrets(settings, target)
    done = engine.deploy(target, site, ledger, attempt.report, attempt.what, check, before)
    state = ledger.state()
    entries = [entry for entry in (state.deployed, state.previous) if entry is not None]
    version.prune(folder(settings), [Version(entry.version, entry.code, folder(settings)) for entry in entries])
    return done


def _kept_secrets(settings: Settings, target: Target) -> dict[str, str]:
    """The sensitive parameters of what is deployed, for the way back to it; those of the target are kept beside them.

    NiFi gives none of them back, and where they come from may have others by now.
    """
    path = settings.secrets / _KEPT_SECRETS
    try:
        known = {str(seal): str(value) for seal, value in json.loads(path.read_text(encoding="utf-8")).items()}
    except (OSError, ValueError, AttributeError):
        known = {}
    state = _ledger(settings).state()
    entries = [entry for entry in (state.deployed, state.previous, state.unfinished) if entry is not None]
    seals = {seal for entry in entries for seal in entry.sealed.values()}
    kept = {seal: value for seal, value in known.items() if seal in seals}
    kept |= {seal: target.values[name] for name, seal in target.record.sealed.items()}
    if kept != known:
        write_private(path, json.dumps(kept).encode())
    sealed = state.deployed.sealed if state.deployed else {}
    return {name: kept[seal] for name, seal in sealed.items() if seal in kept}


def _refuse_lost(settings: Settings) -> None:
    """A group that somebody renamed or moved is still there, with its queues: importing would make a second one."""
    known = deployed(settings)
    if known is None or not known.group:
        return
    with _site(settings).connected():
        if canvas.find_group(USERS.name) is None and (name := canvas.name_of(known.group)) is not None:
            raise TerminalError(
                f"the flow's process group is called {name!r} now, or is in another group",
                f"call it {USERS.name!r} again, on the outermost canvas, or delete it",
            )


def _check_fits(settings: Settings, target: Target) -> None:
    """Hold a flow that differs from what is on the canvas against it, and against what this NiFi offers."""
    flow, made = target.version.flow, target.version
    with _site(settings).connected():
        group = canvas.find_group(USERS.name)
        previous = canvas.export(group) if group else None
        if previous and compare(canonical.structure(previous), canonical.structure(flow)).empty:
            return
        offered = inventory.read(flow)
    found = lint.lint(
        flow, lint.load_config(USERS.lint), previous=previous, inventory=offered, processors=made.processors
    )
    _refuse(found)


def _refuse(findings: Iterable[lint.Finding]) -> None:
    errors = [finding for finding in findings if finding.severity is lint.Severity.error]
    if errors:
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        raise TerminalError(f"lint refuses the flow: {errors[0]}{more}", errors[0].remedy)


def _checked(
    settings: Settings, made: Version, files: Path, overrides: Mapping[str, str | None], source: str
) -> Target:
    """The version with the environment's values, after lint. Raises TerminalError before anything is touched."""
    flow_files = files / "nifi_flows" / USERS.name
    _refuse(lint.lint(made.flow, lint.load_config(flow_files / USERS.lint.name), processors=made.processors))
    known, declared = deployed(settings), parameters(made.flow)
    merged = {**(known.overrides if known else {}), **overrides}
    given = {name: value for name, value in merged.items() if value is not None}
    unknown = sorted(set(given) - set(declared))
    if unknown:
        raise TerminalError(f"the flow has no parameter {', '.join(unknown)}", f"it has {', '.join(sorted(declared))}")
    if hidden := sorted(name for name in given if declared[name].get("sensitive")):
        raise TerminalError(
            f"{', '.join(hidden)} is sensitive, and not to be given by hand",
            f"set {environments.variable(hidden[0])}, or {settings.secrets / _SECRETS}",
        )
    environment = environments.resolve(
        environments.load(flow_files / USERS.environments.name),
        settings.environment,
        {engine.NAME: engine.address(settings) for engine in (kafka, registry, source_engine)},
        declared,
        given=(_VERSION, *given),
        secrets=settings.secrets / _SECRETS,
    )
    values = {**environment.values, **given, _VERSION: made.name}
    secret = {name: value for name, value in values.items() if declared[name].get("sensitive")}
    record = Deployed(
        version=made.name,
        code=made.code,
        environment=settings.environment,
        values={name: value for name, value in values.items() if name not in secret},
        overrides=given,
        sealed=_sealed(settings, secret),
        source=source,
        commit=_head(),
        by=hold.whoever(),
        at=now(),
    )
    return Target(made, values, record, _renewed(settings, record))


def _sealed(settings: Settings, secret: Mapping[str, str]) -> dict[str, str]:
    """What tells whether a sensitive value is another one, and nothing of the value."""
    key = credentials.require(settings.secrets).nifi_sensitive_key.encode()
    return {
        name: hmac.new(key, f"{name}={value}".encode(), hashlib.sha256).hexdigest() for name, value in secret.items()
    }


def _renewed(settings: Settings, record: Deployed) -> list[str]:
    state = _ledger(settings).state()
    if state.unfinished is not None:  # which of them NiFi has is not known then
        return list(record.sealed)
    before = state.deployed.sealed if state.deployed else {}
    return [name for name, seal in record.sealed.items() if before.get(name) != seal]


def _deployed(settings: Settings) -> Deployed:
    known = deployed(settings)
    if known is None:
        raise TerminalError("nothing was deployed yet", "./scripts/run, or ./scripts/pipeline flow deploy")
    return known


def _stored(settings: Settings, entry: Deployed) -> Version:
    return version.stored(folder(settings), entry.version, entry.code)


def _group() -> str:
    group = canvas.find_group(USERS.name)
    if group is None:
        raise TerminalError(f"flow {USERS.name} is not on the canvas", "./scripts/run deploys it")
    return group


def _ledger(settings: Settings) -> Ledger:
    return Ledger(folder(settings))


def _site(settings: Settings) -> LocalSite:
    return LocalSite(settings, credentials.require(settings.secrets))


def _head() -> str | None:
    try:
        return version.commit(Path(ROOT), "HEAD")
    except TerminalError:
        return None
