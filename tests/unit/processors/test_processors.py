"""The thin classes: what NiFi finds in them, what they do with a FlowFile, and the folder they are shipped in."""

import importlib
import inspect
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import MagicMock

import pytest

from nifi_flows import bundle
from nifi_flows.lint.python_processors import check_discovery
from nifi_processors.contract import contract
from nifi_processors.errors import DeliveryError
from nifi_processors.py4j_bytes import register_bytes_converter
from tests.nifi_harness import FAKE, FakeFlowFile, FakeLogger, context

PROCESSORS = {"pull_run": "PullRun", "publish_users": "PublishUsers", "publish_dead_letters": "PublishDeadLetters"}
ROOT = Path(bundle.__file__).parents[1]
SOURCES = bundle.Sources(ROOT / "nifi_processors", ROOT / "nifi_flows" / "users", ROOT / "requirements.lock")
FILES = [SOURCES.package / "processors" / f"{module}.py" for module in PROCESSORS]

ATTRIBUTES = {
    "page.source": "randomuser",
    "page.seed": "s",
    "page.size": "2",
    "page.number": "1",
    "page.fetched_at": "1700000000000000",
}
VALID = b'{"name":{"first":"Ana","last":"Li"},"email":"a@b","login":{"uuid":"7a0eed16-9430-4d68-901f-c0d4c1c3bf00"}}'
KAFKA = {"kafka_brokers": "k:9092", "schema_registry_url": "http://r.test", "flow_version": "v1"}


def processor(module: str) -> Any:
    made = getattr(importlib.import_module(f"nifi_processors.processors.{module}"), PROCESSORS[module])(jvm=None)
    made.logger = FakeLogger()
    return made


class StubOutlet:
    """Stands for Kafka and the registry in a processor."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, int]] = []
        self.down = self.closed = False

    def schema_id(self, topic: str, name: str) -> int:
        return 1

    def send(self, topic: str, messages: list[Any], headers: Any = None) -> None:
        if self.down:
            raise DeliveryError("Kafka is down", "start it")
        self.sent.append((topic, len(messages)))

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def outlet(monkeypatch: pytest.MonkeyPatch) -> StubOutlet:
    stub = StubOutlet()
    for module in ("publish_users", "publish_dead_letters"):
        loaded = importlib.import_module(f"nifi_processors.processors.{module}")
        monkeypatch.setattr(loaded, "KafkaOutlet", lambda *_: stub)
    return stub


# --- discovery --------------------------------------------------------------------------------------------------------


def test_these_are_all_the_processors() -> None:
    assert sorted(path.stem for path in SOURCES.processors()) == sorted(PROCESSORS)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_nifi_would_discover_it(path: Path) -> None:
    assert check_discovery(path, {"nifi_processors"}) == []


def test_what_is_bundled_imports_only_what_is_bundled() -> None:
    libraries = {name.replace("-", "_") for name in SOURCES.libraries()}
    for path in SOURCES.package.glob("*.py"):
        complaints = [
            line for line in check_discovery(path, {"nifi_processors", "py4j", *libraries}) if "import" in line
        ]
        assert complaints == [], path


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ('version = "0.1.0"', "version = VERSION", "ProcessorDetails.version is not a literal str"),
        ("tags = [", "tags: list[str] = [", "ProcessorDetails.tags is not a literal list"),
        ("description = (", "description = str(", "ProcessorDetails.description is not a literal str"),
        (
            'implements = ["org.apache.nifi.python.processor.FlowFileSource"]',
            "implements = SOURCE",
            "implements names no processor interface",
        ),
        ("SEED = PropertyDescriptor(", "SEED: object = PropertyDescriptor(", "annotated PropertyDescriptor"),
        ('name="Seed",', 'name="Pages",', "two properties of one name"),
        ('name="Seed",', "name=NAME,", "SEED.name is not a literal text"),
        ("**kwargs: object", "jvm: object", "does not take **kwargs"),
        ("import time", "import requests", "import of requests"),
        ("class Java:", "class Jav:", "0 processor classes"),
        ("self._run: Run | None = None", 'self.x = PropertyDescriptor(name="x")', "belongs into the class body"),
    ],
)
def test_what_nifi_would_stumble_over_is_told(tmp_path: Path, old: str, new: str, complaint: str) -> None:
    text = FILES[0].read_text()
    assert old in text
    broken = tmp_path / "broken.py"
    broken.write_text(text.replace(old, new, 1))
    assert any(complaint in line for line in check_discovery(broken, {"nifi_processors"}))


@pytest.mark.parametrize("module", PROCESSORS)
def test_every_property_reads_well(module: str) -> None:
    for descriptor in processor(module).getPropertyDescriptors():
        assert descriptor.name.replace("URL", "Url").istitle()
        assert len(descriptor.description) > 30 and descriptor.description.endswith(".")
        assert descriptor.validators, descriptor.name


# --- PullRun ----------------------------------------------------------------------------------------------------------

RUN = {"source_url": "http://s.test/api/", "seed": "x", "page_size": "10", "pages": "2"}


def take(source: Any) -> str | None:
    """One trigger, as NiFi's proxy does it: create, then read relationship, attributes and contents."""
    result = source.createFlowFile()
    if result is None:
        return None
    assert result.getRelationship() == "success"
    page = str(result.getAttributes()["page.number"])
    assert result.getContents() is None
    return page


