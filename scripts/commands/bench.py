"""`bench`: how fast the pipeline is on this machine, beside what a good engineer would write without NiFi."""

import json
from pathlib import Path
from typing import Annotated

import typer

from nifi_flows.pipeline import USERS
from scripts.commands import console
from scripts.stack import configuration
from scripts.stack.stack import running


def bench(
    peer: Annotated[
        Path | None, typer.Option(help="A redpanda-connect or benthos binary, to be measured on the same engines.")
    ] = None,
    output: console.OutputOption = console.Output.text,
) -> None:
    """Measure throughput, latency and cores of the running stack, and of a plain baseline; takes 8 to 18 minutes.

    Right after ./scripts/run it measures the cold stack, too. Pulls up to 820,000 users, which stay in created_users.
    The result is kept in the stack's folder, named by commit.
    """
    from scripts.bench.peer import binary

    found = binary.find(peer) if peer else None
    settings = configuration.load()
    stack = running(settings)
    from scripts.bench import bench as benchmark
    from scripts.bench import conditions, report

    done = benchmark.run(stack, USERS, conditions.FULL, lambda step: console.err.print(step, markup=False), found)
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
