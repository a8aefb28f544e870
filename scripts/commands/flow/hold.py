"""`flow hold` and `flow release`: keep everybody else from deploying the flow while somebody works on it."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from nifi_flows import hold as holds
from scripts.commands import console
from scripts.stack import configuration


def hold(
    why: Annotated[str, typer.Option(help="What you are doing, in one line; status and Airflow show it.")],
) -> None:
    """Hold the flow: until it is released nobody else deploys, and Airflow heals nothing."""
    held = holds.hold(_file(), holds.whoever(), why, datetime.now(UTC))
    console.out.print(
        f"{held.who} holds the flow users since {held.since:%Y-%m-%d %H:%M} UTC: {held.why}", markup=False
    )
    console.out.print("Release it with ./scripts/pipeline flow release", markup=False)


def release() -> None:
    """Release the flow, whoever holds it."""
    ended = holds.release(_file())
    if ended is None:
        console.out.print("Nobody holds the flow users")
    else:
        console.out.print(
            f"Released the flow users, held by {ended.who} since {ended.since:%Y-%m-%d %H:%M} UTC: {ended.why}",
            markup=False,
        )


def _file() -> Path:
    return configuration.load().flows / "users" / "hold.json"
