"""The thin classes that NiFi loads, for tests: made without a JVM, and with stand-ins for Kafka and the registry."""

import importlib
from pathlib import Path
from typing import Any

from nifi_flows import bundle
from nifi_processors.errors import DeliveryError
from tests.nifi_harness import FakeLogger

PROCESSORS = {"pull_run": "PullRun", "publish_users": "PublishUsers", "publish_dead_letters": "PublishDeadLetters"}
ROOT = Path(bundle.__file__).parents[1]
SOURCES = bundle.Sources(ROOT / "nifi_processors", ROOT / "nifi_flows" / "users", ROOT / "requirements.lock")
FILES = [SOURCES.package / "processors" / f"{module}.py" for module in PROCESSORS]

ATTRIBUTES = {
    "page:source": "randomuser",
    "page:url_digest": "325265a0",
    "page:seed": "s",
    "page:size": "2",
    "page:number": "1",
    "page:fetched_at": "1700000000000000",
    "page:flow_version": "v1",
}
VALID = b'{"name":{"first":"Ana","last":"Li"},"email":"a@b","login":{"uuid":"7a0eed16-9430-4d68-901f-c0d4c1c3bf00"}}'
KAFKA = {"kafka_brokers": "k:9092", "schema_registry_url": "http://r.test", "flow_version": "v1"}
RUN = {"source_url": "http://s.test/api/", "seed": "x", "page_size": "10", "pages": "2"}


def processor(module: str) -> Any:
    made = getattr(importlib.import_module(f"nifi_processors.processors.{module}"), PROCESSORS[module])(jvm=None)
    made.logger = FakeLogger()
    return made


def take(source: Any) -> str | None:
    """One trigger, as NiFi's proxy does it: create, then read relationship, attributes and contents."""
    result = source.createFlowFile()
    if result is None:
        return None
    assert result.getRelationship() == "success"
    page = str(result.getAttributes()["page:number"])
    assert result.getContents() is None
    return page


class StubKafka:
    """Stands for Kafka and the registry in a processor."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, int]] = []
        self.down = False
        self.closed = 0

    def schema_id(self, topic: str, name: str) -> int:
        return 1

    def send(self, topic: str, messages: list[Any], headers: Any = None) -> None:
        if self.down:
            raise DeliveryError("Kafka is down", "start it")
        self.sent.append((topic, len(messages)))

    def close(self) -> None:
        self.closed += 1
