"""`flow hold` and `flow release`: keep everybody else from deploying the flow while somebody works on it."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from nifi_flows import hold as holds
from nifi_flows.hold import Hold
from nifi_flows.pipeline import USERS
from scripts.commands import console
from scripts.deployment.context import Context
from scripts.stack import configuration


def hold(
    why: Annotated[str, typer.Option(help="What you are doing, in one line; status and Airflow show it.")],
) -> None:
    """Hold the flow: until it is released nobody else deploys, and Airflow heals nothing."""
    context = Context(configuration.load(), USERS)
    held = holds.hold(context.hold, holds.whoever(), why, datetime.now(UTC))
    console.out.print(f"{held.who} holds the flow {context.pipeline.name} {_since(held)}", markup=False)
    console.out.print("Release it with ./scripts/pipeline flow release", markup=False)


def release() -> None:
    """Release the flow, whoever holds it."""
    context = Context(configuration.load(), USERS)
    ended, name = holds.release(context.hold), context.pipeline.name
    if ended is None:
        console.out.print(f"Nobody holds the flow {name}")
    else:
        console.out.print(f"Released the flow {name}, held by {ended.who} {_since(ended)}", markup=False)


def _since(hold: Hold) -> str:
    return f"since {hold.since:%Y-%m-%d %H:%M} UTC: {hold.why}"
