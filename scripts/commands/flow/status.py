"""`flow status` and `flow drift`: what is deployed, who holds it, and whether it is still what runs."""

from dataclasses import asdict

import typer
from rich.table import Table

from nifi_flows.errors import PipelineError
from scripts.commands import console
from scripts.stack import configuration, settings

_EVENTS = 5  # of the history


def status(output: console.OutputOption = console.Output.text) -> None:
    """Show the deployed version, who holds the flow or deploys it, what differs and what happened last."""
    from scripts.stack import flows

    configured = configuration.load()
    deployed, unfinished = flows.deployed(configured), flows.unfinished(configured)
    held, deploying = flows.held(configured), flows.deploying(configured)
    history = flows.history(configured)[-_EVENTS:]
    drift, unknown = _drift(configured) if deployed else ([], "")
    if output == console.Output.json:
        console.print_json(
            {
                "deployed": deployed and asdict(deployed),
                "unfinished": unfinished and asdict(unfinished),
                "held": held and asdict(held),
                "deploying": str(deploying) if deploying else None,
                "drift": None if unknown else drift,
                "history": [asdict(event) for event in history],
            }
        )
        return
    facts = Table(show_header=False, box=None, pad_edge=False)
    if deployed:
        facts.add_row("version", deployed.version)
        facts.add_row("deployed", f"{deployed.at} by {deployed.by}, environment {deployed.environment}")
        facts.add_row("from", deployed.source or "files in no git")
    else:
        facts.add_row("version", "none was deployed yet")
    if unfinished:
        facts.add_row(
            "unfinished", f"{unfinished.version}, begun {unfinished.at} by {unfinished.by}; the next deploy ends it"
        )
    if held:
        facts.add_row("held", f"by {held.who} since {held.since:%Y-%m-%d %H:%M} UTC: {held.why}")
    if deploying:
        facts.add_row("deploying", f"{deploying} since {deploying.since:%H:%M:%S} UTC")
    facts.add_row("drift", unknown or (f"{len(drift)}, see ./scripts/pipeline flow drift" if drift else "none"))
    console.out.print(facts)
    for event in history:
        mark = "" if event.ok else "failed: "
        console.out.print(f"{event.at} {event.what} of {event.version} by {event.by}: {mark}{event.says}", markup=False)


def drift(output: console.OutputOption = console.Output.text) -> None:
    """Say in words what is no longer as it was deployed. Exits with 1 when anything is not."""
    from scripts.stack import flows

    found = flows.drift(configuration.load())
    if output == console.Output.json:
        console.print_json(found)
    else:
        for line in found or ["no drift: what runs is what was deployed"]:
            console.out.print(line, markup=False)
    if found:
        raise typer.Exit(1)


def _drift(configured: settings.Settings) -> tuple[list[str], str]:
    """What differs, or why that is not known."""
    from scripts.stack import flows

    try:
        return flows.drift(configured), ""
    except PipelineError as error:
        return [], f"not known: {error}"
