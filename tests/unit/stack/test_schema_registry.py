"""What the registry's answers mean, and what is said when it gives none."""

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from nifi_flows.errors import TerminalError, TransientError
from scripts.bootstrap import ROOT
from scripts.stack import schema_registry
from scripts.stack.settings import Settings
from tests.unit.fake_registry import FakeRegistry

SCHEMA = '{"type": "string"}'
LATEST = "POST /compatibility/subjects/u-value/versions/latest"


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeRegistry]:
    fake = FakeRegistry()
    monkeypatch.setattr("scripts.stack.engines.registry.address", lambda _: fake.url)
    yield fake
    fake.close()


@pytest.fixture
def settings() -> Settings:
    return Settings()


def test_subjects(fake: FakeRegistry, settings: Settings) -> None:
    fake.answers["GET /subjects"] = ["a", "b"]
    assert schema_registry.subjects(settings) == ["a", "b"]


def test_a_schema_is_registered_or_not(fake: FakeRegistry, settings: Settings) -> None:
    assert not schema_registry.registered(settings, "u-value", SCHEMA)
    fake.answers["POST /subjects/u-value"] = {"subject": "u-value", "id": 3, "version": 1, "schema": SCHEMA}
    assert schema_registry.registered(settings, "u-value", SCHEMA)


def test_registering_gives_the_id(fake: FakeRegistry, settings: Settings) -> None:
    fake.answers["POST /subjects/u-value/versions"] = {"id": 7}
    assert schema_registry.register(settings, "u-value", SCHEMA) == 7


@pytest.mark.parametrize("status", [409, 422])
def test_what_the_registry_refuses_is_terminal_with_its_reason(
    fake: FakeRegistry, settings: Settings, status: int
) -> None:
    fake.answers["POST /subjects/u-value/versions"] = status, {"error_code": status, "message": "no default for b"}
    with pytest.raises(TerminalError, match="refuses the schema of u-value: no default for b") as caught:
        schema_registry.register(settings, "u-value", SCHEMA)
    assert "backward compatible" in caught.value.remedy


def test_a_compatible_schema_and_the_first_of_a_subject_pass(fake: FakeRegistry, settings: Settings) -> None:
    schema_registry.check_compatible(settings, "u-value", SCHEMA)
    fake.answers[LATEST] = {"is_compatible": True}
    schema_registry.check_compatible(settings, "u-value", SCHEMA)
    assert fake.asked == [LATEST, LATEST]


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ({"is_compatible": False, "messages": ["at /b", "at /c"]}, "at /b; at /c"),
        ({"is_compatible": False}, "it is not backward compatible"),
        ((422, {"error_code": 42201, "message": "no schema"}), "no schema"),
    ],
)
def test_an_incompatible_schema_is_refused_with_the_reasons(
    fake: FakeRegistry, settings: Settings, answer: Any, why: str
) -> None:
    fake.answers[LATEST] = answer
    with pytest.raises(TerminalError, match=f"refuses the schema of u-value: {why}$"):
        schema_registry.check_compatible(settings, "u-value", SCHEMA)


def test_a_schema_by_its_id(fake: FakeRegistry, settings: Settings) -> None:
    fake.answers["GET /schemas/ids/5"] = {"schema": SCHEMA}
    assert schema_registry.schema(settings, 5) == SCHEMA
    assert schema_registry.schema(settings, 6) is None


CALLS: dict[str, Callable[[Settings], object]] = {
    "subjects": schema_registry.subjects,
    "registered": lambda settings: schema_registry.registered(settings, "u-value", SCHEMA),
    "check_compatible": lambda settings: schema_registry.check_compatible(settings, "u-value", SCHEMA),
    "register": lambda settings: schema_registry.register(settings, "u-value", SCHEMA),
    "schema": lambda settings: schema_registry.schema(settings, 5),
}
each_call = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)


@each_call
def test_a_registry_that_is_away_is_transient(
    monkeypatch: pytest.MonkeyPatch, settings: Settings, call: Callable[[Settings], object]
) -> None:
    monkeypatch.setattr("scripts.stack.engines.registry.address", lambda _: "http://127.0.0.1:1")
    with pytest.raises(TransientError, match=re.escape("registry at http://127.0.0.1:1 does not answer")) as caught:
        call(settings)
    assert caught.value.remedy == "see ./scripts/pipeline logs registry"


@each_call
def test_a_registry_that_fails_is_transient_and_asked_once(
    fake: FakeRegistry, settings: Settings, call: Callable[[Settings], object]
) -> None:
    for path in ("GET /subjects", "POST /subjects/u-value", LATEST, "GET /schemas/ids/5"):
        fake.answers[path] = 503, {"message": "starting"}
    fake.answers["POST /subjects/u-value/versions"] = 503, {"message": "starting"}
    with pytest.raises(TransientError, match=r"answered 503 for (subjects|u-value|schema 5): starting"):
        call(settings)
    assert len(fake.asked) == 1


def test_a_proxy_of_the_environment_is_not_asked(
    fake: FakeRegistry, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    fake.answers["GET /subjects"] = []
    assert schema_registry.subjects(settings) == []


def test_the_library_is_imported_only_to_ask() -> None:
    code = "import sys, scripts.stack.schema_registry; sys.exit('confluent_kafka.schema_registry' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
