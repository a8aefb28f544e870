"""What `run` does: prepare the stack, start its engines, deploy the flow and watch until rows are there."""

import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial

from rich.table import Table

from nifi_flows import connection, hold, version
from nifi_flows.errors import TerminalError, TransientError
from nifi_flows.pipeline import Pipeline
from scripts.commands import console
from scripts.commands.cqlsh import cqlsh_output
from scripts.deployment import local_nifi, service, state
from scripts.deployment.context import Context
from scripts.observe import consumer, engines, pull_run, rows, totals
from scripts.observe.pull_run import RunState
from scripts.stack.engines import cassandra, kafka, watch
from scripts.stack.provision import provision
from scripts.stack.settings import Settings
from scripts.stack.stack import Stack, prepare, start, start_engines, wait_ready
from scripts.stack.supervise import Supervisor

_FIRST_ROW = 120  # seconds from the deploy to the first row before we say that something is wrong
_ANSWER = 5.0  # seconds that Kafka gets for an answer before anything is done
_RESTART = 120  # seconds that an engine may be away while we watch
_SHOWN = "first_name, last_name, email_domain, age, age_group, country_code, region, source"


def bring_up(
    settings: Settings,
    pipeline: Pipeline,
    wanted: Mapping[str, str | None],
    invalid_share: float | None,
    *,
    airflow: bool,
) -> None:
    """From whatever is there to rows in Cassandra, saying each step.

    wanted: the flow's parameters that the user named; None ends one. invalid_share: of the embedded source's users to
    break, None leaves it as it is. airflow: whether to start it, too. Raises PipelineError; what was started by then is
    stopped again.
    """
    begun = time.monotonic()
    if Supervisor(settings).state("kafka") == "RUNNING":  # before its consumer gets what it can't have
        with suppress(TransientError):
            kafka.check_partitions(settings, pipeline, _ANSWER)
    stack, configuration = prepare(settings, pipeline, invalid_share)
    context = Context(settings, pipeline, partial(_say, pipeline))
    if not local_nifi.placed(settings):
        # A NiFi that starts with them need not be restarted.
        local_nifi.place(settings, version.make(pipeline, context.folder))
    with _undone_on_failure(stack):
        start(stack, configuration.launches)
        _start_engines(stack, pipeline)
        _step("Deploying the flow")
        with connection.connected(stack.nifi):
            connection.allow_deploying()
        _deploy(context, wanted)
        _watch(stack, pipeline, begun)
        _start_watching(stack, airflow=airflow)
    _show(stack, pipeline)


def _deploy(context: Context, wanted: Mapping[str, str | None]) -> None:
    """A flow that somebody else holds stays as it is; the stack runs all the same."""
    holder = state.held(context)
    if holder is not None and holder.who != hold.whoever() and not wanted:
        context.report(f"not deployed, since {holder.who} holds it: {holder.why}")
    elif not service.deploy(context, overrides=wanted).changes:
        context.report("nothing to change")


@contextmanager
def _undone_on_failure(stack: Stack) -> Iterator[None]:
    """Stop what this command started when it fails or is interrupted; a stack that ran before is left alone."""
    was_running = stack.supervisor.running()
    try:
        yield
    except BaseException:
        if not was_running:
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_IGN)  # a second Ctrl-C must not stop the cleaning up
            console.err.print("Stopping what was started")
            stack.supervisor.stop()
        raise


def _start_engines(stack: Stack, pipeline: Pipeline) -> None:
    """NiFi takes longest to start and the consumer needs what is provisioned: so the two start beside each other."""
    _step("Starting the engines")
    others = [e.name for e in stack.engines if e.name not in ("nifi", "consumer", watch.NAME) and not e.optional]
    start_engines(stack, ["nifi", *others])
    wait_ready(stack, others, _report)
    provision(stack, pipeline)
    start_engines(stack, ["consumer"])
    wait_ready(stack, ["nifi"], _report)


