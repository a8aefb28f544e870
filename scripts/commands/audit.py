"""`audit`: prove from the engines themselves that every user is a row or a dead letter."""

from dataclasses import asdict
from typing import TYPE_CHECKING

import typer
from rich.table import Table

from nifi_flows.pipeline import USERS
from scripts.commands import console
from scripts.stack import configuration

if TYPE_CHECKING:
    from scripts.audit.judge import Audit


def audit(output: console.OutputOption = console.Output.text) -> None:
    """Count users at each hop and hold the hops against each other; exits with 1 when they don't add up.

    Waits up to a minute for records under way; exits with 75 when some still are, as in a run without an end.
    """
    from scripts.audit.collect import collect

    found = collect(configuration.load(), USERS)
    if output == console.Output.json:
        console.print_json(asdict(found))
    else:
        _print(found)
    if found.findings:
        raise typer.Exit(1)


def _print(found: "Audit") -> None:
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