def test_a_run_is_pulled_and_rests_without_asking_nifi() -> None:
    source = processor("pull_run")
    nifi = context(source, **RUN)
    source.onScheduled(nifi)
    source.setContext(nifi)
    assert [take(source) for _ in range(4)] == ["1", "2", None, None]
    assert nifi.state_manager.stored == {"run": "randomuser/x/10", "next_page": "3"}
    asked = nifi.state_manager.calls
    assert [take(source) for _ in range(5)] == [None] * 5
    assert nifi.state_manager.calls == asked


def test_a_new_process_goes_on_from_the_state_and_repeats_the_page_in_doubt() -> None:
    source = processor("pull_run")
    nifi = context(source, **RUN)
    source.setContext(nifi)
    assert [take(source), take(source)] == ["1", "2"]
    restarted = processor("pull_run")
    restarted.setContext(nifi)
    assert [take(restarted), take(restarted)] == ["2", None]


def test_a_page_that_nifi_could_not_read_is_named_again() -> None:
    source = processor("pull_run")
    source.setContext(context(source, **RUN))
    assert source.createFlowFile().getAttributes()["page.number"] == "1"
    assert [take(source), take(source)] == ["1", "2"]


def test_no_page_is_named_while_the_state_cannot_be_written() -> None:
    from nifiapi.componentstate import StateException

    source = processor("pull_run")
    nifi = context(source, **RUN)
    source.setContext(nifi)
    assert take(source) == "1"
    nifi.state_manager.broken = True
    with pytest.raises(StateException):
        take(source)
    assert nifi.state_manager.stored == {}
    nifi.state_manager.broken = False
    assert take(source) == "2"
    assert nifi.state_manager.stored["next_page"] == "2"


def test_changed_properties_count_from_the_next_start() -> None:
    source = processor("pull_run")
    nifi = context(source, **RUN)
    source.setContext(nifi)
    assert take(source) == "1"
    changed = context(source, **{**RUN, "seed": "y"})
    changed.state_manager = nifi.state_manager
    source.onScheduled(changed)
    source.setContext(changed)
    assert take(source) == "1"
    assert take(source) == "2"
    assert nifi.state_manager.stored["run"] == "randomuser/y/10"


def test_the_interval_is_kept() -> None:
    source = processor("pull_run")
    source.setContext(context(source, **RUN, interval="10 min"))
    assert [take(source), take(source)] == ["1", None]


@pytest.mark.parametrize(
    ("values", "subjects"),
    [({}, []), ({"page_size": "5001"}, ["Page Size"]), ({"source_name": "a/b", "page_size": "5000"}, ["Source Name"])],
)
def test_what_no_validator_of_nifi_checks(values: dict[str, str], subjects: list[str]) -> None:
    source = processor("pull_run")
    assert [result.subject for result in source.customValidate(context(source, **{**RUN, **values}))] == subjects


# --- PublishUsers -----------------------------------------------------------------------------------------------------


def publish(
    content: bytes, attributes: dict[str, str] = ATTRIBUTES, size: int | None = None
) -> tuple[Any, Any, FakeFlowFile]:
    users = processor("publish_users")
    users.setContext(context(users, **KAFKA))
    flowfile = FakeFlowFile(content, attributes, size)
    return users, users.transformFlowFile(flowfile), flowfile


def test_a_valid_page_leaves_empty_with_its_counts(outlet: StubOutlet) -> None:
    _, result, _ = publish(b'{"results":[' + VALID + b"," + VALID + b"]}")
    assert (result.getRelationship(), result.getContents()) == ("success", b"")
    assert result.getAttributes() == {"users.fetched": "2", "users.published": "2", "users.invalid": "0"}
    assert outlet.sent == [("user_data_topic", 2), ("user_data_topic.pages", 1)]


def test_invalid_users_leave_as_lines(outlet: StubOutlet) -> None:
    _, result, _ = publish(b'{"results":[' + VALID + b',{"email" : 1},"\xff"]}')
    assert result.getAttributes() == {"users.fetched": "3", "users.published": "1", "users.invalid": "2"}
    lines = result.getContents().decode().splitlines()
    assert [json.loads(line) for line in lines] == [
        {
            "reasons": ["missing:id", "missing:first_name", "missing:last_name", "not_text:email"],
            "position": 1,
            "original": '{"email" : 1}',
        },
        {"reasons": ["not_json"], "position": 2, "original": '"\udcff"'},
    ]


