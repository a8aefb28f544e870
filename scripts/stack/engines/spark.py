"""Spark: a standalone master, one worker, and the consumer submitted to that master."""

from __future__ import annotations

import hashlib
import importlib.util
import math
import re
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from nifi_flows.errors import TransientError
from nifi_flows.pipeline import Pipeline
from scripts.bootstrap import ROOT
from scripts.stack.credentials import Credentials
from scripts.stack.engine import QUICK_START, Configuration, Engine, Launch, Local
from scripts.stack.engines import cassandra, kafka, registry
from scripts.stack.http import Deadline
from scripts.stack.layout import Artifacts, Installed, Linked
from scripts.stack.settings import LOOPBACK, Port, Settings

NAME = "spark"
MASTER = Port("spark_master", 7077, "Spark master")
MASTER_UI = Port("spark_master_ui", 8080, "Spark master UI")
WORKER_UI = Port("spark_worker_ui", 8083, "Spark worker UI")
CONSUMER_UI = Port("consumer_ui", 4040, "Spark consumer UI")
PORTS = (MASTER, MASTER_UI, WORKER_UI, CONSUMER_UI)

_DAEMON_HEAP = "192m"
_DRIVER_HEAP = "640m"
_EXECUTOR_HEAP = "1g"

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
# says of every frame in the continuous lane that it is read by a thread which can be interrupted
logger.kafka.name = org.apache.spark.sql.kafka010.consumer.KafkaDataConsumer
logger.kafka.level = error
# says of every batch that it took longer than the trigger's interval, which a short interval is there for
logger.trigger.name = org.apache.spark.sql.execution.streaming.ProcessingTimeExecutor
logger.trigger.level = error
"""


def _shipped(resolved: Mapping[str, Sequence[Path]]) -> set[str]:
    """What pyspark has in some version: Spark's own classes win anyway."""
    shipped = {_artifact_id(jar.name) for jar in (spark_home() / "jars").glob("*.jar")}
    return {file.name for file in resolved["lib"] if _artifact_id(file.name) in shipped}


def _artifact_id(name: str) -> str:
    """The artifact that a file name stands for: commons-lang3 for commons-lang3-3.12.0.jar."""
    return re.sub(r"-\d[^-]*(-\D[^-]*)*\.jar$", "", name)


_VERSION = "3.5.7"  # of pyspark in pyproject.toml: the connectors for Kafka and Avro have to be of the same
ARTIFACTS = (
    Artifacts(
        "lib",
        [
            f"org.apache.spark:spark-sql-kafka-0-10_2.12:{_VERSION}",
            f"org.apache.spark:spark-avro_2.12:{_VERSION}",
            "com.datastax.spark:spark-cassandra-connector_2.12:3.5.1",
            # writes checkpoints without asking a child process for a file's rights
            "com.globalmentor:hadoop-bare-naked-local-fs:0.1.0",
        ],
        Linked("spark"),
        left_out=_shipped,
    ),
)


def describe(settings: Settings) -> list[Engine]:
    """The master, the worker and the consumer, in the order in which they start."""
    return [
        Engine(
            name="spark-master",
            title="Spark master",
            address=_url(settings, MASTER_UI),
            ports={settings.port(port): port.purpose for port in (MASTER, MASTER_UI)},
            ask=partial(_ask_master, settings),
        ),
        Engine(
            name="spark-worker",
            title="Spark worker",
            address=_url(settings, WORKER_UI),
            ports={settings.port(WORKER_UI): WORKER_UI.purpose},
            ask=partial(_ask_worker, settings),
            through=("spark-master",),
        ),
        Engine(
            name="consumer",
            title="Spark consumer",
            address=_url(settings, CONSUMER_UI),
            ports={settings.port(CONSUMER_UI): CONSUMER_UI.purpose},
            ask=partial(_ask_consumer, settings),
            patience=180,
            # It watches its stream itself, and sooner. What is asked is that stream's web server, which is away as long
            # as the stream can't begin for want of one of these.
            silence=600,
            through=(kafka.NAME, registry.NAME, "spark-master", "spark-worker", cassandra.NAME),
        ),
    ]


