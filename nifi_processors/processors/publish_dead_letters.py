"""PublishDeadLetters: a page's invalid users in, one dead letter each in Kafka."""

# ruff: noqa: RUF012 - NiFi reads these classes as syntax and knows plain lists only
from typing import Any

from nifiapi.flowfiletransform import FlowFileTransform, FlowFileTransformResult
from nifiapi.properties import ProcessContext, PropertyDescriptor, StandardValidators
from nifiapi.relationship import Relationship

from nifi_processors.errors import ProcessorError
from nifi_processors.lazy import Lazy
from nifi_processors.publish import ATTRIBUTES, MAX_DEAD_LETTER_BYTES, Fetch, publish_dead_letters
from nifi_processors.publisher import KafkaPublisher
from nifi_processors.py4j_bytes import register_bytes_converter
from nifi_processors.py4j_sockets import acknowledge_at_once
from nifi_processors.registry import SchemaRegistry

register_bytes_converter()
acknowledge_at_once()


class PublishDeadLetters(FlowFileTransform):
    class Java:
        implements = ["org.apache.nifi.python.processor.FlowFileTransform"]

    class ProcessorDetails:
        version = "0.1.0"
        tags = ["users", "dead letter", "avro", "kafka", "schema registry"]
        description = (
            "Takes the invalid users of a page, as PublishUsers hands them on, and publishes each as a dead letter: "
            "the original bytes, the reasons, the page it came from and its place there. Waits until all are "
            "acknowledged, then empties the content. The count is in dead_letters:published."
        )

    BROKERS = PropertyDescriptor(
        name="Kafka Brokers",
        description="Brokers to start from, as host:port, separated by commas.",
        required=True,
        validators=[StandardValidators.HOSTNAME_PORT_LIST_VALIDATOR],
    )
    TOPIC = PropertyDescriptor(
        name="Topic",
        description="Topic for dead letters. It must take messages of 72 MiB, for a page may be one huge record.",
        required=True,
        default_value="user_data_topic.dlq",
        validators=[StandardValidators.NON_EMPTY_VALIDATOR],
    )
    REGISTRY = PropertyDescriptor(
        name="Schema Registry URL",
        description="Base address of the registry's Confluent API. The schema id is looked up there; nothing is ever "
        "registered from here.",
        required=True,
        validators=[StandardValidators.URL_VALIDATOR],
    )
    FLOW_VERSION = PropertyDescriptor(
        name="Flow Version",
        description="Version of the deployed pipeline. It is written into every dead letter.",
        required=True,
        validators=[StandardValidators.NON_EMPTY_VALIDATOR],
    )

    property_descriptors = [BROKERS, TOPIC, REGISTRY, FLOW_VERSION]

    relationships = [Relationship("success", "Every invalid user of the page is a dead letter in Kafka")]

    def __init__(self, **kwargs: object) -> None:
        self._publisher: Lazy[KafkaPublisher] = Lazy()
        self._registry: Lazy[SchemaRegistry] = Lazy()

    def getPropertyDescriptors(self) -> list[PropertyDescriptor]:
        return self.property_descriptors

    def getRelationships(self) -> list[Relationship]:
        return self.relationships

    def onScheduled(self, context: ProcessContext) -> None:
        """Properties and the registry may have changed while the processor stood still."""
        self._release()

    def onStopped(self, context: ProcessContext) -> None:
        self._release()

    def _release(self) -> None:
        self._publisher.release()
        self._registry.release()

    def transform(self, context: ProcessContext, flowFile: Any) -> FlowFileTransformResult:
        def text(descriptor: PropertyDescriptor) -> str:
            return context.getProperty(descriptor).getValue() or ""

        try:
            page = Fetch.of({name: flowFile.getAttribute(name) for name in ATTRIBUTES})
            published = publish_dead_letters(
                flowFile.getContentsAsBytes(),
                page,
                text(self.FLOW_VERSION),
                text(self.TOPIC),
                self._publisher.get(lambda: KafkaPublisher(text(self.BROKERS), MAX_DEAD_LETTER_BYTES)),
                self._registry.get(lambda: SchemaRegistry(text(self.REGISTRY))),
            )
        except ProcessorError as error:
            self.logger.error(error.line)
            return FlowFileTransformResult("failure", {"publish:error": error.line})
        return FlowFileTransformResult("success", {"dead_letters:published": str(published)}, b"")
