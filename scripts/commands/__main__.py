"""The command line: `./scripts/pipeline COMMAND`; `./scripts/run` and `./scripts/test` are two of its commands."""

import signal
import sys
from types import FrameType

import typer

from nifi_flows.errors import PipelineError
from scripts.commands import audit, bench, canvas, console, cqlsh, doctor, down, logs, run, source, status, test

app = typer.Typer(
    name="pipeline",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="HTTP sources in, trustworthy rows in Cassandra out.",
)
for command in (
    run.run,
    status.status,
    logs.logs,
    cqlsh.cqlsh,
    audit.audit,
    bench.bench,
    canvas.canvas,
    doctor.doctor,
    down.down,
    test.test,
):
    app.command(context_settings=getattr(command, "context_settings", None))(command)
app.add_typer(source.app)


def _terminated(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main() -> int:
    signal.signal(signal.SIGTERM, _terminated)  # to clean up as after Ctrl-C
    try:
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