def configure(local: Local) -> Configuration:
    settings, pipeline = local.settings, local.pipeline
    conf, data, home = settings.conf / "spark", settings.data / "spark", spark_home()
    defaults = _lines(_defaults(local)).encode()
    environment = {
        "JAVA_HOME": str(local.installed.jdk17),
        "SPARK_HOME": str(home),
        "SPARK_CONF_DIR": str(conf),
        "SPARK_LOCAL_IP": LOOPBACK,
        "SPARK_LOCAL_DIRS": str(data / "scratch"),
        "SPARK_DAEMON_MEMORY": _DAEMON_HEAP,
        "SPARK_DAEMON_JAVA_OPTS": f"-XX:+UseSerialGC {QUICK_START}",
        "PYSPARK_PYTHON": sys.executable,
    }
    spark_class = str(home / "bin" / "spark-class")
    master = Launch(
        command=[
            spark_class,
            "org.apache.spark.deploy.master.Master",
            *("--host", LOOPBACK),
            *("--port", str(settings.port(MASTER))),
            *("--webui-port", str(settings.port(MASTER_UI))),
        ],
        folder=data,
        environment=environment,
    )
    worker = Launch(
        command=[
            spark_class,
            "org.apache.spark.deploy.worker.Worker",
            *("--host", LOOPBACK),
            *("--cores", str(slots(pipeline))),
            *("--memory", f"{1536 * pipeline.executors}m"),
            *("--work-dir", str(data / "work")),
            *("--webui-port", str(settings.port(WORKER_UI))),
            _master_url(settings),
        ],
        folder=data,
        environment=environment,
        whole_group=True,
    )
    consumer = Launch(
        command=[sys.executable, "-m", "spark_consumer.main"],
        folder=data,
        environment={
            **environment,
            "PYTHONPATH": ROOT,
            "CONSUMER_KAFKA_BROKERS": kafka.address(settings),
            "CONSUMER_REGISTRY_URL": registry.address(settings),
            "CONSUMER_TOPIC": pipeline.topic,
            "CONSUMER_DEAD_LETTER_TOPIC": pipeline.dead_letters,
            "CONSUMER_GROUP": pipeline.consumer_group,
            "CONSUMER_KEYSPACE": pipeline.keyspace,
            "CONSUMER_TABLE": pipeline.table,
            "CONSUMER_LANE": pipeline.lane,
            # so that it starts again with another one
            "PIPELINE_SPARK_DEFAULTS": hashlib.sha256(defaults).hexdigest()[:16],
            # Larger batches than a Cassandra as it comes would take without a warning; ours is told to.
            "CONSUMER_BATCH_BYTES": "20000",
            # Of what its nodes acknowledge, a killed Cassandra loses less than two of the periods of cassandra.yaml.
            "CONSUMER_SAFE_SECONDS": "5",
            "CONSUMER_CHECKPOINT_DIR": str(data / "checkpoint"),
        },
        gives_up=2,
    )
    return Configuration(
        {"spark-master": master, "spark-worker": worker, "consumer": consumer},
        {
            conf / "spark-defaults.conf": defaults,
            conf / "log4j2.properties": _LOG4J.encode(),
        },
        (_recovery(settings), data / "work", data / "scratch"),
    )


def slots(pipeline: Pipeline) -> int:
    """Tasks that Spark runs at once, which it calls cores. Its master starts no executor that hasn't all of its own."""
    return pipeline.executors * _slots_each(pipeline)


def _slots_each(pipeline: Pipeline) -> int:
    return math.ceil(pipeline.partitions / pipeline.executors)


def jars(installed: Installed) -> list[Path]:
    """What Spark gets beside its own jars."""
    return sorted(installed.folder("spark").glob("*.jar"))


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


