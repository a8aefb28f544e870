"""`doctor`: checks of the machine and the stack; each problem with its remedy."""

from dataclasses import asdict
from itertools import groupby

import typer

from nifi_flows.errors import PipelineError
from nifi_flows.pipeline import USERS
from scripts.commands import console
from scripts.doctor.diagnosis import Diagnosis, Grade, exit_code, failed
from scripts.stack import configuration

_STYLES = {Grade.ok: "green", Grade.warning: "yellow", Grade.problem: "bold red"}


def doctor(output: console.OutputOption = console.Output.text) -> None:
    """Check the machine and the stack, and show each problem with its remedy; changes nothing.

    Exits with 0 without problems (warnings are none), 75 if all of them may go away by themselves, else 1.
    """
    from scripts.doctor.examine import examine

    try:
        findings = examine(configuration.load(), USERS)
    except PipelineError as error:
        findings = [failed("settings", error)]
    if output == console.Output.json:
        console.print_json([asdict(finding) for finding in findings])
    else:
        _print(findings)
    code = exit_code(findings, later=console.TRANSIENT_EXIT)
    if code:
        raise typer.Exit(code)


def _print(findings: list[Diagnosis]) -> None:
    for area, group in groupby(findings, key=lambda finding: finding.area):
        console.out.print(area, style="bold", markup=False)
        for finding in group:
            console.out.print(f"  {finding.severity:8}", style=_STYLES[finding.severity], end="", markup=False)
            console.out.print(finding.what, markup=False)
            if finding.remedy:
                console.out.print(f"          next: {finding.remedy}", markup=False)
    console.out.print()
    for severity in (Grade.problem, Grade.warning):
        count = sum(finding.severity is severity for finding in findings)
        console.out.print(f"{count or 'no'} {severity}{'s' * (count != 1)}")
