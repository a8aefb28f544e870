"""`down`: stop everything that this clone's stack has started."""

import shutil
from typing import Annotated

import typer

from scripts.commands import console
from scripts.stack import settings
from scripts.stack.supervise import Supervisor


def down(
    wipe: Annotated[bool, typer.Option("--wipe", help="Remove the data, the logs and the secrets, too.")] = False,
) -> None:
    """Stop the stack. The data stays, unless --wipe removes it; the cache of engines always stays."""
    configured = settings.load()
    supervisor = Supervisor(configured)
    with console.err.status("Stopping the engines"):
        was_up = supervisor.stop()
    if wipe:
        shutil.rmtree(configured.home, ignore_errors=True)
    console.out.print(("Stopped" if was_up else "Nothing was running") + (", data removed" if wipe else ""))
