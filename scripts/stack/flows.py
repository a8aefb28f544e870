"""The flow of this stack: what the command line and Airflow both call to deploy it, watch it and bring it back."""

import getpass
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from nifi_flows import canonical, canvas, environments, hold, inventory, lease, lint, version
from nifi_flows import deploy as engine
from nifi_flows import drift as drifting
from nifi_flows.definition import parameters, with_values
from nifi_flows.deploy import Deployment, Plan, Target
from nifi_flows.diff import compare
from nifi_flows.errors import TerminalError
from nifi_flows.hold import Hold
from nifi_flows.ledger import Deployed, Event, Ledger, now
from nifi_flows.version import Version
from scripts.bootstrap import ROOT
from scripts.stack import credentials, names
from scripts.stack.settings import Settings
from scripts.stack.site import LocalSite

_VERSION = "flow.version"  # the parameter that names the version on the canvas and in every row
_SECRETS = "parameters.toml"  # sensitive parameters, among the stack's other secrets
Report = Callable[[str], None]


def folder(settings: Settings) -> Path:
    """What is kept of the flow: stored versions, the ledger, the lock, the hold and edits that were made by hand."""
    return settings.flows / names.FLOW_NAME


def make(settings: Settings, revision: str | None = None, tree: Path = Path(ROOT)) -> Version:
    """Store the version that a source tree, or a git revision of it, holds. Raises TerminalError when it holds none."""
    if revision is None:
        return version.make(tree, names.FLOW_NAME, folder(settings))
    with version.at_revision(tree, revision) as files:
        return version.make(files, names.FLOW_NAME, folder(settings))


def plan(settings: Settings, *, revision: str | None = None, tree: Path = Path(ROOT)) -> Plan:
    """What `deploy` would do. Changes nothing; raises what `deploy` raises before it touches anything."""
    target = _checked(settings, make(settings, revision, tree), _merged(settings, {}))
    return engine.plan(target, _site(settings))


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
    with _alone(settings, "deploy", report) as step:
        target = _checked(settings, make(settings, revision, tree), _merged(settings, overrides or {}))
        return _brought(settings, target, "deploy", step)


def redeploy(settings: Settings, report: Report = lambda line: None) -> Deployment:
    """Make run again what was deployed, as it was. Raises as `deploy`, and when nothing was deployed."""
    return _again(settings, "redeploy", _deployed(settings), report)


def rollback(settings: Settings, report: Report = lambda line: None) -> Deployment:
    """Deploy the version that ran before the present one. Raises as `deploy`, and when there was none."""
    previous = _ledger(settings).state().previous
    if previous is None:
        raise TerminalError(
            "there is no version before the present one", "./scripts/pipeline flow deploy --revision REV"
        )
    return _again(settings, "rollback", previous, report)


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

    besides: a version that is known, such as one that is about to be deployed: being like it is no edit.
    """
    state = _ledger(settings).state()
    if state.deployed is None:
        return None
    known = [state.deployed, *([state.unfinished] if state.unfinished else [])]
    with _site(settings).connected():
        group = canvas.find_group(names.FLOW_NAME)
        if group is None:
            return None
        exported = canvas.export(group)
    for entry in known:
        if compare(with_values(_stored(settings, entry).flow, entry.values), exported).empty:
            return None
    if besides is not None and compare(besides.flow, canonical.structure(exported)).empty:
        return None
    edits = folder(settings) / "edits"
    text = canonical.dumps(exported)
    last = max(edits.glob("*/flow.json"), default=None)
    if last is not None and last.read_text(encoding="utf-8") == text:
        return last.parent
    place = edits / datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    place.mkdir(parents=True, exist_ok=True)
    (place / "flow.json").write_text(text, encoding="utf-8")
    before = with_values(_stored(settings, state.deployed).flow, state.deployed.values)
    (place / "diff.md").write_text(compare(before, exported).as_markdown(), encoding="utf-8")
    return place


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
    """The version of git's HEAD, when HEAD has moved since the last deploy to another version; else None."""
    known = deployed(settings)
    if known is None or known.commit is None:
        return None
    head = version.commit(Path(ROOT), "HEAD")
    if head == known.commit:
        return None
    with version.at_revision(Path(ROOT), head) as tree:
        name = version.name_of(tree, names.FLOW_NAME)
    return None if name == known.version else name


def heals(settings: Settings) -> bool:
    """Whether the environment allows that the flow is deployed again by itself."""
    return environments.heals(environments.load(names.ENVIRONMENTS), settings.environment)


def history(settings: Settings) -> list[Event]:
    """Deploys, redeploys and rollbacks, the oldest first."""
    return _ledger(settings).history()


