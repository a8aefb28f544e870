"""`source`: what the embedded source does wrong, and telling it to do so or not, while the stack runs."""

from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich.table import Table

from nifi_flows.errors import TerminalError, TransientError
from scripts.commands import console
from scripts.source.behaviour import Behaviour
from scripts.source.faults import FAULTS
from scripts.source.invalid import REASONS
from scripts.stack import configuration
from scripts.stack.engines import source as embedded
from scripts.stack.settings import Settings

_ANY = "invalid"  # users broken in any kind
_KIND = "invalid:"  # before the name of one kind
_LISTED = "./scripts/pipeline source lists what it can do wrong"

app = typer.Typer(name="source", invoke_without_command=True)


@app.callback()
def source(context: typer.Context, output: console.OutputOption = console.Output.text) -> None:
    """Show what the embedded source does wrong, how often, and what else it can; tell it to misbehave or behave."""
    if context.invoked_subcommand is None:
        settings = _settings()
        shown = describe(embedded.address(settings), embedded.behaviour(settings), embedded.stats(settings))
        if output == console.Output.json:
            console.print_json(shown)
        else:
            _print(shown)


@app.command()
def misbehave(
    rates: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME=RATE...",
            help="Faults as 500=0.1: a tenth of the requests for pages. Broken users as invalid=0.02, of all kinds, "
            "or invalid:uuid_null=0.01, of one kind. `source` lists the names.",
        ),
    ],
) -> None:
    """Do just this wrong, from the next request on. What was set before ends.

    Which requests fail depends on seed, page size, page and attempt alone, so a page that failed may succeed at the
    next attempt; attempts are counted from this command on. Which users are broken depends on seed and place alone.
    A single request fails by asking for it: curl 'http://127.0.0.1:8000/api/?fault=500'.
    """
    wanted = parse(rates)
    settings = _settings()
    embedded.misbehave(settings, wanted)
    console.out.print(f"The source now does wrong: {_words(wanted) or 'nothing'}{_when(settings)}", markup=False)


@app.command()
def behave() -> None:
    """Do nothing wrong any more: no fault, no broken user."""
    settings = _settings()
    embedded.misbehave(settings, Behaviour())
    console.out.print(f"The source now does nothing wrong{_when(settings)}", markup=False)


def parse(assignments: Sequence[str]) -> Behaviour:
    """Read assignments such as 429=0.2 and invalid:uuid_null=0.01. Raises TerminalError, saying which is wrong."""
    rates: dict[str, float] = {}
    for text in assignments:
        name, equals, rate = text.partition("=")
        if not equals:
            raise TerminalError(f"{text!r} names no rate", f"give one from 0 to 1, such as {name or '500'}=0.1")
        if name in rates:
            raise TerminalError(f"{name!r} is given twice", "give it once")
        try:
            rates[name] = float(rate)
        except ValueError:
            raise TerminalError(f"the rate of {name} is no number: {rate!r}", "give one from 0 to 1") from None
    kinds = {name.removeprefix(_KIND): rate for name, rate in rates.items() if name.startswith(_KIND)}
    faults = {name: rate for name, rate in rates.items() if name != _ANY and not name.startswith(_KIND)}
    try:
        return Behaviour(faults=faults, invalid=kinds, invalid_share=rates.get(_ANY, 0.0))
    except ValueError as error:
        raise TerminalError(str(error), _LISTED) from None


def describe(address: str, behaviour: Behaviour, stats: dict[str, Any] | None) -> dict[str, Any]:
    """Everything there is to show. Rates are parts of 1; counts are since the source's start, None when it is down."""
    given = stats["faults"] if stats else {}
    return {
        "address": address,
        "running": stats is not None,
        "pages": stats and stats["pages"],
        "users": stats and stats["users"],
        "faults": {
            name: {"rate": behaviour.faults.get(name, 0.0), "given": given.get(name), "answer": what}
            for name, what in FAULTS.items()
        },
        "invalid_share": behaviour.invalid_share,
        "invalid": {
            kind: {"rate": behaviour.invalid.get(kind, 0.0), "reasons": reasons} for kind, reasons in REASONS.items()
        },
    }


def _print(shown: dict[str, Any]) -> None:
    if shown["running"]:
        console.out.print(f"{shown['address']}: {shown['pages']:,} pages, {shown['users']:,} users answered in full\n")
    else:
        console.out.print(f"{shown['address']}: not running, so nothing is counted\n")
    faults = Table("fault", "of requests", "given", "what the client sees", box=None, pad_edge=False)
    for name, fault in shown["faults"].items():
        faults.add_row(name, _percent(fault["rate"]), f"{fault['given']:,}" if fault["given"] else "", fault["answer"])
    console.out.print(faults)
    kinds = Table("users", "of users", "reasons in the dead letter", box=None, pad_edge=False)
    kinds.add_row(_ANY, _percent(shown["invalid_share"]), "of all kinds below")
    for name, kind in shown["invalid"].items():
        kinds.add_row(f"{_KIND}{name}", _percent(kind["rate"]), ", ".join(kind["reasons"]))
    console.out.print()
    console.out.print(kinds)


def _percent(rate: float) -> str:
    return f"{rate * 100:.3g} %" if rate else ""


def _words(behaviour: Behaviour) -> str:
    """A behaviour as one would type it."""
    rates = {
        **behaviour.faults,
        _ANY: behaviour.invalid_share,
        **{f"{_KIND}{kind}": rate for kind, rate in behaviour.invalid.items()},
    }
    return " ".join(f"{name}={rate:g}" for name, rate in rates.items() if rate)


def _settings() -> Settings:
    """Raises TransientError when no stack has been set up in this home, where nobody would read a behaviour."""
    settings = configuration.load()
    if not (settings.conf / "supervisord.conf").exists():
        raise TransientError("no stack has been set up yet", "start with ./scripts/run")
    return settings


def _when(settings: Settings) -> str:
    return "" if embedded.stats(settings) else "; it is not running and will begin when it starts"
