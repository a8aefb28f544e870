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
    settings = configuration.load()
    login = credentials.load(settings.secrets)
    if login is None or not login.airflow_password:
        raise TransientError("no password for Airflow has been made", "start the stack with ./scripts/run")
    if password:
        typer.echo(login.airflow_password)
        return
    running = Supervisor(settings).state("airflow-api") == "RUNNING"
    console.out.print(f"Airflow {'runs' if running else 'does not run'} at {engine.url(settings)}")
    console.out.print(f"  user      {engine.USER}")
    console.out.print(f"  password  ./scripts/pipeline airflow --password, from {engine.passwords(settings)}")