@contextmanager
def _alone(settings: Settings, what: str, report: Report) -> Iterator[Report]:
    """Nobody else holds the flow, and nobody else deploys it meanwhile; what it yields makes sure before each step."""
    holder = held(settings)
    if holder is not None and holder.who != _who():
        raise TerminalError(
            f"{holder.who} holds the flow since {holder.since:%Y-%m-%d %H:%M} UTC: {holder.why}",
            "ask them, or end it: ./scripts/pipeline flow release",
        )
    with lease.hold_lease(folder(settings) / "lock.json", _who(), what) as taken:
        if taken.took_over:
            report(f"took the lock over from {taken.took_over}")

        def step(line: str) -> None:
            taken.check()
            report(line)

        yield step


def _again(settings: Settings, what: str, entry: Deployed, report: Report) -> Deployment:
    with _alone(settings, what, report) as step:
        made = _stored(settings, entry)
        secret = environments.sensitive_values(parameters(made.flow), settings.secrets / _SECRETS)
        record = replace(entry, by=_who(), at=now())
        return _brought(settings, Target(made, {**entry.values, **secret}, record), what, step)


def _brought(settings: Settings, target: Target, what: str, report: Report) -> Deployment:
    edit = save_edit(settings, target.version)
    if edit is not None:
        report(f"saved what was changed on the canvas: {edit}")
    _check_fits(settings, target)
    ledger = _ledger(settings)
    done = engine.deploy(target, _site(settings), ledger, report, what)
    state = ledger.state()
    kept = [entry for entry in (state.deployed, state.previous) if entry is not None]
    version.prune(folder(settings), [Version(entry.version, entry.code, folder(settings)) for entry in kept])
    return done


def _check_fits(settings: Settings, target: Target) -> None:
    """Hold a flow that differs from what is on the canvas against it, and against what this NiFi offers."""
    flow, made = target.version.flow, target.version
    with _site(settings).connected():
        group = canvas.find_group(names.FLOW_NAME)
        previous = canvas.export(group) if group else None
        if previous and compare(canonical.structure(previous), canonical.structure(flow)).empty:
            return
        offered = inventory.read(flow)
    found = lint.lint(
        flow, lint.load_config(names.LINT), previous=previous, inventory=offered, processors=made.processors
    )
    _refuse(found)


def _refuse(findings: Iterable[lint.Finding]) -> None:
    errors = [finding for finding in findings if finding.severity is lint.Severity.error]
    if errors:
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        raise TerminalError(f"lint refuses the flow: {errors[0]}{more}", errors[0].remedy)


def _checked(settings: Settings, made: Version, overrides: Mapping[str, str]) -> Target:
    """The version with the environment's values, after lint. Raises TerminalError before anything is touched."""
    values = _resolved(settings, made.flow, overrides) | {_VERSION: made.name}
    _refuse(lint.lint(made.flow, lint.load_config(names.LINT), processors=made.processors))
    declared = parameters(made.flow)
    shown = {name: value for name, value in values.items() if not declared[name].get("sensitive")}
    record = Deployed(
        version=made.name,
        code=made.code,
        environment=settings.environment,
        values=shown,
        overrides=dict(overrides),
        commit=_head(),
        by=_who(),
        at=now(),
    )
    return Target(made, values, record)


def _resolved(settings: Settings, flow: Mapping[str, Any], overrides: Mapping[str, str]) -> dict[str, str]:
    declared = parameters(flow)
    unknown = sorted(set(overrides) - set(declared))
    if unknown:
        raise TerminalError(f"the flow has no parameter {', '.join(unknown)}", f"it has {', '.join(sorted(declared))}")
    places = {"kafka": settings.kafka, "registry": settings.registry, "source": settings.source}
    environment = environments.resolve(
        environments.load(names.ENVIRONMENTS),
        settings.environment,
        places,
        declared,
        given=(_VERSION, *overrides),
        secrets=settings.secrets / _SECRETS,
    )
    return {**environment.values, **overrides}


def _merged(settings: Settings, overrides: Mapping[str, str | None]) -> dict[str, str]:
    known = deployed(settings)
    merged = {**(known.overrides if known else {}), **overrides}
    return {name: value for name, value in merged.items() if value is not None}


def _deployed(settings: Settings) -> Deployed:
    known = deployed(settings)
    if known is None:
        raise TerminalError("nothing was deployed yet", "./scripts/run, or ./scripts/pipeline flow deploy")
    return known


def _stored(settings: Settings, entry: Deployed) -> Version:
    return version.stored(folder(settings), entry.version, entry.code)


def _group() -> str:
    group = canvas.find_group(names.FLOW_NAME)
    if group is None:
        raise TerminalError(f"flow {names.FLOW_NAME} is not on the canvas", "./scripts/run deploys it")
    return group


def _ledger(settings: Settings) -> Ledger:
    return Ledger(folder(settings))


def _site(settings: Settings) -> LocalSite:
    return LocalSite(settings, credentials.ensure(settings.secrets))


def _head() -> str | None:
    try:
        return version.commit(Path(ROOT), "HEAD")
    except TerminalError:
        return None


def _who() -> str:
    return os.environ.get("PIPELINE_ACTOR") or getpass.getuser()
