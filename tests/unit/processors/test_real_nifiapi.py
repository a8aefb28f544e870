"""The fake API against NiFi's own, and the thin classes on NiFi's own."""

import importlib
import inspect
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import MagicMock

import pytest

from tests.nifi_harness import FakeFlowFile
from tests.unit.processors.thin import ATTRIBUTES, PROCESSORS, RUN, SOURCES, VALID, StubKafka, processor, take

API = os.environ.get("PIPELINE_NIFIAPI", "")
needs_nifi = pytest.mark.skipif(
    not Path(API, "nifiapi").is_dir() or not API,
    reason="PIPELINE_NIFIAPI names no folder with NiFi's nifiapi; ./scripts/test gives it",
)


class JavaMap(dict[str, str]):
    put = dict.__setitem__


@pytest.fixture
def real() -> Iterator[None]:
    """NiFi's own nifiapi and framework instead of the fake, with a JVM that takes any call."""
    ours = ("nifiapi", "nifi_processors.processors", "ProcessorInspection", "ExtensionDetails", "BundleCoordinate")
    kept = {name: sys.modules.pop(name) for name in list(sys.modules) if name.startswith(ours)}
    paths = [API, str(Path(API).parent / "framework")]
    sys.path[:0] = paths
    holder: Any = importlib.import_module("nifiapi.__jvm__")
    holder.JvmHolder.jvm, holder.JvmHolder.gateway = MagicMock(), MagicMock()
    holder.JvmHolder.jvm.java.util.HashMap = JavaMap
    yield
    for name in [name for name in sys.modules if name.startswith(ours)]:
        del sys.modules[name]
    sys.modules.update(kept)
    for path in paths:
        sys.path.remove(path)


def _public(module: ModuleType) -> dict[str, Any]:
    classes = inspect.getmembers(module, inspect.isclass)
    return {name: value for name, value in classes if value.__module__ == module.__name__}


MODULES = ("componentstate", "flowfilesource", "flowfiletransform", "properties", "relationship")


@pytest.fixture
def fakes(request: pytest.FixtureRequest) -> dict[str, dict[str, Any]]:
    """The fake's classes by module, read before the real ones take their place."""
    return {name: _public(importlib.import_module(f"nifiapi.{name}")) for name in MODULES}


@needs_nifi
@pytest.mark.parametrize("module", MODULES)
def test_the_fake_is_like_the_real(module: str, fakes: dict[str, dict[str, Any]], real: None) -> None:
    theirs = _public(importlib.import_module(f"nifiapi.{module}"))
    for name, fake in fakes[module].items():
        genuine = theirs[name]
        for member, value in vars(fake).items():
            if (member.startswith("_") and member != "__init__") or member in {"value", "broken"}:
                continue
            assert hasattr(genuine, member), f"{name}.{member}"
            if inspect.isfunction(value):
                told, held = (_parameters(one) for one in (value, getattr(genuine, member)))
                assert told == held, f"{name}.{member}"


def _parameters(function: Any) -> list[tuple[str, object]]:
    found = inspect.signature(function).parameters.values()
    return [(one.name, repr(one.default).partition(".")[2] or repr(one.default)) for one in found]


@needs_nifi
@pytest.mark.parametrize(("module", "name"), PROCESSORS.items())
def test_nifi_itself_discovers_it(module: str, name: str, real: None) -> None:
    inspection: Any = importlib.import_module("ProcessorInspection")
    path = str(SOURCES.package / "processors" / f"{module}.py")
    [node] = inspection.get_processor_class_nodes(path)
    details = inspection.get_processor_details(node, path, str(SOURCES.package), dependencies_bundled=True)
    assert (details.type, details.version, details.dependencies) == (name, "0.1.0", [])
    base = "FlowFileSource" if name == "PullRun" else "FlowFileTransform"
    assert details.interfaces == [f"org.apache.nifi.python.processor.{base}"]
    assert len(details.description) > 100 and len(details.tags) >= 4
    made = getattr(importlib.import_module(f"nifi_processors.processors.{module}"), name)(jvm=MagicMock())
    described = {one.name: one for one in details.property_descriptions}
    assert list(described) == [descriptor.name for descriptor in made.getPropertyDescriptors()]
    for descriptor in made.getPropertyDescriptors():
        seen = described[descriptor.name]
        assert (seen.description, seen.required, seen.default_value) == (
            descriptor.description,
            descriptor.required,
            descriptor.defaultValue,
        )


@needs_nifi
def test_results_are_the_real_ones(real: None, kafka: StubKafka) -> None:
    users = processor("publish_users")
    values = {"Kafka Brokers": "k:9092", "Topic": "t", "Schema Registry URL": "http://r.test", "Flow Version": "v1"}
    nifi = MagicMock()
    nifi.getProperty = lambda descriptor: MagicMock(getValue=lambda: values[descriptor.name])
    users.process_context = nifi
    result = users.transformFlowFile(FakeFlowFile(b'{"results":[' + VALID + b"]}", ATTRIBUTES))
    assert result.Java.implements == ["org.apache.nifi.python.processor.FlowFileTransformResult"]
    assert result.getAttributes() == {"users:fetched": "1", "users:published": "1", "users:invalid": "0"}
    assert result.getContents() == b""


@needs_nifi
def test_a_page_is_a_real_result_and_the_cursor_is_kept_through_the_real_state(real: None) -> None:
    source = processor("pull_run")
    values = {**RUN, "source_name": "randomuser", "interval": "0 sec"}
    stored: dict[str, str] = {}
    java_state = MagicMock()
    java_state.setState = lambda state, scope: stored.update(state)
    java_state.getState.return_value.toMap.return_value.entrySet.return_value.iterator.return_value.hasNext = bool
    states: Any = importlib.import_module("nifiapi.componentstate")
    nifi = MagicMock()
    nifi.getProperty = lambda descriptor: MagicMock(
        getValue=lambda: values[descriptor.name.lower().replace(" ", "_")], asTimePeriod=lambda unit: 0
    )
    nifi.getStateManager = lambda: states.StateManager(java_state)
    source.process_context = nifi
    first = source.createFlowFile()
    assert first.Java.implements == ["org.apache.nifi.python.processor.FlowFileSourceResult"]
    assert first.getAttributes()["page:url"] == "http://s.test/api/?results=10&page=1&seed=x"
    first.getContents()
    assert [take(source), take(source)] == ["2", None]
    assert stored == {"run": "randomuser@325265a0/x/10", "next_page": "3", "first_page": "1"}
