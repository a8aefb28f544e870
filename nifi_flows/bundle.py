"""Make the folder that NiFi loads the processors from, and the version that names its content.

    DESTINATION/pull_run.py ...                       the thin classes, and nothing else
    DESTINATION/NAR-INF/bundled-dependencies/         nifi_processors, the schemas, and the libraries from the lock
    DESTINATION/NAR-INF/version                       the version, written last

NiFi then runs them with no package installer and no site-packages: what is in the folder is all they can import.
"""

import hashlib
import importlib.metadata
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from nifi_flows.errors import TerminalError

_NAME, _STAMP = "nifi_processors", Path("NAR-INF", "version")
_NOT_BUNDLED = "bundle.py"  # this module, where it is in older commits; their versions have to keep their names


@dataclass(frozen=True)
class Sources:
    """What the folder is made from.

    package: nifi_processors, in any checkout. schemas: folder of the .avsc files. lock: the project's
    requirements.lock; the libraries that the package's requirements.txt names are taken from the running environment
    and must be of the locked version.
    """

    package: Path
    schemas: Path
    lock: Path

    def processors(self) -> list[Path]:
        """The files with a processor class, one each."""
        return sorted(path for path in (self.package / "processors").glob("*.py") if path.name != "__init__.py")

    def modules(self) -> list[Path]:
        """The package's own modules, which the processors import."""
        return sorted(path for path in self.package.glob("*.py") if path.name != _NOT_BUNDLED)

    def contracts(self) -> list[Path]:
        """The .avsc files. Raises TerminalError when there is none."""
        found = sorted(self.schemas.glob("*.avsc"))
        if not found:
            raise TerminalError(f"no .avsc file in {self.schemas}", "give the folder that holds the contract")
        return found

    def libraries(self) -> dict[str, str]:
        """Name of each library in requirements.txt -> its locked version. Raises TerminalError for one not locked."""
        pins = dict(re.findall(r"^([a-z0-9._-]+)==([^\s;\\]+)", self.lock.read_text(), re.MULTILINE))
        wanted = (self.package / "requirements.txt").read_text().split()
        missing = sorted(set(wanted) - set(pins))
        if missing:
            raise TerminalError(f"{self.lock} has no {', '.join(missing)}", "make the lock from pyproject.toml again")
        return {name: pins[name] for name in wanted}


def build(destination: Path, sources: Sources) -> str:
    """Make or renew the folder and return its version; a folder of that version already is left alone.

    The folder is made beside its place and then moved there, so it is never half there. Raises TerminalError.
    """
    found = version(sources)
    if stamp(destination) == found:
        return found
    fresh = destination.with_name(f".{destination.name}.new")
    stale = destination.with_name(f".{destination.name}.old")
    for leftover in (fresh, stale):
        shutil.rmtree(leftover, ignore_errors=True)
    _fill(fresh, sources)
    (fresh / _STAMP).write_text(found)
    if destination.exists():
        os.rename(destination, stale)
    os.rename(fresh, destination)
    shutil.rmtree(stale, ignore_errors=True)
    return found


def stamp(folder: Path) -> str | None:
    """The version of a folder that `build` made, None when it is none."""
    try:
        return (folder / _STAMP).read_text()
    except OSError:
        return None


def version(sources: Sources) -> str:
    """sha256 over the processors' code with its locked libraries, and the schemas. Raises TerminalError."""
    parts = {f"schemas/{path.name}": path.read_bytes() for path in sources.contracts()}
    for path in (*sources.modules(), *sources.processors()):
        parts[f"code/{path.relative_to(sources.package).as_posix()}"] = path.read_bytes()
    parts |= {f"library/{name}": pin.encode() for name, pin in sources.libraries().items()}
    digest = hashlib.sha256()
    for name, content in sorted(parts.items()):
        digest.update(f"{name} {hashlib.sha256(content).hexdigest()}\n".encode())
    return digest.hexdigest()


def _fill(folder: Path, sources: Sources) -> None:
    dependencies = folder / "NAR-INF" / "bundled-dependencies"
    package = dependencies / _NAME
    (package / "schemas").mkdir(parents=True)
    for path in sources.processors():
        shutil.copy(path, folder / path.name)
    for path in sources.modules():
        shutil.copy(path, package / path.name)
    for path in sources.contracts():
        shutil.copy(path, package / "schemas" / path.name)
    for name, pin in sources.libraries().items():
        _copy_library(name, pin, dependencies)


def _copy_library(name: str, pin: str, target: Path) -> None:
    """Copy what the library's wheel put into site-packages, and nothing that was installed outside of it."""
    remedy = "make the Python environment from the lock again"
    try:
        library = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        raise TerminalError(f"{name} is not installed", remedy) from None
    if library.version != pin:
        raise TerminalError(f"{name} is {library.version} here, but {pin} in the lock", remedy)
    for file in library.files or ():
        if ".." in file.parts or "__pycache__" in file.parts or not (source := Path(str(file.locate()))).is_file():
            continue
        place = target / file
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, place)
