"""`status`: the engines, the flow and the consumer as they are now."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import typer
from rich.table import Table

from nifi_flows.errors import PipelineError
from nifi_flows.pipeline import USERS, Pipeline
from nifi_flows.wording import first_line
from scripts.commands import console
from scripts.observe import engines
from scripts.observe.engines import Process
from scripts.observe.gather import Failed, Gathered, ReadStep, Unread, gather
from scripts.stack import configuration, credentials
from scripts.stack.credentials import Credentials
from scripts.stack.engine import Engine
from scripts.stack.engines import describe
from scripts.stack.settings import Settings
from scripts.stack.supervise import Supervisor

_ANSWER = 5.0  # seconds that an engine gets for an answer
_PATIENCE = 15.0  # seconds for all of it


@dataclass(frozen=True)
class EngineStatus:
    """memory: resident bytes of the engine's process group. uptime: seconds. detail: its own answer, or why none."""

    engine: str
    state: str
    ready: bool
    detail: str
    memory: int
    uptime: int
    address: str


def status(output: console.OutputOption = console.Output.text) -> None:
    """Show each engine's state, memory and address, and how far the flow is; exits with 75 unless all are ready."""
    settings = configuration.load()
    Supervisor(settings).require()
    described = describe(settings)
    found, flow = look(settings, credentials.require(settings.secrets), USERS, described)
    if output == console.Output.json:
        console.print_json({"engines": [asdict(engine) for engine in found], "flow": flow})
    else:
        _print(USERS, found, flow)
    left_out = {engine.name for engine in described if engine.optional}
    if not all(engine.ready or (engine.state == "stopped" and engine.engine in left_out) for engine in found):
        raise typer.Exit(console.TRANSIENT_EXIT)


def look(
    settings: Settings, login: Credentials, pipeline: Pipeline, described: Sequence[Engine]
) -> tuple[list[EngineStatus], dict[str, object]]:
    """Each engine, and the flow: `summary` in words, and its figures where they could be read."""
    asks = engines.asks(described, login, _ANSWER)
    processes = {e.name: ReadStep("supervisor", partial(engines.process, settings, e.name)) for e in described}
    run = ReadStep("NiFi", partial(_pull_run, settings, login, pipeline), needed=True)
    progress = ReadStep("Kafka", partial(_progress, settings, pipeline))
    alone: list[ReadStep[Any]] = [*asks.values(), *processes.values()]
    read = gather([[run, progress], *([step] for step in alone)], _PATIENCE)
    found = [_engine(engine, read, asks[engine.name], processes[engine.name]) for engine in described]
    return found, _flow(read, run, progress)


def _pull_run(settings: Settings, login: Credentials, pipeline: Pipeline) -> dict[str, object]:
    # Here, so that the engines are asked meanwhile: NiFi's client takes a second to import.
    from scripts.observe import pull_run
    from scripts.stack.stack import nifi_of

    found = pull_run.read(nifi_of(settings, login), pipeline)
    figures = {name: value for name, value in asdict(found).items() if name != "interval"}
    return {**figures, "summary": pull_run.describe(found)}


def _progress(settings: Settings, pipeline: Pipeline) -> dict[str, object]:
    from scripts.observe import consumer

    found = consumer.positions(settings, pipeline)
    return {"lag": consumer.lag_of(found), "lane": consumer.lane_of(found)}


def _engine(engine: Engine, read: Gathered, asked: ReadStep[str], supervised: ReadStep[Process]) -> EngineStatus:
    answer, process = read.of(asked), read.of(supervised)
    if isinstance(process, Unread):
        process = Process("UNKNOWN", 0, 0)
    ready, detail = (False, _why(engine.name, answer)) if isinstance(answer, Unread) else (True, answer)
    if process.error and not ready:
        detail = process.error
    # supervisord takes one that has just been started for starting, also when it answers already
    state = "running" if ready and process.state == "STARTING" else process.state.lower()
    return EngineStatus(engine.name, state, ready, detail, process.memory, process.uptime, engine.address)


def _flow(read: Gathered, run: ReadStep[dict[str, object]], progress: ReadStep[dict[str, object]]) -> dict[str, object]:
    found, consumed = read.of(run), read.of(progress)
    for step, outcome in ((run, found), (progress, consumed)):
        if isinstance(outcome, Failed) and not isinstance(outcome.error, PipelineError):
            raise outcome.error
        if isinstance(outcome, Unread):
            return {"summary": str(outcome.error) if isinstance(outcome, Failed) else _why(step.name, outcome)}
    assert isinstance(found, dict) and isinstance(consumed, dict)
    return {**found, **consumed}


def _why(name: str, unread: Unread) -> str:
    if isinstance(unread, Failed):
        return first_line(unread.error)
    return f"{name} gave no answer in {_PATIENCE:g} s"


def _print(pipeline: Pipeline, found: list[EngineStatus], flow: dict[str, object]) -> None:
    table = Table("engine", "state", "ready", "memory", "up", "address", "says", box=None, pad_edge=False)
    for column in table.columns:
        column.overflow = "fold"  # an address that is cut short opens nothing
    for engine in found:
        table.add_row(
            engine.engine,
            engine.state,
            "yes" if engine.ready else "no",
            f"{engine.memory / 1024**2:,.0f} MiB",
            f"{engine.uptime} s",
            engine.address,
            engine.detail,
        )
    console.out.print(table)
    total = sum(engine.memory for engine in found)
    console.out.print(f"\nmemory in all: {total / 1024**3:.1f} GiB")
    lag = f"; {flow['lag']} frames not yet consumed" if "lag" in flow else ""
    lane = f"; the consumer's lane is {flow['lane']}" if flow.get("lane") else ""
    console.out.print(f"flow {pipeline.name}: {flow['summary']}{lag}{lane}", markup=False)
