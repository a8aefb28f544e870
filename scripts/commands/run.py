"""`run`: from nothing to rows in Cassandra; run again, it changes nothing and says what is there."""

import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated
from urllib.parse import urlsplit

import typer
from rich.table import Table

from nifi_flows import connection, hold
from nifi_flows.errors import TerminalError, TransientError
from nifi_flows.pipeline import USERS
from scripts.commands import console
from scripts.commands.cqlsh import cqlsh_output
from scripts.observe import consumer, pull_run, rows, totals
from scripts.observe.pull_run import PullRun
from scripts.stack import configuration, flows, settings, site, stack
from scripts.stack.engines import cassandra
from scripts.stack.probe import check_source
from scripts.stack.provision import provision
from scripts.stack.stack import Stack

_FIRST_ROW = 120  # seconds from the deploy to the first row before we say that something is wrong
_RESTART = 120  # seconds that an engine may be away while we watch
_SAMPLE = (
    "SELECT first_name, last_name, email_domain, age, age_group, country_code, region, source "
    f"FROM {USERS.table} LIMIT 5"
)


def run(
    source: Annotated[
        str | None, typer.Option(help="URL of a randomuser.me-like API, or 'embedded' for our own.")
    ] = None,
    seed: Annotated[str | None, typer.Option(help="Seed of the pull run; a new seed is a new run.")] = None,
    pages: Annotated[int | None, typer.Option(min=0, help="Pages to pull; 0 goes on for ever.")] = None,
    page_size: Annotated[int | None, typer.Option(min=1, max=5000, help="Users a page.")] = None,
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
    begun = time.monotonic()
    configured = configuration.load()
    wanted = _run_parameters(source, seed, pages, page_size, interval)
    if source not in (None, "embedded"):
        check_source(str(wanted["source.url"]))
    made, written = stack.prepare(configured, USERS, invalid_share)
    if not site.placed(configured):
        site.place(configured, flows.make(configured))  # a NiFi that starts with it need not be restarted
    with _undone_on_failure(made):
        stack.start(made, written.launches)
        _start_engines(made)
        _step("Deploying the flow")
        with connection.connected(made.nifi):
            connection.allow_deploying()
        _deploy(configured, wanted)
        _watch(made, begun)
        if airflow:
            _start_airflow(made)
    _show(made)


def _deploy(configured: settings.Settings, wanted: Mapping[str, str | None]) -> None:
    """A flow that somebody else holds stays as it is; the stack runs all the same."""
    holder = flows.held(configured)
    if holder is not None and holder.who != hold.whoever() and not wanted:
        _say(f"not deployed, since {holder.who} holds it: {holder.why}")
    elif not flows.deploy(configured, overrides=wanted, report=_say).changes:
        _say("nothing to change")


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


@contextmanager
def _undone_on_failure(made: Stack) -> Iterator[None]:
    """Stop what this command started when it fails or is interrupted; a stack that ran before is left alone."""
    was_running = made.supervisor.running()
    try:
        yield
    except BaseException:
        if not was_running:
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_IGN)  # a second Ctrl-C must not stop the cleaning up
            console.err.print("Stopping what was started")
            made.supervisor.stop()
        raise


def _start_engines(made: Stack) -> None:
    """NiFi takes longest to start and the consumer needs what is provisioned: so the two start beside each other."""
    _step("Starting the engines")
    others = [e.name for e in made.engines if e.name not in ("nifi", "consumer") and not e.optional]
    stack.start_engines(made, ["nifi", *others])
    stack.wait_ready(made, others, _report)
    provision(made, USERS)
    stack.start_engines(made, ["consumer"])
    stack.wait_ready(made, ["nifi"], _report)


def _start_airflow(made: Stack) -> None:
    """After the rows, which would have to wait for it on a small machine."""
    _step("Starting Airflow")
    started = [engine.name for engine in made.engines if engine.optional]
    stack.start_engines(made, started)
    stack.wait_ready(made, started, _report)


def _watch(made: Stack, begun: float) -> None:
    """Wait for the first row, then for a finite run to arrive in full, saying how far it is."""
    deadline = time.monotonic() + _FIRST_ROW
    with cassandra.session(made.settings, made.credentials) as session:
        arrived = rows.any_row(session, USERS)
        stack.wait_ready(made, ["consumer"], _report)
        _step("Waiting for rows")
        shown = ""
        for run, lag in _polled(made):
            if not arrived and rows.any_row(session, USERS):
                arrived = True
                console.err.print(f"  first row after {time.monotonic() - begun:.0f} s")
            if arrived and (run.pages == 0 or (pull_run.at_rest(run) and lag == 0)):
                return
            if not arrived and time.monotonic() > deadline:
                raise TransientError(
                    f"no row after {_FIRST_ROW} s: {pull_run.describe(run)}, {lag} frames not yet consumed",
                    "./scripts/pipeline logs nifi, ./scripts/pipeline logs consumer",
                )
            line = f"  {pull_run.describe(run)}, {lag} frames not yet consumed"
            if line != shown:
                console.err.print(line)
                shown = line


def _polled(made: Stack) -> Iterator[tuple[PullRun, int]]:
    """The pull run and the consumer's lag, once a second; an engine that restarts meanwhile gets time to come back."""
    deadline = time.monotonic() + _RESTART
    while True:
        try:
            polled = pull_run.read(made.nifi, USERS), consumer.lag(made.settings, USERS)
        except TransientError:
            if time.monotonic() > deadline:
                raise
        else:
            deadline = time.monotonic() + _RESTART
            yield polled
        time.sleep(1)


def _show(made: Stack) -> None:
    engines = Table("engine", "address", title="Running", title_justify="left", box=None, pad_edge=False)
    for engine in made.engines:
        if not engine.optional or (engine.ports and made.supervisor.state(engine.name) == "RUNNING"):
            engines.add_row(engine.title, engine.address)
    console.out.print(engines)
    console.out.print()
    counts = Table("hop", "count", title="Counts", title_justify="left", box=None, pad_edge=False)
    with cassandra.session(made.settings, made.credentials) as session:
        for hop, count in totals.read(made.settings, session, USERS).items():
            counts.add_row(hop, f"{count:,}")
    console.out.print(counts)
    console.out.print(f"\nA few rows of {USERS.keyspace}.{USERS.table}", style="italic")
    console.out.print(cqlsh_output(made.settings, _SAMPLE))
    console.out.print(
        "Look further\n"
        "  ./scripts/pipeline audit              prove that every user is a row or a dead letter\n"
        "  ./scripts/pipeline cqlsh              ask Cassandra; scripts/inspect.cql holds queries worth running\n"
        "  ./scripts/pipeline status             the engines and the flow now; logs ENGINE for what they say\n"
        "  ./scripts/pipeline flow status        what is deployed, and whether it is still what runs\n"
        "  ./scripts/pipeline airflow            who watches the pipeline, and how to log in there\n"
        "  ./scripts/run --seed another          pull other users; --invalid-share 0.02 breaks some of them\n"
        "Stop\n"
        "  ./scripts/pipeline down               keeps the data; --wipe removes it",
        markup=False,
    )


def _say(line: str) -> None:
    console.err.print(f"  {USERS.name}: {line}", markup=False)


def _step(text: str) -> None:
    console.err.print(text, style="bold")


def _report(engine: str, state: str) -> None:
    console.err.print(f"  {engine}: {state}", markup=False)
