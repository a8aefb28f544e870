"""`flow export`: the flow on the canvas as it is kept in git."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from nifi_flows import definition
from nifi_flows.pipeline import USERS
from scripts.commands import console
from scripts.stack import configuration


def export(
    check: Annotated[bool, typer.Option("--check", help="Write nothing; exit with 1 when git's file differs.")] = False,
    output: Annotated[
        Path | None, typer.Option("--to", help="Another file than git's; '-' writes to the terminal.")
    ] = None,
) -> None:
    """Write the flow on the canvas to nifi_flows/users/flow.json: the same bytes as long as nobody changes the flow."""
    from scripts.stack import flows

    place = output or USERS.flow
    text = flows.export(configuration.load())
    if str(place) == "-":
        sys.stdout.write(text)
        return
    same = place.is_file() and definition.text(place) == text
    if same:
        console.out.print(f"{_short(place)} is what is on the canvas", markup=False)
    elif check:
        console.err.print(f"{_short(place)} is not what is on the canvas", markup=False)
        console.err.print("  next: ./scripts/pipeline flow diff shows how, flow export writes it", markup=False)
        raise typer.Exit(1)
    else:
        definition.write(place, text)
        console.out.print(f"wrote {_short(place)}; see ./scripts/pipeline flow diff HEAD {_short(place)}", markup=False)


def _short(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
