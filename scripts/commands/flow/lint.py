"""`flow lint`: what is wrong with a flow definition before a NiFi gets it."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from nifi_flows import definition, revisions
from nifi_flows import inventory as inventories
from nifi_flows import lint as linter
from nifi_flows.errors import TerminalError
from nifi_flows.inventory import Inventory
from nifi_flows.lint import Config, Finding, Severity
from nifi_flows.pipeline import USERS
from nifi_flows.wording import printable
from scripts.bootstrap import ROOT
from scripts.commands import console
from scripts.commands.flow.diff import on_canvas

_STYLES = {Severity.error: "bold red", Severity.warning: "yellow"}
_FLOWS = Path(ROOT, "nifi_flows")
_PROCESSORS = Path(ROOT, "nifi_processors", "processors")


def lint(
    file: Annotated[Path, typer.Argument(help="The flow definition; a lint.toml beside it configures.")] = USERS.flow,
    nifi: Annotated[bool, typer.Option("--nifi", help="Also against the types of the running NiFi.")] = False,
    inventory: Annotated[Path | None, typer.Option(help="Also against the types of a NiFi, read before.")] = None,
    write_inventory: Annotated[Path | None, typer.Option(help="With --nifi: keep its types, for --inventory.")] = None,
    previous: Annotated[
        str | None, typer.Option(help="Also against a definition before: a file, a git revision, REV:PATH, or nifi.")
    ] = None,
    rules: Annotated[
        bool, typer.Option("--rules", help="List the rules and why they are there; lint nothing.")
    ] = False,
    output: console.OutputOption = console.Output.text,
) -> None:
    """Say what is wrong with a flow definition and what to do about it; exits with 1 when anything is an error."""
    if rules:
        _print_rules(output)
        return
    if (nifi and inventory) or (write_inventory and not nifi):
        raise TerminalError("options of flow lint contradict each other", "--nifi, or --inventory FILE")
    given: dict[str, Any] = {}
    if previous:
        given["previous"] = revisions.read(previous, USERS, on_canvas)
    if nifi:
        given["inventory"] = _ask(file)
    elif inventory:
        given["inventory"] = inventories.load(inventory)
    if write_inventory:
        definition.write(write_inventory, inventories.dump(given["inventory"]))
    if file.resolve().is_relative_to(_FLOWS):
        given["processors"] = _PROCESSORS
    configured = file.with_name("lint.toml")
    config = linter.load_config(configured) if configured.is_file() else Config()
    findings = linter.lint_file(file, config, **given)
    if output == console.Output.json:
        console.print_json([asdict(finding) for finding in findings])
    else:
        _print(findings)
    if any(finding.severity is Severity.error for finding in findings):
        raise typer.Exit(1)


def _ask(file: Path) -> Inventory:
    # Both take seconds to import, which a lint without NiFi need not wait.
    from nifi_flows import connection
    from scripts.stack import configuration, stack

    flow = definition.load(file)
    with connection.connected(stack.running(configuration.load()).nifi):
        return inventories.read(flow)


def _print(findings: list[Finding]) -> None:
    for finding in findings:
        console.out.print(f"{finding.code} {finding.severity:8}", style=_STYLES[finding.severity], end="", markup=False)
        console.out.print(printable(f"{finding.where}: {finding.message}"), markup=False)
        console.out.print(printable(f"               next: {finding.remedy}"), markup=False)
    for severity in Severity:
        count = sum(finding.severity is severity for finding in findings)
        console.out.print(f"{count or 'no'} {severity}{'s' * (count != 1)}")


def _print_rules(output: console.Output) -> None:
    told = [(rule.code, rule.name, rule.severity, rule.reason, rule.needs) for rule in linter.RULES]
    if output == console.Output.json:
        console.print_json(
            [dict(zip(("code", "rule", "severity", "reason", "needs"), row, strict=True)) for row in told]
        )
        return
    table = Table("code", "rule", "severity", "reason", box=None, pad_edge=False)
    for code, name, severity, reason, needs in told:
        table.add_row(code, name, severity, reason + (f" Needs: {needs}." if needs else ""))
    console.out.print(table)
