"""`run`: from nothing to rows in Cassandra; run again, it changes nothing and says what is there."""

from typing import Annotated
from urllib.parse import urlsplit

import typer

from nifi_flows.errors import TerminalError
from nifi_flows.pipeline import USERS
from nifi_processors.page import MAX_RECORDS
from scripts.stack import configuration


def run(
    source: Annotated[
        str | None, typer.Option(help="URL of a randomuser.me-like API, or 'embedded' for our own.")
    ] = None,
    seed: Annotated[str | None, typer.Option(help="Seed of the pull run; a new seed is a new run.")] = None,
    pages: Annotated[int | None, typer.Option(min=0, help="Pages to pull; 0 goes on for ever.")] = None,
    page_size: Annotated[int | None, typer.Option(min=1, max=MAX_RECORDS, help="Users a page.")] = None,
    interval: Annotated[float | None, typer.Option(min=0, help="Least seconds from page to page.")] = None,
    invalid_share: Annotated[
        float | None, typer.Option(min=0, max=1, help="Part of the embedded source's users to break on purpose.")
    ] = None,
    airflow: Annotated[
        bool, typer.Option("--airflow/--no-airflow", help="Start Airflow, which watches and heals the flow.")
    ] = True,
) -> None:
    """Set up everything, start the engines, deploy the flow and show rows arriving in Cassandra.

    What is not given stays as it is deployed; at first it is the embedded source and 10 pages of 1,000 users.
    """
    configured = configuration.load()
    wanted = _run_parameters(source, seed, pages, page_size, interval)

    from scripts.commands import bring_up
    from scripts.stack.probe import check_source

    if source not in (None, "embedded"):
        check_source(str(wanted["source.url"]))
    bring_up.bring_up(configured, USERS, wanted, invalid_share, airflow=airflow)


def _run_parameters(
    source: str | None,
    seed: str | None,
    pages: int | None,
    page_size: int | None,
    interval: float | None,
) -> dict[str, str | None]:
    """The flow's parameters that the user named; None for what is the environment's again."""
    parameters: dict[str, str | None] = {}
    if source == "embedded":
        parameters |= {"source.url": None, "source.name": None}
    elif source is not None:
        try:
            scheme, host = urlsplit(source).scheme, urlsplit(source).hostname
        except ValueError:  # such as an IPv6 address without its end
            scheme, host = "", None
        if scheme not in ("http", "https") or not host:
            raise TerminalError(f"{source!r} is no HTTP URL", "give one such as https://randomuser.me/api/")
        parameters |= {"source.url": source, "source.name": host}
    for name, value in (
        ("run.seed", seed),
        ("run.pages", pages),
        ("run.page.size", page_size),
        ("run.interval", None if interval is None else f"{round(interval * 1000)} ms"),
    ):
        if value is not None:
            parameters[name] = str(value)
    return parameters