def test_what_is_no_page_is_refused_with_its_content(outlet: StubOutlet) -> None:
    _, result, _ = publish(b"<html>")
    assert (result.getRelationship(), result.getContents()) == ("refused", None)
    assert result.getAttributes() == {"page.error": "page_not_json"}
    assert outlet.sent == []


def test_a_huge_page_is_refused_unread(outlet: StubOutlet) -> None:
    _, result, flowfile = publish(b"", size=64 * 1024 * 1024 + 1)
    assert (result.getRelationship(), result.getAttributes()) == ("refused", {"page.error": "page_too_large"})
    assert flowfile.read == 0


def test_when_kafka_is_down_the_page_waits_and_one_line_says_why(outlet: StubOutlet) -> None:
    outlet.down = True
    users, result, _ = publish(b'{"results":[' + VALID + b"]}")
    assert (result.getRelationship(), result.getContents()) == ("failure", None)
    assert result.getAttributes() == {"publish.error": "Kafka is down; start it"}
    assert users.logger.lines == [("error", "Kafka is down; start it")]


def test_a_page_without_its_attributes_waits_too(outlet: StubOutlet) -> None:
    _, result, _ = publish(b'{"results":[' + VALID + b"]}", {**ATTRIBUTES, "page.number": "x"})
    assert result.getRelationship() == "failure"
    assert "page.number='x'" in result.getAttributes()["publish.error"]


@pytest.mark.parametrize("module", ["publish_users", "publish_dead_letters"])
def test_stopping_closes_the_way_out_and_starting_again_opens_it(module: str, outlet: StubOutlet) -> None:
    made = processor(module)
    nifi = context(made, **KAFKA)
    made.setContext(nifi)
    made.onStopped(nifi)
    content = b'{"results":[' + VALID + b"]}" if module == "publish_users" else b""
    assert made.transformFlowFile(FakeFlowFile(content, ATTRIBUTES)).getRelationship() == "success"
    assert not outlet.closed
    made.onStopped(nifi)
    assert outlet.closed
    assert made.transformFlowFile(FakeFlowFile(content, ATTRIBUTES)).getRelationship() == "success"


def test_bytes_come_over_nifis_bridge_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    protocol: Any = importlib.import_module("py4j.protocol")
    monkeypatch.setattr(protocol, "OUTPUT_CONVERTER", dict(protocol.OUTPUT_CONVERTER))
    for content in (b"", bytes(range(256)) * 300):
        register_bytes_converter()
        answer = "y" + protocol.BYTES_TYPE + protocol.encode_bytearray(content)
        received = protocol.get_return_value(answer, None)
        assert received == content and type(received) is bytes
    converter = protocol.OUTPUT_CONVERTER[protocol.BYTES_TYPE]
    assert converter.__module__ == "nifi_processors.py4j_bytes"


# --- PublishDeadLetters -----------------------------------------------------------------------------------------------


def test_what_publish_users_hands_on_becomes_dead_letters(outlet: StubOutlet) -> None:
    _, result, _ = publish(b'{"results":[' + VALID + b',{},"\xff"]}')
    letters = processor("publish_dead_letters")
    letters.setContext(context(letters, **KAFKA))
    done = letters.transformFlowFile(FakeFlowFile(result.getContents(), ATTRIBUTES))
    assert (done.getRelationship(), done.getContents()) == ("success", b"")
    assert done.getAttributes() == {"dead_letters.published": "2"}
    assert outlet.sent[-1] == ("user_data_topic.dlq", 2)


def test_dead_letters_wait_when_kafka_is_down(outlet: StubOutlet) -> None:
    letters = processor("publish_dead_letters")
    letters.setContext(context(letters, **KAFKA))
    outlet.down = True
    line = b'{"reasons":["not_json"],"position":0,"original":"x"}'
    result = letters.transformFlowFile(FakeFlowFile(line, ATTRIBUTES))
    assert (result.getRelationship(), result.getContents()) == ("failure", None)
    assert letters.logger.lines == [("error", "Kafka is down; start it")]


# --- the folder -------------------------------------------------------------------------------------------------------


@pytest.fixture
def made(tmp_path: Path) -> tuple[Path, str]:
    folder = tmp_path / "nifi" / "extensions"
    folder.parent.mkdir()
    return folder, bundle.build(folder, SOURCES)


@pytest.fixture
def sources(tmp_path: Path) -> bundle.Sources:
    """Sources that may be changed."""
    shutil.copytree(SOURCES.package, tmp_path / "package")
    shutil.copytree(SOURCES.schemas, tmp_path / "schemas")
    shutil.copy(SOURCES.lock, tmp_path / "lock")
    return bundle.Sources(tmp_path / "package", tmp_path / "schemas", tmp_path / "lock")