def _start_watching(stack: Stack, *, airflow: bool) -> None:
    """After the rows, which would have to wait for it on a small machine."""
    _step("Starting Airflow" if airflow else "Starting the liveness watch")
    started = [watch.NAME, *(engine.name for engine in stack.engines if engine.optional and airflow)]
    start_engines(stack, started)
    wait_ready(stack, started, _report)


def _watch(stack: Stack, pipeline: Pipeline, begun: float) -> None:
    """Wait for the first row, then for a finite run to arrive in full, saying how far it is."""
    deadline = time.monotonic() + _FIRST_ROW
    with cassandra.session(stack.settings, stack.credentials) as session:
        arrived = rows.any_row(session, pipeline)
        wait_ready(stack, ["consumer"], _report)
        _step("Waiting for rows")
        shown, stopped = "", False
        for run, lag, down in _polled(stack, pipeline):
            if down in engines.DOWN:
                why = engines.error(stack.settings, "consumer") or "see its log"
                raise TerminalError(
                    f"the consumer has ended: {why}", "mend that (./scripts/pipeline logs consumer), then run again"
                )
            if not arrived and rows.any_row(session, pipeline):
                arrived = True
                console.err.print(f"  first row after {time.monotonic() - begun:.0f} s")
            if arrived and (run.pages == 0 or (pull_run.at_rest(run) and lag == 0)):
                return
            if down:  # somebody has stopped it, and may need longer than a row does
                deadline = time.monotonic() + _FIRST_ROW
                if not stopped:
                    console.err.print("  the consumer is stopped: ./scripts/pipeline consumer start")
            stopped = bool(down)
            if not arrived and time.monotonic() > deadline:
                raise TransientError(
                    f"no row after {_FIRST_ROW} s: {pull_run.describe(run)}, {lag} frames not yet consumed",
                    "./scripts/pipeline logs nifi, ./scripts/pipeline logs consumer",
                )
            line = f"  {pull_run.describe(run)}, {lag} frames not yet consumed"
            if line != shown:
                console.err.print(line)
                shown = line


def _polled(stack: Stack, pipeline: Pipeline) -> Iterator[tuple[RunState, int, str]]:
    """The pull run, the consumer's lag and how it is down (see `Supervisor.down`), once a second.

    An engine that restarts meanwhile, or a supervisor that does not answer, gets time to come back.
    """
    deadline = time.monotonic() + _RESTART
    while True:
        try:
            run, lag = pull_run.read(stack.nifi, pipeline), consumer.unfinished(stack.settings, pipeline)
            down = stack.supervisor.down("consumer")
        except TransientError:
            if time.monotonic() > deadline:
                raise
        else:
            deadline = time.monotonic() + _RESTART
            yield run, lag, down
        time.sleep(1)


def _show(stack: Stack, pipeline: Pipeline) -> None:
    running = Table("engine", "address", title="Running", title_justify="left", box=None, pad_edge=False)
    for engine in stack.engines:
        if not engine.optional or (engine.ports and stack.supervisor.state(engine.name) == "RUNNING"):
            running.add_row(engine.title, engine.address)
    console.out.print(running)
    console.out.print()
    counts = Table("hop", "count", title="Counts", title_justify="left", box=None, pad_edge=False)
    with cassandra.session(stack.settings, stack.credentials) as session:
        for hop, count in totals.read(stack.settings, session, pipeline).items():
            counts.add_row(hop, f"{count:,}")
    console.out.print(counts)
    console.out.print(f"\nA few rows of {pipeline.table_name}", style="italic")
    console.out.print(cqlsh_output(stack.settings, pipeline, f"SELECT {_SHOWN} FROM {pipeline.table} LIMIT 5"))
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


def _say(pipeline: Pipeline, line: str) -> None:
    console.err.print(f"  {pipeline.name}: {line}", markup=False)


def _step(text: str) -> None:
    console.err.print(text, style="bold")


def _report(engine: str, state: str) -> None:
    console.err.print(f"  {engine}: {state}", markup=False)
