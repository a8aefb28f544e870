import importlib

import pytest

from tests.unit.processors.thin import StubKafka


@pytest.fixture
def kafka(monkeypatch: pytest.MonkeyPatch) -> StubKafka:
    stub = StubKafka()
    for module in ("publish_users", "publish_dead_letters"):
        loaded = importlib.import_module(f"nifi_processors.processors.{module}")
        monkeypatch.setattr(loaded, "KafkaPublisher", lambda *_: stub)
        monkeypatch.setattr(loaded, "SchemaRegistry", lambda *_: stub)
    return stub
