"""`audit`: prove from the engines themselves that every user is a row or a dead letter."""

import time
from dataclasses import asdict

import typer
from rich.table import Table

from nifi_flows import connection
from nifi_flows.errors import TransientError
from scripts.commands import console
from scripts.stack import audit as sums
from scripts.stack import credentials, hops, settings
from scripts.stack.engines import cassandra
from scripts.stack.names import FLOW_NAME
from scripts.stack.stack import nifi_of
from scripts.stack.supervise import Supervisor

_SETTLE = 60  # seconds that records under way get to arrive


def audit(output: console.OutputOption = console.Output.text) -> None:
    """Count users at each hop and hold the hops against each other; exits with 1 when they don't add up.

    Waits up to a minute for records under way; exits with 75 when some still are, as in a run without an end.
    """
    found = collect(settings.load())
    if output == console.Output.json:
        console.print_json(asdict(found))
    else:
        _print(found)
    if found.findings:
        raise typer.Exit(1)


def collect(configured: settings.Settings) -> sums.Audit:
    """Ask the engines of one stack. Raises TransientError when one does not answer or records stay under way."""
    Supervisor(configured).require()
    made = credentials.require(configured.secrets)
    with (
        connection.connected(nifi_of(configured, made)),
        cassandra.session(configured, made) as session,
    ):
        settle(configured)
        return sums.audit(
            hops.flow(FLOW_NAME),
            hops.receipts(configured),
            hops.frames(configured),
            hops.dead_letters(configured),
            hops.row_keys(session),
        )


def settle(configured: settings.Settings) -> None:
    """Wait until nothing is under way. Needs `connection.connected`; raises TransientError when something stays so."""
    deadline = time.monotonic() + _SETTLE
    while True:
        flow, lag = hops.flow(FLOW_NAME), hops.lag(configured)
        if hops.at_rest(flow) and lag == 0:
            return
        if time.monotonic() > deadline:
            raise TransientError(
                f"records are still under way after {_SETTLE} s: {hops.describe(flow)}, {lag} frames not yet consumed",
                "wait for the run to end, then audit again; ./scripts/pipeline status shows what holds it up",
            )
        time.sleep(1)


def _print(found: sums.Audit) -> None:
    table = Table("hop", "count", box=None, pad_edge=False)
    for hop, count in found.counts.items():
        table.add_row(hop, f"{count:,}")
    console.out.print(table)
    if found.reasons:
        reasons = Table("dead letters by reason", "count", box=None, pad_edge=False)
        for reason, count in found.reasons.items():
            reasons.add_row(reason, f"{count:,}")
        console.out.print()
        console.out.print(reasons)
    console.out.print()
    for finding in found.findings:
        console.out.print(f"wrong: {finding}", markup=False)
    if not found.findings:
        console.out.print("It adds up: every user fetched is a row or a dead letter.")
