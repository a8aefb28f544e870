"""`flow diff`: what differs between two states of the flow, in words."""

import sys
from enum import StrEnum
from typing import Annotated, Any

import typer

from nifi_flows import definition, revisions
from nifi_flows.diff import compare
from nifi_flows.pipeline import USERS
from scripts.commands import console


class Form(StrEnum):
    text = "text"
    json = "json"
    markdown = "markdown"


def diff(
    a: Annotated[str, typer.Argument(help="From: a file, a git revision, REV:PATH, or nifi.")] = "HEAD",
    b: Annotated[str, typer.Argument(help="To: the same.")] = revisions.CANVAS,
    output: Annotated[Form, typer.Option("--output", help="markdown for a pull request.")] = Form.text,
) -> None:
    """Say in words what differs between two flows; alone, what is on the canvas and not yet in git.

    `nifi` is the flow on the canvas of the running stack; a git revision such as HEAD~1 or main means its
    nifi_flows/users/flow.json. Values of parameters are compared between files that have them; git and nifi do not.
    Exits with 0 when they are the same, 1 when they differ or one cannot be read, 75 when NiFi is away.
    """
    found = compare(*(revisions.read(reference, USERS, on_canvas) for reference in (a, b)))
    if output == Form.json:
        console.print_json(found.as_json())
    else:
        sys.stdout.write(found.as_markdown() if output == Form.markdown else found.as_text())
    if not found.empty:
        raise typer.Exit(1)


def on_canvas() -> dict[str, Any]:
    """The flow as the running stack's NiFi has it. Raises TransientError when NiFi is away."""
    from scripts.deployment import state  # with NiFi's client, which takes seconds to import
    from scripts.deployment.context import Context
    from scripts.stack import configuration

    return definition.parse(state.export(Context(configuration.load(), USERS)), "the flow on the canvas")
