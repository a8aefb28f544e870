"""`logs`: what an engine says."""

import time
from typing import Annotated

import typer

from nifi_flows.errors import TerminalError
from scripts.stack import configuration
from scripts.stack.stack import tail


def logs(
    engine: Annotated[str, typer.Argument(help="Engine as `status` names it, or supervisor.")],
    lines: Annotated[int, typer.Option(min=1, help="How many of the last lines.")] = 50,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
) -> None:
    """Print the end of an engine's log."""
    folder = configuration.load().logs
    log = folder / f"{engine}.log"
    known = sorted(path.stem for path in folder.glob("*.log"))
    if engine not in known:
        raise TerminalError(
            f"there is no log of {engine!r}", f"there is {', '.join(known)}" if known else "start with ./scripts/run"
        )
    for line in tail(log, lines):
        typer.echo(line)
    if not follow:
        return
    with open(log, errors="replace") as file:
        file.seek(0, 2)
        while True:
            if line := file.readline():
                typer.echo(line, nl=False)
            else:
                time.sleep(0.3)
