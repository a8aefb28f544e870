"""How every command speaks: words on stdout, progress and errors on stderr, JSON where a program asks for it."""

import json
import sys
import tempfile
import traceback
from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.console import Console

from nifi_flows.errors import PipelineError, TransientError

_WIDE = 160  # columns of a table that goes into a file or a pipe

out = Console(highlight=False, emoji=False, soft_wrap=True, width=None if sys.stdout.isatty() else _WIDE)
err = Console(stderr=True, highlight=False, emoji=False, soft_wrap=True)

TRANSIENT_EXIT = 75  # EX_TEMPFAIL of sysexits.h: the same call may succeed later
INTERRUPTED_EXIT = 130  # 128 + SIGINT


class Output(StrEnum):
    text = "text"
    json = "json"


OutputOption = Annotated[Output, typer.Option("--output", help="json where a program reads it.")]


def print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=2, default=str) + "\n")


def fail(error: PipelineError) -> int:
    """Print an error as what was wrong and what to do next; returns the exit code."""
    err.print(f"error: {error}", style="red", markup=False)
    if error.remedy:
        err.print(f"  next: {error.remedy}", markup=False)
    return TRANSIENT_EXIT if isinstance(error, TransientError) else 1


def defect(error: Exception) -> int:
    """Print an error that no code of ours expected, with its trace in a file; returns the exit code."""
    with tempfile.NamedTemporaryFile("w", prefix="pipeline-", suffix=".trace", delete=False) as trace:
        trace.write("".join(traceback.format_exception(error)))
    what = (str(error).splitlines() or [""])[0][:200]
    err.print(f"error: unexpected {type(error).__name__}: {what}", style="red", markup=False)
    err.print(f"  next: report it with {trace.name}", markup=False)
    return 1
