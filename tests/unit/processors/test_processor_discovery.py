"""What NiFi finds in the thin classes when it reads them."""

from pathlib import Path

import pytest

from nifi_flows.lint.python_processors import check_discovery
from tests.unit.processors.thin import FILES, PROCESSORS, SOURCES, processor


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
