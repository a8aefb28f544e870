"""`cqlsh`: Cassandra's shell, logged in, on the pipeline's keyspace."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from nifi_flows.errors import TransientError
from nifi_flows.pipeline import USERS, Pipeline
from scripts.stack import configuration
from scripts.stack.engines import cassandra
from scripts.stack.settings import LOOPBACK, Settings


def cqlsh(
    execute: Annotated[str | None, typer.Option("--execute", "-e", help="Run this statement and leave.")] = None,
    file: Annotated[
        Path | None, typer.Option("--file", "-f", exists=True, dir_okay=False, help="Run this file and leave.")
    ] = None,
) -> None:
    """Open cqlsh on keyspace spark_streams, or run a statement or a file."""
    settings = configuration.load()
    arguments = ["-e", execute] if execute is not None else ["-f", str(file)] if file is not None else []
    command = _command(settings, USERS)
    os.execve(command[0], command + arguments, _environment())


def cqlsh_output(settings: Settings, pipeline: Pipeline, statement: str) -> str:
    """What cqlsh prints for one statement on the pipeline's keyspace. Raises TransientError when it fails."""
    done = subprocess.run(
        [*_command(settings, pipeline), "-e", statement],
        capture_output=True,
        text=True,
        env=_environment(),
        check=False,
    )
    if done.returncode:
        raise TransientError(f"cqlsh: {done.stderr.strip().splitlines()[-1:]}", "./scripts/pipeline logs cassandra")
    return done.stdout.strip("\n")


def _command(settings: Settings, pipeline: Pipeline) -> list[str]:
    credentials = settings.secrets / "cqlsh_credentials"
    if not credentials.exists():
        raise TransientError("Cassandra has not been set up yet", "start with ./scripts/run")
    shell = str(Path(sys.executable).with_name("cqlsh"))
    options = ["--credentials", str(credentials), "-u", cassandra.ROLE, "-k", pipeline.keyspace]
    return [shell, *options, "--connect-timeout", "10", LOOPBACK, str(settings.port(cassandra.PORT))]


def _environment() -> dict[str, str]:
    """Without a cqlshrc of the user's: it could name another host or login."""
    return {**os.environ, "CQLSH_NO_BUNDLED": "true", "PYTHONWARNINGS": "ignore"}