def _defaults(local: Local) -> Mapping[str, str]:
    """spark-defaults.conf: the place, the jars and the secrets. What belongs to the application, it sets itself."""
    settings = local.settings
    return {
        "spark.master": _master_url(settings),
        "spark.jars": ",".join(f"local:{jar}" for jar in jars(local.installed)),
        "spark.authenticate": "true",
        "spark.authenticate.secret": local.credentials.spark_secret,
        "spark.deploy.recoveryMode": "FILESYSTEM",
        "spark.deploy.recoveryDirectory": str(_recovery(settings)),
        "spark.worker.cleanup.enabled": "true",
        "spark.driver.host": LOOPBACK,
        "spark.driver.bindAddress": LOOPBACK,
        "spark.driver.memory": _DRIVER_HEAP,
        # Hadoop's own asks child processes for the rights of each file and whether it is a link, many times an epoch.
        "spark.hadoop.fs.file.impl": "com.globalmentor.apache.hadoop.fs.BareLocalFileSystem",
        "spark.sql.streaming.checkpointFileManagerClass": (
            "org.apache.spark.sql.execution.streaming.FileSystemBasedCheckpointFileManager"
        ),
        "spark.driver.extraJavaOptions": "-XX:+UseSerialGC",
        "spark.executor.memory": _EXECUTOR_HEAP,
        "spark.executor.cores": str(_slots_each(local.pipeline)),
        "spark.executor.extraJavaOptions": "-XX:+UseSerialGC",
        "spark.cores.max": str(slots(local.pipeline)),
        # A task that waits for Cassandra hears of no end, and would keep its slot from the next stream: its executor
        # goes then, and another one comes.
        "spark.task.reaper.enabled": "true",
        "spark.task.reaper.killTimeout": "20s",
        # a page elsewhere in the browser must not be able to stop the consumer or the worker
        "spark.ui.killEnabled": "false",
        "spark.master.ui.decommission.allow.mode": "DENY",
        "spark.ui.port": str(settings.port(CONSUMER_UI)),
        "spark.cassandra.connection.host": LOOPBACK,
        "spark.cassandra.connection.port": str(settings.port(cassandra.PORT)),
        "spark.cassandra.auth.username": cassandra.ROLE,
        "spark.cassandra.auth.password": local.credentials.cassandra_password,
    }


def _lines(properties: Mapping[str, str]) -> str:
    return "".join(f"{key} {value}\n" for key, value in properties.items())


def _url(settings: Settings, port: Port) -> str:
    return f"http://{LOOPBACK}:{settings.port(port)}"


def _master_url(settings: Settings) -> str:
    return f"spark://{LOOPBACK}:{settings.port(MASTER)}"


def _master(settings: Settings, deadline: Deadline) -> Mapping[str, Any]:
    """What a living master says of itself. Raises TransientError when it is not alive."""
    state: Mapping[str, Any] = deadline.get_json(f"{_url(settings, MASTER_UI)}/json/")
    if state["status"] != "ALIVE":
        raise TransientError(f"its status is {state['status']}")
    return state


def _ask_master(settings: Settings, credentials: Credentials | None, patience: float) -> str:
    return str(_master(settings, Deadline(patience))["status"]).lower()


def _ask_worker(settings: Settings, credentials: Credentials | None, patience: float) -> str:
    deadline = Deadline(patience)
    deadline.get_json(f"{_url(settings, WORKER_UI)}/json/")
    if not _master(settings, deadline)["aliveworkers"]:
        raise TransientError("it has not joined the Spark master")
    return "joined the master"


def _ask_consumer(settings: Settings, credentials: Credentials | None, patience: float) -> str:
    deadline, base = Deadline(patience), f"{_url(settings, CONSUMER_UI)}/api/v1/applications"
    application = deadline.get_json(base)[0]["id"]
    executors = deadline.get_json(f"{base}/{application}/executors")
    active = sum(executor["isActive"] and executor["id"] != "driver" for executor in executors)
    if not active:
        raise TransientError("it has no executor yet")
    return f"{application}, {active} executor"
