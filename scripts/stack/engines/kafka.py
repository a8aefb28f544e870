"""Kafka, one node that is broker and controller (KRaft)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from nifi_flows.errors import TerminalError, TransientError
from nifi_flows.pipeline import Pipeline, Topic
from scripts.stack.credentials import Credentials
from scripts.stack.engine import QUICK_START, Configuration, Engine, Launch, Local
from scripts.stack.layout import Artifacts, Linked
from scripts.stack.settings import LOOPBACK, Port, Settings

if TYPE_CHECKING:
    from confluent_kafka.admin import AdminClient

NAME = "kafka"
PORT = Port("kafka", 9092, "Kafka")
CONTROLLER = Port("kafka_controller", 9093, "Kafka controller")
PORTS = (PORT, CONTROLLER)
ARTIFACTS = (
    Artifacts(
        "lib",
        [
            "org.apache.kafka:kafka_2.13:4.4.0",
            "org.apache.logging.log4j:log4j-slf4j-impl:2.25.5",  # Kafka brings no binding and would log nothing
        ],
        Linked("kafka"),
    ),
)

_HEAP = "384m"
_LOGS = "see ./scripts/pipeline logs kafka"
_CLUSTER_ID = "bG9jYWwtcGlwZWxpbmUtMQ"  # 16 bytes in URL-safe base64, as StorageTool wants it

_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller}
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller}
advertised.listeners=PLAINTEXT://{host}:{port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
controller.listener.names=CONTROLLER
log.dirs={data}
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
offsets.retention.minutes=2000000000
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
num.network.threads=2
num.io.threads=2
log.cleaner.dedupe.buffer.size=8388608
"""
_DURABLE = "log.flush.interval.messages=1\n"  # on disk before it is acknowledged, since there is no other replica

_LOG4J = """\
Configuration:
  Appenders:
    Console:
      name: STDOUT
      PatternLayout:
        pattern: "%d %p %m (%c)%n"
  Loggers:
    Root:
      level: INFO
      AppenderRef:
        - ref: STDOUT
"""


def address(settings: Settings) -> str:
    """host:port of the brokers, as clients take it."""
    return f"{LOOPBACK}:{settings.port(PORT)}"


def describe(settings: Settings) -> list[Engine]:
    return [
        Engine(
            name="kafka",
            title="Kafka",
            address=address(settings),
            ports={settings.port(port): port.purpose for port in PORTS},
            ask=partial(_ask, settings),
        )
    ]


def configure(local: Local) -> Configuration:
    settings = local.settings
    data, conf = settings.data / "kafka", settings.conf / "kafka"
    properties, log4j = conf / "server.properties", conf / "log4j2.yaml"
    written = _PROPERTIES.format(
        host=LOOPBACK, port=settings.port(PORT), controller=settings.port(CONTROLLER), data=data
    ) + (_DURABLE if settings.durable else "")
    java = [str(local.installed.jdk21 / "bin" / "java"), "-cp", f"{local.installed.folder('kafka')}/*"]
    launch = Launch(
        command=[
            *java[:1],
            f"-Xms{_HEAP}",
            f"-Xmx{_HEAP}",
            "-XX:+UseSerialGC",
            QUICK_START,
            f"-Dlog4j2.configurationFile={log4j}",
            *java[1:],
            "kafka.Kafka",
            str(properties),
        ],
        folder=settings.home,
        environment=settings.durability,
        first=[
            (
                data / "meta.properties",
                [*java, "-Xmx64m", "kafka.tools.StorageTool", "format", "-t", _CLUSTER_ID, "-c", str(properties)],
            )
        ],
    )
    return Configuration({"kafka": launch}, {properties: written.encode(), log4j: _LOG4J.encode()})


def _ask(settings: Settings, credentials: Credentials | None, patience: float) -> str:
    from confluent_kafka import KafkaException

    try:
        metadata = _admin(settings).list_topics(timeout=patience)
    except KafkaException as error:
        raise TransientError(error.args[0].str()) from error
    return f"{len(metadata.brokers)} broker, {len([t for t in metadata.topics if not t.startswith('__')])} topics"


def check_partitions(settings: Settings, pipeline: Pipeline, patience: float = 20) -> None:
    """Raises TerminalError when the topic of the records has more partitions than the pipeline declares.

    TransientError when Kafka does not answer within so many seconds.
    """
    from confluent_kafka import KafkaException

    try:
        topic = _admin(settings).list_topics(timeout=patience).topics.get(pipeline.topic)
    except KafkaException as error:
        raise TransientError(f"Kafka at {address(settings)} did not list the topics: {error}", _LOGS) from error
    if topic and len(topic.partitions) > pipeline.partitions:
        raise TerminalError(
            f"topic {pipeline.topic} has {len(topic.partitions)} partitions, and its pipeline declares "
            f"{pipeline.partitions}",
            "declare as many: Kafka can't take any away",
        )


def create_topics(settings: Settings, topics: Mapping[str, Topic]) -> None:
    """Create the topics that are missing, and give the others their configuration and the partitions that they lack."""
    from confluent_kafka import KafkaError, KafkaException
    from confluent_kafka.admin import (  # type: ignore[attr-defined]
        AlterConfigOpType,
        ConfigEntry,
        ConfigResource,
        NewPartitions,
        NewTopic,
    )

    admin = _admin(settings)
    new = [NewTopic(name, topic.partitions, 1, config=dict(topic.configuration)) for name, topic in topics.items()]
    resources = [
        ConfigResource(
            ConfigResource.Type.TOPIC,
            name,
            incremental_configs=[
                ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET)
                for key, value in topic.configuration.items()
            ],
        )
        for name, topic in topics.items()
        if topic.configuration
    ]
    try:
        older = []
        for name, future in admin.create_topics(new, operation_timeout=20).items():
            try:
                future.result()
            except KafkaException as error:
                if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise
                older.append(name)
        for future in admin.incremental_alter_configs(resources).values() if resources else ():
            future.result()
        there = admin.list_topics(timeout=20).topics if older else {}
        partitions = {name: len(there[name].partitions) for name in older if name in there}
        grown = [NewPartitions(n, topics[n].partitions) for n, has in partitions.items() if has < topics[n].partitions]
        for future in admin.create_partitions(grown, operation_timeout=20).values() if grown else ():
            future.result()
    except KafkaException as error:
        raise TransientError(f"Kafka at {address(settings)} did not create the topics: {error}", _LOGS) from error


def _admin(settings: Settings) -> AdminClient:
    from confluent_kafka.admin import AdminClient

    return AdminClient({"bootstrap.servers": address(settings), "socket.timeout.ms": 5000, "log_level": 0})
