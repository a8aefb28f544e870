"""`status`: the engines, the flow and the consumer as they are now."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass

import typer
from rich.table import Table

from nifi_flows.errors import PipelineError
from nifi_flows.pipeline import USERS
from scripts.commands import console
from scripts.observe import consumer, pull_run, usage
from scripts.stack import configuration, stack
from scripts.stack.engine import Engine
from scripts.stack.stack import Stack


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
    made = stack.running(configuration.load())
    with ThreadPoolExecutor(len(made.engines)) as pool:
        engines = list(pool.map(lambda engine: _ask(made, engine), made.engines))
    flow = _flow(made)
    if output == console.Output.json:
        console.print_json({"engines": [asdict(engine) for engine in engines], "flow": flow})
    else:
        _print(engines, flow)
    left_out = {engine.name for engine in made.engines if engine.optional}
    if not all(engine.ready or (engine.state == "stopped" and engine.engine in left_out) for engine in engines):
        raise typer.Exit(console.TRANSIENT_EXIT)


def _ask(made: Stack, engine: Engine) -> EngineStatus:
    state = made.supervisor.state(engine.name)
    try:
        ready, detail = True, engine.ready()
    except Exception as error:  # noqa: BLE001 - whatever a client raises is the reason to show
        ready, detail = False, (str(error).splitlines() or [repr(error)])[0][:120]
    pid = made.supervisor.pid(engine.name)
    return EngineStatus(
        engine.name,
        state.lower(),
        ready,
        detail,
        usage.memory(pid),
        made.supervisor.uptime(engine.name),
        engine.address,
    )


def _flow(made: Stack) -> dict[str, object]:
    try:
        state = pull_run.read(made.nifi, USERS)
        return {**asdict(state), "summary": pull_run.describe(state), "lag": consumer.lag(made.settings, USERS)}
    except PipelineError as error:
        return {"summary": str(error)}


def _print(engines: list[EngineStatus], flow: dict[str, object]) -> None:
    table = Table("engine", "state", "ready", "memory", "up", "address", "says", box=None, pad_edge=False)
    for column in table.columns:
        column.overflow = "fold"  # an address that is cut short opens nothing
    for engine in engines:
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
    total = sum(engine.memory for engine in engines)
    console.out.print(f"\nmemory in all: {total / 1024**3:.1f} GiB")
    lag = f"; {flow['lag']} frames not yet consumed" if "lag" in flow else ""
    console.out.print(f"flow users: {flow['summary']}{lag}", markup=False)
