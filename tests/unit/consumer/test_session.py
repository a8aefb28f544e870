import os
import shutil
import subprocess
import sys

import pytest

from scripts.bootstrap import ROOT

_ASK = """
from tests.unit.consumer.local_spark import SETTINGS
from spark_consumer.errors import TransientError, told
from spark_consumer.session import create_spark_connection
try:
    create_spark_connection(SETTINGS)
except TransientError as error:
    print(told(error))
"""


@pytest.mark.skipif(not (os.environ.get("JAVA_HOME") or shutil.which("java")), reason="no Java: JAVA_HOME is not set")
def test_a_master_that_gives_no_session_is_named_with_what_to_do() -> None:
    environment = {**os.environ, "SPARK_LOCAL_IP": "127.0.0.1"}
    environment["PYSPARK_SUBMIT_ARGS"] = "--master local[none] --conf spark.ui.enabled=false pyspark-shell"
    asked = subprocess.run(
        [sys.executable, "-c", _ASK], capture_output=True, text=True, cwd=ROOT, env=environment, timeout=120
    )
    assert asked.stdout.startswith("spark: no session on the master local[none]: "), asked.stderr
    assert "(see that it runs, and that spark.master" in asked.stdout
