"""`test`: every test, the ones without engines first."""

import os
import subprocess
import sys

import typer

from scripts.bootstrap import ROOT
from scripts.stack import install, settings

context_settings = {"ignore_unknown_options": True, "allow_extra_args": True}


def test(context: typer.Context) -> None:
    """Run every test; what follows is handed to pytest, such as -k NAME or -m 'not engines'."""
    configured = settings.load()
    installed = install.ensure(configured.cache, configured.maven)
    environment = {
        **os.environ,
        "PYTHONPATH": ROOT,
        "JAVA_HOME": str(installed.jdk17),
        "PIPELINE_NIFIAPI": str(installed.nifi_python_api),
        "PIPELINE_SPARK_JARS": ",".join(str(jar) for jar in installed.spark_jars),
    }
    # One process, so that pytest's closing line speaks of all: the folder's order puts unit before engines.
    command = [sys.executable, "-m", "pytest", *context.args]
    raise typer.Exit(subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode)


test.context_settings = context_settings  # type: ignore[attr-defined]
