"""`down`: stop everything that this clone's stack has started."""

import contextlib
import shutil
from typing import Annotated

import typer

from scripts.commands import console
from scripts.stack import configuration
from scripts.stack.engines import nifi
from scripts.stack.settings import Settings
from scripts.stack.supervise import Supervisor


def down(
    wipe: Annotated[bool, typer.Option("--wipe", help="Remove the data, the logs and the secrets, too.")] = False,
) -> None:
    """Stop the stack. The data stays, unless --wipe removes it; the cache of engines always stays."""
    settings = configuration.load()
    supervisor = Supervisor(settings)
    with console.err.status("Stopping the engines"):
        was_up = supervisor.stop()
    if wipe:
        _wipe(settings)
    console.out.print(("Stopped" if was_up else "Nothing was running") + (", data removed" if wipe else ""))


def _wipe(settings: Settings) -> None:
    """Remove what the stack has made, and nothing that somebody else keeps beside it: PIPELINE_HOME is the user's."""
    processors = nifi.extensions(settings)
    if processors.is_symlink():  # to one of the stored versions
        processors.unlink()
    folders = (settings.conf, settings.data, settings.logs, settings.run, settings.secrets)
    for folder in (*folders, settings.flows, settings.monitor, processors):
        shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(OSError):  # something else is in it
        settings.home.rmdir()
