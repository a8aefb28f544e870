"""`airflow`: where Airflow's UI is and how to log in."""

from typing import Annotated

import typer

from nifi_flows.errors import TransientError
from scripts.commands import console
from scripts.stack import configuration, credentials
from scripts.stack.engines import airflow as engine
from scripts.stack.supervise import Supervisor


def airflow(
    password: Annotated[bool, typer.Option("--password", help="Print the password, and nothing else.")] = False,
) -> None:
    """Show the address of Airflow's UI and who logs in there."""
    configured = configuration.load()
    made = credentials.load(configured.secrets)
    if made is None or not made.airflow_password:
        raise TransientError("no password for Airflow has been made", "start the stack with ./scripts/run")
    if password:
        typer.echo(made.airflow_password)
        return
    running = Supervisor(configured).state("airflow-api") == "RUNNING"
    console.out.print(f"Airflow {'runs' if running else 'does not run'} at {engine.url(configured)}")
    console.out.print(f"  user      {engine.USER}")
    console.out.print(f"  password  ./scripts/pipeline airflow --password, from {engine.passwords(configured)}")
