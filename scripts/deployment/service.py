"""Deploy a pipeline's flow on this machine's NiFi, again or back: what the command line and Airflow both call."""

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from nifi_flows import deploy as deploys
from nifi_flows import hold, version
from nifi_flows import plan as plans
from nifi_flows.deploy import Deployment
from nifi_flows.desired_state import DesiredState
from nifi_flows.errors import TerminalError, TransientError
from nifi_flows.ledger import Deployed
from nifi_flows.pipeline import Pipeline
from nifi_flows.plan import Plan
from nifi_flows.version import Version
from scripts.deployment import desired, local_nifi, seals, state
from scripts.deployment.attempt import Attempt, attempt
from scripts.deployment.checks import refuse_held, refuse_lost, refuse_unfit
from scripts.deployment.context import Context
from scripts.deployment.edits import save_edit

_START = 240.0  # seconds that NiFi may take to answer


def plan(context: Context, *, revision: str | None = None) -> Plan:
    """What `deploy` would do. Changes nothing; raises what `deploy` raises before it touches anything."""
    refuse_held(context)
    if busy := state.deploying(context):
        raise TransientError(f"{busy} deploys now", "try again when it is done")
    known = state.deployed(context)
    # Stored apart: what NiFi has loaded must stay as it is.
    with _files(context.pipeline, revision) as files, tempfile.TemporaryDirectory(prefix="plan-") as store:
        candidate = version.make(files, Path(store))
        wanted = desired.from_files(context, files, candidate, {}, version.source_of(context.pipeline.tree, revision))
        refuse_lost(context)
        refuse_unfit(context, candidate)
        planned = plans.plan(wanted, local_nifi.of(context))
    edited = known is not None and known.code == candidate.code and _edited(context, known)
    return replace(planned, reload=planned.reload or edited)


def deploy(
    context: Context, *, revision: str | None = None, overrides: Mapping[str, str | None] | None = None
) -> Deployment:
    """Deploy the pipeline's source tree, or a git revision of it. Deploying what runs changes nothing.

    overrides: values that go before the environment's until they are given anew; None ends one. Raises TerminalError
    when it cannot run, is held or does not verify, and then what ran before runs again; TransientError when somebody
    else deploys, a queue does not drain, or an engine stays away.
    """
    with attempt(context, "deploy") as under_way, _files(context.pipeline, revision) as files:
        candidate = version.make(files, context.folder)
        under_way.version = candidate.name
        source = version.source_of(context.pipeline.tree, revision)
        return _bring(context, desired.from_files(context, files, candidate, overrides or {}, source), under_way)


def redeploy(context: Context) -> Deployment:
    """Make run again what was deployed, as it was. Raises as `deploy`, and when nothing was deployed."""
    with attempt(context, "redeploy") as under_way:
        entry = state.require_deployed(context)
        return _again(context, entry, entry.overrides, under_way)


def rollback(context: Context) -> Deployment:
    """Deploy the version that ran before the present one; a pull run that was asked for goes on.

    Raises as `deploy`, and when there was none.
    """
    with attempt(context, "rollback") as under_way:
        known = context.ledger.state()
        if known.previous is None or known.deployed is None:
            raise TerminalError(
                "there is no version before the present one", "./scripts/pipeline flow deploy --revision REV"
            )
        return _again(context, known.previous, known.deployed.overrides, under_way)


@dataclass(frozen=True)
class _Permission:
    """See `host.Permission`: nobody else deploys or holds the flow; and what is on the canvas is saved before."""

    context: Context
    attempt: Attempt
    wanted: Version
    saved: list[Path] = field(default_factory=list)

    def may_continue(self) -> None:
        self.attempt.lease.check()

    def may_replace(self) -> None:
        self.attempt.lease.check()
        refuse_held(self.context)
        edit = save_edit(self.context, self.wanted)
        if edit is not None and edit not in self.saved:
            self.saved.append(edit)
            self.context.report(f"saved what was changed on the canvas: {edit}")


def _bring(context: Context, wanted: DesiredState, under_way: Attempt) -> Deployment:
    ledger, nifi = context.ledger, local_nifi.of(context)
    if ledger.state().unfinished:
        nifi.awake(_START)  # its deploy may have ended while NiFi was stopped
    refuse_lost(context)
    refuse_unfit(context, wanted.version)
    permission = _Permission(context, under_way, wanted.version)
    permission.may_replace()
    before = seals.keep(context, wanted)
    done = deploys.deploy(wanted, nifi, ledger, permission, context.report, what=under_way.what, secrets=before)
    if context.settings.durable:
        os.sync()  # NiFi and the registry do not wait for the disk with the flow and the schemas
    known = ledger.state()
    entries = [entry for entry in (known.deployed, known.previous) if entry is not None]
    version.prune(context.folder, [Version(entry.version, entry.code, context.folder) for entry in entries])
    return done


def _again(context: Context, entry: Deployed, overrides: Mapping[str, str], under_way: Attempt) -> Deployment:
    """Bring back what the ledger knows, with its values but these."""
    under_way.version = entry.version
    wanted = desired.from_ledger(context, entry, _restored(context, entry), overrides)
    done = _bring(context, wanted, under_way)
    if not done.changes:  # a guard has to know that it was tried, and that it mends nothing
        context.ledger.note_done(under_way.what, hold.whoever(), entry.version, "nothing to change")
    return done


def _restored(context: Context, entry: Deployed) -> Version:
    """A stored version, made anew from its sources where the files that NiFi loads were changed."""
    kept = state.stored(context, entry)
    changed = version.changed_files(kept)
    if not changed:
        return kept
    for revision in (None, entry.commit):
        with suppress(TerminalError), _files(context.pipeline, revision) as files:
            if version.name_of(files) == entry.version:
                return version.make(files, context.folder)
    raise TerminalError(
        f"processor file {changed[0]} was changed, and the sources of version {entry.version} are gone",
        "./scripts/pipeline flow deploy brings the version of the files as they are",
    )


def _edited(context: Context, entry: Deployed) -> bool:
    """Whether the files that NiFi loads are not as they were made."""
    return bool(version.changed_files(state.stored(context, entry)))


@contextmanager
def _files(pipeline: Pipeline, revision: str | None) -> Iterator[Pipeline]:
    """The pipeline as its source tree declares it, or a revision of that."""
    if revision is None:
        yield pipeline
        return
    with version.at_revision(pipeline.tree, revision) as tree:
        yield pipeline.within(tree)
