"""`bench`: how fast the pipeline is on this machine, beside what a good engineer would write without NiFi."""

import json

import typer

from nifi_flows.pipeline import USERS
from scripts.commands import console
from scripts.stack import configuration
from scripts.stack.stack import running


def bench(output: console.OutputOption = console.Output.text) -> None:
    """Measure throughput and latency of the running stack, and the same of a plain baseline; takes about 10 minutes.

    Pulls some 745,000 users, which stay in created_users. The result is kept in the stack's folder, named by commit.
    """
    from scripts.bench import bench as benchmark
    from scripts.bench import conditions, report

    settings = configuration.load()
    stack = running(settings)
    done = benchmark.run(stack, USERS, conditions.FULL, lambda step: console.err.print(step, markup=False))
    folder = settings.home / "bench"
    folder.mkdir(exist_ok=True)
    kept = folder / f"{done.when.replace(':', '')}-{done.commit}.json"
    kept.write_text(json.dumps(report.as_json(done), indent=2) + "\n")
    if output == console.Output.json:
        console.print_json(report.as_json(done))
    else:
        console.out.print(report.as_text(done))
    console.err.print(f"kept in {kept}", markup=False)
    if done.findings:
        raise typer.Exit(1)
