"""Spark: a standalone master, one worker, and the consumer submitted to that master."""

import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path

import requests

from nifi_flows.errors import TransientError
from nifi_flows.pipeline import USERS
from scripts.bootstrap import ROOT
from scripts.stack.credentials import Credentials
from scripts.stack.engine import QUICK_START, Engine
from scripts.stack.engines import cassandra
from scripts.stack.install import Installed
from scripts.stack.settings import LOOPBACK, Settings

_DAEMON_HEAP = "192m"
_DRIVER_HEAP = "640m"
_EXECUTOR_HEAP = "1g"
_CORES = 2

_LOG4J = """\
rootLogger.level = warn
rootLogger.appenderRef.stdout.ref = console
appender.console.type = Console
appender.console.name = console
appender.console.target = SYSTEM_ERR
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d %p %c{1}: %m%n%ex
logger.deploy.name = org.apache.spark.deploy
logger.deploy.level = info
# says of every batch that it took longer than the trigger's interval, which a short interval is there for
logger.trigger.name = org.apache.spark.sql.execution.streaming.ProcessingTimeExecutor
logger.trigger.level = error
"""


def define(settings: Settings, installed: Installed, credentials: Credentials) -> list[Engine]:
    """The master, the worker and the consumer, in the order in which they start."""
    conf, data = settings.conf / "spark", settings.data / "spark"
    files = {
        conf / "spark-defaults.conf": _lines(_defaults(settings, installed, credentials)).encode(),
        conf / "log4j2.properties": _LOG4J.encode(),
    }
    home = spark_home()
    environment = {
        "JAVA_HOME": str(installed.jdk17),
        "SPARK_HOME": str(home),
        "SPARK_CONF_DIR": str(conf),
        "SPARK_LOCAL_IP": LOOPBACK,
        "SPARK_LOCAL_DIRS": str(data / "scratch"),
        "SPARK_DAEMON_MEMORY": _DAEMON_HEAP,
        "SPARK_DAEMON_JAVA_OPTS": f"-XX:+UseSerialGC {QUICK_START}",
        "PYSPARK_PYTHON": sys.executable,
    }
    spark_class = str(home / "bin" / "spark-class")
    master_url = f"spark://{LOOPBACK}:{settings.spark_master_port}"
    master = Engine(
        name="spark-master",
        title="Spark master",
        command=[
            spark_class,
            "org.apache.spark.deploy.master.Master",
            *("--host", LOOPBACK),
            *("--port", str(settings.spark_master_port)),
            *("--webui-port", str(settings.spark_master_ui_port)),
        ],
        folder=data,
        environment=environment,
        address=f"http://{LOOPBACK}:{settings.spark_master_ui_port}",
        ports={settings.spark_master_port: "Spark master", settings.spark_master_ui_port: "Spark master UI"},
        ready=lambda: str(_master(settings)["status"]),
        files=files,
        folders=(_recovery(settings), data / "work", data / "scratch"),
    )
    worker = Engine(
        name="spark-worker",
        title="Spark worker",
        command=[
            spark_class,
            "org.apache.spark.deploy.worker.Worker",
            *("--host", LOOPBACK),
            *("--cores", str(_CORES)),
            *("--memory", "1536m"),
            *("--work-dir", str(data / "work")),
            *("--webui-port", str(settings.spark_worker_ui_port)),
            master_url,
        ],
        folder=data,
        environment=environment,
        address=f"http://{LOOPBACK}:{settings.spark_worker_ui_port}",
        ports={settings.spark_worker_ui_port: "Spark worker UI"},
        ready=lambda: _worker_ready(settings),
        whole_group=True,
    )
    consumer = Engine(
        name="consumer",
        title="Spark consumer",
        command=[sys.executable, "-m", "spark_consumer.main"],
        folder=data,
        environment={
            **environment,
            "PYTHONPATH": ROOT,
            "CONSUMER_KAFKA_BROKERS": settings.kafka,
            "CONSUMER_REGISTRY_URL": settings.registry,
            "CONSUMER_TOPIC": USERS.topic,
            "CONSUMER_DEAD_LETTER_TOPIC": USERS.dead_letters,
            "CONSUMER_GROUP": USERS.consumer_group,
            "CONSUMER_KEYSPACE": USERS.keyspace,
            "CONSUMER_TABLE": USERS.table,
            # Larger batches than a Cassandra as it comes would take without a warning; ours is told to.
            "CONSUMER_BATCH_BYTES": "20000",
            "CONSUMER_CHECKPOINT_DIR": str(data / "checkpoint"),
        },
        address=f"http://{LOOPBACK}:{settings.consumer_ui_port}",
        ports={settings.consumer_ui_port: "Spark consumer UI"},
        ready=lambda: _consumer_ready(settings),
        patience=180,
    )
    return [master, worker, consumer]


