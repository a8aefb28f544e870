"""The command line: `./scripts/pipeline COMMAND`; `./scripts/run` and `./scripts/test` are two of its commands."""

import os
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from types import FrameType

import typer

from nifi_flows.errors import PipelineError
from scripts.commands import console

app = typer.Typer(
    name="pipeline",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="HTTP sources in, trustworthy rows in Cassandra out.",
)
# Command -> the module with the function of its name. For --help all of them are imported, so none of them imports an
# engine's client at its top, NiFi's alone takes a second: what needs one is imported in the function that does.
_COMMANDS = ("run", "status", "logs", "cqlsh", "audit", "bench", "canvas", "airflow", "rules", "doctor", "down", "test")
_GROUPS = ("consumer", "source")  # commands that have commands
_FLOW = {
    "export": "export",
    "lint": "lint",
    "diff": "diff",
    "deploy": "deploy",
    "redeploy": "deploy",
    "rollback": "deploy",
    "status": "status",
    "drift": "status",
    "hold": "hold",
    "release": "hold",
}


def _register(words: Sequence[str]) -> None:
    """Register the command that the words name, or all of them, as for --help."""
    asked = words[0] if words else ""
    every = asked not in (*_COMMANDS, *_GROUPS, "flow")
    app.callback()(lambda: None)  # with one command alone, Typer would take its name for an argument
    for name in _COMMANDS:
        if every or name == asked:
            command = getattr(import_module(f"scripts.commands.{name}"), name)
            app.command(context_settings=getattr(command, "context_settings", None))(command)
    for name in _GROUPS:
        if every or asked == name:
            app.add_typer(import_module(f"scripts.commands.{name}").app)
    if every or asked == "flow":
        app.add_typer(_flow(words[1] if asked == "flow" and len(words) > 1 else ""), name="flow")


def _flow(asked: str) -> typer.Typer:
    flow = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The flow as code: from git to NiFi and back.")
    flow.callback()(lambda: None)
    for name in (asked,) if asked in _FLOW else _FLOW:
        flow.command(name)(getattr(import_module(f"scripts.commands.flow.{_FLOW[name]}"), name))
    return flow


def _terminated(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _end_with_terminal() -> None:
    """When the terminal is closed, clean up as after Ctrl-C; nothing that is printed meanwhile may stop that."""
    shown = [stream for stream in (1, 2) if os.isatty(stream)]

    def hung_up(number: int, frame: FrameType | None) -> None:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for stream in shown:
            os.dup2(nowhere, stream)
        raise KeyboardInterrupt

    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as it is under nohup
        signal.signal(signal.SIGHUP, hung_up)


def main() -> int:
    signal.signal(signal.SIGTERM, _terminated)  # to clean up as after Ctrl-C
    _end_with_terminal()
    try:
        _register(sys.argv[1:])
        # Without standalone mode, the exit code of a command that raises typer.Exit or is interrupted is returned.
        code = int(app(prog_name="pipeline", standalone_mode=False) or 0)
    except PipelineError as error:
        return console.fail(error)
    except (KeyboardInterrupt, typer.Abort):
        code = console.INTERRUPTED_EXIT
    except typer.TyperException as error:  # a wrong option or argument
        error.show()  # type: ignore[attr-defined]
        return error.exit_code
    except Exception as error:  # noqa: BLE001 - a defect of ours: keep the trace for whoever mends it, not on the screen
        return console.defect(error)
    if code == console.INTERRUPTED_EXIT:
        console.err.print("interrupted")
    return code


sys.exit(main())
