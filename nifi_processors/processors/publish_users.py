"""PublishUsers: a page of users in, its valid users in Kafka, the invalid ones out."""

# ruff: noqa: RUF012 - NiFi reads these classes as syntax and knows plain lists only
from typing import Any

from nifiapi.flowfiletransform import FlowFileTransform, FlowFileTransformResult
from nifiapi.properties import ProcessContext, PropertyDescriptor, StandardValidators
from nifiapi.relationship import Relationship

from nifi_processors.errors import PageRefused, ProcessorError
from nifi_processors.lazy import Lazy
from nifi_processors.page import MAX_BYTES
from nifi_processors.publish import ATTRIBUTES, Fetch, publish_page
from nifi_processors.publisher import KafkaPublisher
from nifi_processors.py4j_bytes import register_bytes_converter
from nifi_processors.py4j_sockets import acknowledge_at_once
from nifi_processors.registry import SchemaRegistry
from nifi_processors.stamp import STAMP, outdated

register_bytes_converter()
acknowledge_at_once()


class PublishUsers(FlowFileTransform):
    class Java:
        implements = ["org.apache.nifi.python.processor.FlowFileTransform"]

    class ProcessorDetails:
        version = "0.1.0"
        tags = ["users", "validate", "avro", "kafka", "schema registry"]
        description = (
            "Takes a page of users as the source sent it. Flattens, normalises and validates every user, publishes "
            "the valid ones to Kafka as Avro under the schema registry's id, waits until all are acknowledged, and "
            "then publishes the page's receipt to '<Topic>.pages'. What remains are the invalid users, as JSON lines "
            "with reasons and the exact original text. Counts are in users:fetched, users:published and users:invalid; "
            "users:unusable counts the optional values that were left out, field by field. "
            "A page that was stamped under another flow version than this one goes to outdated, unpublished and with "
            "another time."
        )

    BROKERS = PropertyDescriptor(
        name="Kafka Brokers",
        description="Brokers to start from, as host:port, separated by commas.",
        required=True,
        validators=[StandardValidators.HOSTNAME_PORT_LIST_VALIDATOR],
    )
    TOPIC = PropertyDescriptor(
        name="Topic",
        description="Topic for the valid users. Receipts go to the topic of this name with '.pages' after it. Both "
        "exist before the flow runs, and their schemas are registered.",
        required=True,
        default_value="user_data_topic",
        validators=[StandardValidators.NON_EMPTY_VALIDATOR],
    )
    REGISTRY = PropertyDescriptor(
        name="Schema Registry URL",
        description="Base address of the registry's Confluent API. Schema ids are looked up there; nothing is ever "
        "registered from here.",
        required=True,
        validators=[StandardValidators.URL_VALIDATOR],
    )
    FLOW_VERSION = PropertyDescriptor(
        name="Flow Version",
        description="Version of the deployed pipeline. It is written into every user and receipt.",
        required=True,
        validators=[StandardValidators.NON_EMPTY_VALIDATOR],
    )

    property_descriptors = [BROKERS, TOPIC, REGISTRY, FLOW_VERSION]

    relationships = [
        Relationship("success", "The page was published; the content holds its invalid users, if any, as JSON lines"),
        Relationship(
            "outdated", "The page was stamped under another flow version. It has another time, or none: stamp it"
        ),
        Relationship("refused", "The content is no page of users; page:error says why. Fetch the page again"),
    ]

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

        if flowFile.getSize() > MAX_BYTES:
            return self._refused("page_too_large")
        try:
            attributes = {name: flowFile.getAttribute(name) for name in (*ATTRIBUTES, *STAMP)}
            page, version = Fetch.of(attributes), text(self.FLOW_VERSION)
            if moved := outdated(attributes, page.fetched_at, version):
                return FlowFileTransformResult("outdated", moved)
            found = publish_page(
                flowFile.getContentsAsBytes(),
                page,
                version,
                text(self.TOPIC),
                self._publisher.get(lambda: KafkaPublisher(text(self.BROKERS))),
                self._registry.get(lambda: SchemaRegistry(text(self.REGISTRY))),
            )
        except PageRefused as refusal:
            return self._refused(refusal.code)
        except ProcessorError as error:
            self.logger.error(error.line)
            return FlowFileTransformResult("failure", {"publish:error": error.line})
        counts = {
            "users:fetched": str(found.fetched),
            "users:published": str(len(found.messages)),
            "users:invalid": str(len(found.invalid)),
        }
        if found.unusable:
            unusable = ", ".join(f"{field} {count}" for field, count in sorted(found.unusable.items()))
            self.logger.info(f"{page.origin}: users without a field that could not be used: {unusable}")
            counts["users:unusable"] = unusable
        lines = "".join(letter.line() + "\n" for letter in found.invalid)
        return FlowFileTransformResult("success", counts, lines.encode())

    def _refused(self, code: str) -> FlowFileTransformResult:
        return FlowFileTransformResult("refused", {"page:error": code})