def test_the_folder_has_only_processors_at_its_root(made: tuple[Path, str]) -> None:
    folder, found = made
    assert sorted(path.name for path in folder.iterdir()) == sorted(["NAR-INF", *(f"{name}.py" for name in PROCESSORS)])
    inside = folder / "NAR-INF" / "bundled-dependencies"
    assert {"confluent_kafka", "fastavro", "msgspec", "nifi_processors"} <= {path.name for path in inside.iterdir()}
    assert (inside / "nifi_processors" / "schemas" / "user.avsc").read_text() == contract("user").text
    assert not (inside / "nifi_processors" / "bundle.py").exists()
    assert len(found) == 64 and list(folder.parent.iterdir()) == [folder]
    assert bundle.stamp(folder) == found and bundle.stamp(folder.parent) is None


def test_the_bundle_runs_by_itself(made: tuple[Path, str]) -> None:
    folder, _ = made
    paths = [FAKE, folder, folder / "NAR-INF" / "bundled-dependencies"]
    script = "import pull_run, publish_users, publish_dead_letters, nifi_processors; print(nifi_processors.__file__)"
    done = subprocess.run(
        [sys.executable, "-S", "-c", script],
        env={"PYTHONPATH": os.pathsep.join(map(str, paths))},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert Path(done.stdout.strip()).is_relative_to(folder)


def test_the_same_version_is_not_made_again(made: tuple[Path, str]) -> None:
    folder, found = made
    (folder / "mark").touch()
    assert bundle.build(folder, SOURCES) == found
    assert (folder / "mark").exists()


def test_a_changed_schema_is_a_new_version_in_the_same_place(made: tuple[Path, str], sources: bundle.Sources) -> None:
    folder, found = made
    (folder / "mark").touch()
    (sources.schemas / "user.avsc").write_text("{}")
    assert bundle.build(folder, sources) != found
    assert not (folder / "mark").exists()


def test_each_part_counts_in_the_version(sources: bundle.Sources) -> None:
    seen = [bundle.version(sources)]
    assert seen == [bundle.version(SOURCES)]
    lock = sources.lock.read_text()
    fastavro = re.search(r"^fastavro==\S+", lock, re.MULTILINE)
    assert fastavro
    for path, text in [
        (sources.lock, lock.replace(fastavro[0], "fastavro==2")),
        (sources.schemas / "user.avsc", "[]"),
        (sources.schemas / "new.avsc", "{}"),
        (sources.package / "validate.py", ""),
        (sources.package / "processors" / "pull_run.py", ""),
    ]:
        path.write_text(text)
        seen.append(bundle.version(sources))
    assert len(set(seen)) == len(seen)
    sources.lock.write_text(sources.lock.read_text() + "else==2\n")
    (sources.package / "bundle.py").write_text("")
    assert bundle.version(sources) == seen[-1]


def test_a_library_that_is_not_the_locked_one_is_named_and_nothing_is_left(
    tmp_path: Path, sources: bundle.Sources
) -> None:
    sources.lock.write_text("msgspec==0.0.1\nfastavro==0.0.1\nconfluent-kafka==0.0.1\n")
    with pytest.raises(bundle.BundleError, match=r"confluent-kafka is .* here, but 0\.0\.1 in the lock"):
        bundle.build(tmp_path / "ext", sources)
    assert not (tmp_path / "ext").exists()
    sources.lock.write_text("msgspec==0.0.1\n")
    with pytest.raises(bundle.BundleError, match="has no confluent-kafka, fastavro"):
        bundle.build(tmp_path / "ext", sources)


# --- the real API -----------------------------------------------------------------------------------------------------

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
def test_results_are_the_real_ones(real: None, outlet: StubOutlet) -> None:
    users = processor("publish_users")
    values = {"Kafka Brokers": "k:9092", "Topic": "t", "Schema Registry URL": "http://r.test", "Flow Version": "v1"}
    nifi = MagicMock()
    nifi.getProperty = lambda descriptor: MagicMock(getValue=lambda: values[descriptor.name])
    users.process_context = nifi
    result = users.transformFlowFile(FakeFlowFile(b'{"results":[' + VALID + b"]}", ATTRIBUTES))
    assert result.Java.implements == ["org.apache.nifi.python.processor.FlowFileTransformResult"]
    assert result.getAttributes() == {"users.fetched": "1", "users.published": "1", "users.invalid": "0"}
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
    assert first.getAttributes()["page.url"] == "http://s.test/api/?results=10&page=1&seed=x"
    first.getContents()
    assert [take(source), take(source)] == ["2", None]
    assert stored == {"run": "randomuser/x/10", "next_page": "3"}
