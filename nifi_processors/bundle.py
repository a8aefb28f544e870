"""Make the folder that NiFi loads the processors from, and the version that names its content.

    DESTINATION/pull_run.py ...                       the thin classes, and nothing else
    DESTINATION/NAR-INF/bundled-dependencies/         this package, the schemas, and the libraries from the lock
    DESTINATION/NAR-INF/version                       the version, written last

NiFi then runs them with no package installer and no site-packages: what is in the folder is all they can import.
"""

import hashlib
import importlib.metadata
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parent
REQUIREMENTS = PACKAGE / "requirements.txt"
_NAME, _STAMP = "nifi_processors", Path("NAR-INF", "version")


class BundleError(Exception):
    """Raised when the folder cannot be made. str(): what was wrong. remedy: what to do next."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy


def build(destination: Path, requirements_lock: Path, schemas: Path, flow: Path) -> str:
    """Make or renew the folder and return the pipeline's version; a folder of that version already is left alone.

    requirements_lock: the project's lock; the libraries named in REQUIREMENTS are taken from the running environment
    and must be of the locked version. schemas: folder of the .avsc files. flow: the flow definition.
    The folder is made beside its place and then moved there, so it is never half there. Raises BundleError.
    """
    found = version(requirements_lock, schemas, flow)
    stamp = destination / _STAMP
    if stamp.is_file() and stamp.read_text() == found:
        return found
    fresh = destination.with_name(f".{destination.name}.new")
    stale = destination.with_name(f".{destination.name}.old")
    for leftover in (fresh, stale):
        shutil.rmtree(leftover, ignore_errors=True)
    _fill(fresh, requirements_lock, schemas)
    (fresh / _STAMP).write_text(found)
    if destination.exists():
        os.rename(destination, stale)
    os.rename(fresh, destination)
    shutil.rmtree(stale, ignore_errors=True)
    return found


def version(requirements_lock: Path, schemas: Path, flow: Path) -> str:
    """sha256 over the flow, the processors' code with its locked libraries, and the schemas. Raises BundleError."""
    parts = {"flow.json": flow.read_bytes()}
    parts |= {f"schemas/{path.name}": path.read_bytes() for path in _schemas(schemas)}
    parts |= {f"code/{path.relative_to(PACKAGE).as_posix()}": path.read_bytes() for path in _code()}
    parts |= {f"library/{name}": pin.encode() for name, pin in locked(requirements_lock).items()}
    digest = hashlib.sha256()
    for name, content in sorted(parts.items()):
        digest.update(f"{name} {hashlib.sha256(content).hexdigest()}\n".encode())
    return digest.hexdigest()


def locked(requirements_lock: Path) -> dict[str, str]:
    """The version that the lock gives for each library in REQUIREMENTS. Raises BundleError when it gives none."""
    pins = dict(re.findall(r"^([a-z0-9._-]+)==([^\s;\\]+)", requirements_lock.read_text(), re.MULTILINE))
    wanted = REQUIREMENTS.read_text().split()
    missing = sorted(set(wanted) - set(pins))
    if missing:
        raise BundleError(f"{requirements_lock} has no {', '.join(missing)}", "make the lock from pyproject.toml again")
    return {name: pins[name] for name in wanted}


def _code() -> Iterator[Path]:
    """Whatever NiFi runs of this package."""
    yield from sorted(path for path in PACKAGE.glob("*.py") if path != Path(__file__))
    yield from _processors()


def _processors() -> list[Path]:
    return sorted(path for path in (PACKAGE / "processors").glob("*.py") if path.name != "__init__.py")


def _schemas(folder: Path) -> list[Path]:
    found = sorted(folder.glob("*.avsc"))
    if not found:
        raise BundleError(f"no .avsc file in {folder}", "give the folder that holds the contract")
    return found


def _fill(folder: Path, requirements_lock: Path, schemas: Path) -> None:
    dependencies = folder / "NAR-INF" / "bundled-dependencies"
    package = dependencies / _NAME
    (package / "schemas").mkdir(parents=True)
    for path in _processors():
        shutil.copy(path, folder / path.name)
    for path in PACKAGE.glob("*.py"):
        if path != Path(__file__):
            shutil.copy(path, package / path.name)
    for path in _schemas(schemas):
        shutil.copy(path, package / "schemas" / path.name)
    for name, pin in locked(requirements_lock).items():
        _copy_library(name, pin, dependencies)


def _copy_library(name: str, pin: str, target: Path) -> None:
    """Copy what the library's wheel put into site-packages, and nothing that was installed outside of it."""
    remedy = "make the Python environment from the lock again"
    try:
        library = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        raise BundleError(f"{name} is not installed", remedy) from None
    if library.version != pin:
        raise BundleError(f"{name} is {library.version} here, but {pin} in the lock", remedy)
    for file in library.files or ():
        if ".." in file.parts or "__pycache__" in file.parts or not (source := Path(str(file.locate()))).is_file():
            continue
        place = target / file
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, place)
