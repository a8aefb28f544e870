"""What is known of a deployed flow: which version, since when, by whom, and what differs from it. Changes nothing."""

from contextlib import suppress
from datetime import UTC, datetime

from nifi_flows import canonical, canvas, environments, lease, version
from nifi_flows import drift as drifting
from nifi_flows import hold as holds
from nifi_flows.errors import TerminalError
from nifi_flows.hold import Hold
from nifi_flows.ledger import Deployed, Event
from nifi_flows.pipeline import Pipeline
from nifi_flows.version import Version
from scripts.deployment import local_nifi
from scripts.deployment.context import Context


def deployed(context: Context) -> Deployed | None:
    """The version that was deployed and verified last, None before the first deploy."""
    return context.ledger.state().deployed


def require_deployed(context: Context) -> Deployed:
    """As `deployed`; raises TerminalError before the first deploy."""
    known = deployed(context)
    if known is None:
        raise TerminalError("nothing was deployed yet", "./scripts/run, or ./scripts/pipeline flow deploy")
    return known


def unfinished(context: Context) -> Deployed | None:
    """What a deploy has begun to bring up and has not ended, None when there is no such thing."""
    return context.ledger.state().unfinished


def stored(context: Context, entry: Deployed) -> Version:
    """The stored version of an entry of the ledger. Raises TerminalError when it is gone."""
    return version.stored(context.folder, entry.version, entry.code)


def history(context: Context) -> list[Event]:
    """Deploys, redeploys and rollbacks, the oldest first."""
    return context.ledger.history()


def held(context: Context) -> Hold | None:
    """Who holds the flow, so that nothing may be deployed; None when nobody does."""
    return holds.read(context.hold)


def deploying(context: Context) -> lease.LeaseHolder | None:
    """Who deploys at this moment."""
    holder = lease.read(context.lease)
    return holder if holder and lease.ended(holder, datetime.now(UTC)) is None else None


def heals(context: Context) -> bool:
    """Whether the environment allows that the flow is deployed again by itself."""
    return environments.heals(environments.load(context.pipeline.environments), context.settings.environment)


def new_version(context: Context) -> str | None:
    """The version of git's HEAD, when HEAD has moved since the last deploy to another version; else None.

    Commits that change no version say nothing of what was deployed, which may be files that were never committed.
    """
    known, pipeline = deployed(context), context.pipeline
    if known is None or known.commit is None:
        return None
    head = version.commit(pipeline.tree, "HEAD")
    if head == known.commit:
        return None
    name = _version_at(pipeline, head)
    if name == known.version:
        return None
    with suppress(TerminalError):  # the commit may be gone, as after a rebase
        if _version_at(pipeline, known.commit) == name:
            return None
    return name


def drift(context: Context) -> list[str]:
    """In words, what is not as it was deployed; [] when all is. Raises TerminalError when nothing was deployed."""
    known = require_deployed(context)
    return drifting.drift(known, stored(context, known), local_nifi.of(context))


def export(context: Context) -> str:
    """The flow on the canvas in its canonical form, without parameters' values: the text that is kept in git.

    Raises TerminalError when it is not on the canvas.
    """
    name = context.pipeline.name
    with local_nifi.of(context).connected():
        group = canvas.find_group(name)
        if group is None:
            raise TerminalError(f"flow {name} is not on the canvas", "./scripts/run deploys it")
        return canonical.dumps(canonical.structure(canvas.export(group)))


def _version_at(pipeline: Pipeline, commit: str) -> str:
    with version.at_revision(pipeline.tree, commit) as tree:
        return version.name_of(pipeline.within(tree))
