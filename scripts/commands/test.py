"""`test`: every test, the ones without engines first."""

import os
import random
import subprocess
import sys

import typer

from scripts.bootstrap import ROOT
from scripts.commands import console
from scripts.stack import configuration, install
from scripts.stack.engines import nifi, spark

_PARTS = (
    ["tests/unit", "--cov", "--numprocesses=logical", "--maxprocesses=4"],  # some start a Spark of their own
    # In one session, for they share a stack; when one has failed, what it left says nothing of the next ones.
    ["tests/engines", "tests/faults", "--ignore=tests/faults/kills", "--exitfirst"],
    ["tests/faults/kills"],  # on a stack of its own, when the one before is gone: two would need twice the memory
)


def test(context: typer.Context) -> None:
    """Run every test; with arguments, hand them to pytest instead, such as tests/unit -k audit."""
    settings = configuration.load()
    installed = install.ensure(settings.cache, settings.maven)
    seed = _hash_seed()
    environment = {
        **os.environ,
        "PYTHONPATH": ROOT,
        "PYTHONHASHSEED": seed,
        "JAVA_HOME": str(installed.jdk17),
        "PIPELINE_NIFIAPI": str(nifi.python_api(installed)),
        "PIPELINE_SPARK_JARS": ",".join(str(jar) for jar in spark.jars(installed)),
    }
    for arguments in [context.args] if context.args else _PARTS:
        console.err.print(f"PYTHONHASHSEED={seed} pytest {' '.join(arguments)}", style="bold", markup=False)
        command = [sys.executable, "-m", "pytest", *arguments]
        code = subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode
        if code:
            raise typer.Exit(code)


test.context_settings = {"ignore_unknown_options": True, "allow_extra_args": True}  # type: ignore[attr-defined]


def _hash_seed() -> str:
    """The seed of str hashes, and with them of the order of sets: another each time, unless one is to be repeated."""
    given = os.environ.get("PYTHONHASHSEED", "random")
    return str(random.randrange(2**32)) if given in ("", "random") else given
