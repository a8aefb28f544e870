"""The folder that NiFi loads the processors from."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from nifi_flows import bundle
from nifi_flows.errors import TerminalError
from nifi_processors.contract import contract
from tests.nifi_harness import FAKE
from tests.unit.processors.thin import PROCESSORS, SOURCES


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
    with pytest.raises(TerminalError, match=r"confluent-kafka is .* here, but 0\.0\.1 in the lock"):
        bundle.build(tmp_path / "ext", sources)
    assert not (tmp_path / "ext").exists()
    sources.lock.write_text("msgspec==0.0.1\n")
    with pytest.raises(TerminalError, match="has no confluent-kafka, fastavro"):
        bundle.build(tmp_path / "ext", sources)
