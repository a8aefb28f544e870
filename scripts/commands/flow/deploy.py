"""`flow deploy`, `flow redeploy` and `flow rollback`: bring a version onto NiFi, or back."""

from typing import TYPE_CHECKING, Annotated

import typer

from scripts.commands import console
from scripts.stack import configuration

if TYPE_CHECKING:
    from nifi_flows.deploy import Deployment


def deploy(
    revision: Annotated[
        str | None, typer.Option(help="Git revision to deploy; without it, the files as they are.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and do nothing.")] = False,
) -> None:
    """Deploy flow, processors and schemas as one version; whatever goes wrong, what ran before runs again.

    Exits with 75 when somebody else deploys, a queue does not drain or an engine is away: then try again.
    """
    from scripts.stack import flows

    configured = configuration.load()
    if dry_run:
        planned = flows.plan(configured, revision=revision)
        for line in planned.lines() or ["nothing to change"]:
            console.out.print(line, markup=False)
        if planned.change is not None and not planned.change.empty:
            console.out.print(planned.change.as_text(), markup=False)
        return
    _tell(flows.deploy(configured, revision=revision, report=_say))


def redeploy() -> None:
    """Make run again what was deployed: what was changed on the canvas is saved, stopped parts are started."""
    from scripts.stack import flows

    _tell(flows.redeploy(configuration.load(), report=_say))


def rollback() -> None:
    """Deploy the version that ran before the present one; flow, processors and schemas."""
    from scripts.stack import flows

    _tell(flows.rollback(configuration.load(), report=_say))


def _say(line: str) -> None:
    console.err.print(f"  {line}", markup=False)


def _tell(done: "Deployment") -> None:
    if not done.changes:
        console.out.print(f"Version {done.version} runs; nothing to change")
        return
    stopped = f", the flow stood still for {done.stopped:.1f} s" if done.stopped else ""
    console.out.print(f"Version {done.version} runs after {done.seconds:.1f} s{stopped}")
