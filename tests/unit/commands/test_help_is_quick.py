"""What makes --help quick: that the modules of all commands come without the engines' clients."""

import json
import pkgutil
import subprocess
import sys

from scripts import commands
from scripts.bootstrap import ROOT

HEAVY = {
    *("aiohttp", "airflow", "cassandra", "confluent_kafka", "asyncio", "cryptography", "fastavro", "kafka", "nipyapi"),
    *("psutil", "pydantic", "pyspark", "requests", "supervisor", "tenacity", "urllib3"),
}
WORKERS = {"scripts.commands.__main__", "scripts.commands.bring_up"}  # which no command imports at its top


def test_no_command_brings_an_engines_client_before_it_runs() -> None:
    modules = {module.name for module in pkgutil.walk_packages(commands.__path__, "scripts.commands.")} - WORKERS
    assert len(modules) > 15
    script = (
        "import importlib, json, sys\n"
        f"for name in {sorted(modules)!r}: importlib.import_module(name)\n"
        "print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert set(json.loads(done.stdout)) & HEAVY == set()
