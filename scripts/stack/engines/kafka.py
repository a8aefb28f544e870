"""Kafka, one node that is broker and controller (KRaft)."""

import contextlib
from collections.abc import Mapping
from concurrent.futures import Future

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic  # type: ignore[attr-defined]

from nifi_flows.errors import TransientError
from nifi_flows.pipeline import Topic
from scripts.stack.engine import QUICK_START, Engine
from scripts.stack.install import Installed
from scripts.stack.settings import LOOPBACK, Settings

_HEAP = "384m"
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


def define(settings: Settings, installed: Installed) -> Engine:
    data = settings.data / "kafka"
    conf = settings.conf / "kafka"
    properties, log4j = conf / "server.properties", conf / "log4j2.yaml"
    written = _PROPERTIES.format(
        host=LOOPBACK, port=settings.kafka_port, controller=settings.kafka_controller_port, data=data
    )
    java = [str(installed.jdk21 / "bin" / "java"), "-cp", f"{installed.kafka_lib}/*"]
    return Engine(
        name="kafka",
        title="Kafka",
        first=[
            (
                data / "meta.properties",
                [*java, "-Xmx64m", "kafka.tools.StorageTool", "format", "-t", _CLUSTER_ID, "-c", str(properties)],
            )
        ],
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
        address=settings.kafka,
        ports={settings.kafka_port: "Kafka", settings.kafka_controller_port: "Kafka controller"},
        ready=lambda: answer(settings),
        files={properties: written.encode(), log4j: _LOG4J.encode()},
    )


def address(settings: Settings) -> str:
    """host:port of the brokers, as clients take it."""
    return settings.kafka


def answer(settings: Settings, patience: float = 3) -> str:
    """What Kafka says of itself within `patience` seconds. Raises KafkaException when it does not answer."""
    metadata = _admin(settings).list_topics(timeout=patience)
    return f"{len(metadata.brokers)} broker, {len([t for t in metadata.topics if not t.startswith('__')])} topics"


def create_topics(settings: Settings, topics: Mapping[str, Topic]) -> None:
    """Create the topics that are missing and set the configuration of the others."""
    admin = _admin(settings)
    new = [NewTopic(name, topic.partitions, 1, config=dict(topic.configuration)) for name, topic in topics.items()]
    try:
        for future in admin.create_topics(new, operation_timeout=20).values():
            with contextlib.suppress(_TopicExists):
                _result(future)
        resources = [
            ConfigResource(ConfigResource.Type.TOPIC, name, set_config=dict(topic.configuration))
            for name, topic in topics.items()
            if topic.configuration
        ]
        for future in admin.alter_configs(resources).values() if resources else ():
            future.result()
    except KafkaException as error:
        raise TransientError(
            f"Kafka at {settings.kafka} did not create the topics: {error}", "see ./scripts/pipeline logs kafka"
        ) from error


class _TopicExists(Exception):
    """Raised when a topic that should be created is there already."""


def _result(future: Future[None]) -> None:
    try:
        future.result()
    except KafkaException as error:
        if error.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS:
            raise _TopicExists from error
        raise


def _admin(settings: Settings) -> AdminClient:
    return AdminClient({"bootstrap.servers": settings.kafka, "socket.timeout.ms": 5000, "log_level": 0})