def forget(settings: Settings) -> None:
    """Make the master start without workers and applications of a stack that no longer runs.

    It would wait a minute for them to come back. While the stack runs they do, and its memory of them is needed.
    """
    for file in _recovery(settings).glob("*"):
        file.unlink()


def _recovery(settings: Settings) -> Path:
    return settings.data / "spark" / "recovery"


def spark_home() -> Path:
    """The Spark distribution inside the pyspark wheel, found without importing it."""
    specification = importlib.util.find_spec("pyspark")
    assert specification and specification.submodule_search_locations
    return Path(specification.submodule_search_locations[0])


def _defaults(settings: Settings, installed: Installed, credentials: Credentials) -> Mapping[str, str]:
    """spark-defaults.conf: the place, the jars and the secrets. What belongs to the application, it sets itself."""
    return {
        "spark.master": f"spark://{LOOPBACK}:{settings.spark_master_port}",
        "spark.jars": ",".join(f"local:{jar}" for jar in installed.spark_jars),
        "spark.authenticate": "true",
        "spark.authenticate.secret": credentials.spark_secret,
        "spark.deploy.recoveryMode": "FILESYSTEM",
        "spark.deploy.recoveryDirectory": str(_recovery(settings)),
        "spark.worker.cleanup.enabled": "true",
        "spark.driver.host": LOOPBACK,
        "spark.driver.bindAddress": LOOPBACK,
        "spark.driver.memory": _DRIVER_HEAP,
        # To rename a file, Hadoop asks a child process for each name whether it is a link: four a batch
        # with checksums beside the checkpoint, two without, and VFORK takes a third of the default's time.
        "spark.hadoop.fs.AbstractFileSystem.file.impl": "org.apache.hadoop.fs.local.RawLocalFs",
        "spark.driver.extraJavaOptions": "-XX:+UseSerialGC -Djdk.lang.Process.launchMechanism=VFORK",
        "spark.executor.memory": _EXECUTOR_HEAP,
        "spark.executor.extraJavaOptions": "-XX:+UseSerialGC",
        "spark.cores.max": str(_CORES),
        # a page elsewhere in the browser must not be able to stop the consumer or the worker
        "spark.ui.killEnabled": "false",
        "spark.master.ui.decommission.allow.mode": "DENY",
        "spark.ui.port": str(settings.consumer_ui_port),
        "spark.cassandra.connection.host": LOOPBACK,
        "spark.cassandra.connection.port": str(settings.cassandra_port),
        "spark.cassandra.auth.username": cassandra.ROLE,
        "spark.cassandra.auth.password": credentials.cassandra_password,
    }


def _lines(properties: Mapping[str, str]) -> str:
    return "".join(f"{key} {value}\n" for key, value in properties.items())


def _master(settings: Settings) -> dict[str, object]:
    response = requests.get(f"http://{LOOPBACK}:{settings.spark_master_ui_port}/json/", timeout=3)
    response.raise_for_status()
    state: dict[str, object] = response.json()
    if state["status"] != "ALIVE":
        raise TransientError(f"the Spark master is {state['status']}")
    return state


def _worker_ready(settings: Settings) -> str:
    workers = _master(settings)["aliveworkers"]
    if not workers:
        raise TransientError("no worker has joined the Spark master")
    return f"{workers} worker, {_CORES} cores"


def _consumer_ready(settings: Settings) -> str:
    base = f"http://{LOOPBACK}:{settings.consumer_ui_port}/api/v1/applications"
    applications = requests.get(base, timeout=3)
    applications.raise_for_status()
    application = applications.json()[0]["id"]
    executors = requests.get(f"{base}/{application}/executors", timeout=3).json()
    active = [executor for executor in executors if executor["isActive"] and executor["id"] != "driver"]
    if not active:
        raise TransientError("the consumer has no executor yet")
    return f"{application}, {len(active)} executor"
