"""Lay the fetched files out as each engine wants them: CACHE/installs/LOCK/..., made once and never changed."""

import errno
import fcntl
import hashlib
import platform
import shutil
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nifi_flows.errors import TerminalError
from nifi_flows.files import UNFINISHED, new_folder
from scripts.stack.engines import ARTIFACTS
from scripts.stack.layout import Artifacts, Installed
from scripts.stack.lock import Artifact, Lock, load

_LAYOUT = 1  # to be raised with every change of what is made out of the same files
_MACHINE = ("Linux", "x86_64")  # what the JDKs of the lock run on


def ensure(cache: Path, maven: str) -> Installed:
    """The engines of the lock, fetched and laid out if they are not there; at once if they are.

    Raises what `fetch.fetch` and `install` raise.
    """
    lock = load()
    root = _root(lock, cache)
    if not root.is_dir():
        from scripts.stack import fetch  # with what shows progress and asks again

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
    wanted = {
        root / path: size
        for artifacts, locked in _roles(lock)
        for path, size in artifacts.layout.contents(locked).items()
    }
    return [path for path, size in wanted.items() if not path.exists() or size not in (None, path.stat().st_size)]


def install(lock: Lock, cache: Path) -> Installed:
    """Lay out the fetched files of a lock. Raises TerminalError when there is no room or a file is not as expected.

    The folder is built elsewhere and renamed, so a half-made one never shows; what a killed run left is removed.
    """
    root = _root(lock, cache)
    if root.is_dir():
        return Installed(root)

    from scripts.stack import fetch

    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        with _alone(root.parent):
            if not root.is_dir():
                for leftover in root.parent.glob(f"{UNFINISHED}*"):
                    shutil.rmtree(leftover, ignore_errors=True)
                with new_folder(root) as unfinished:
                    for artifacts, locked in _roles(lock):
                        artifacts.layout.lay_out([fetch.place(cache, artifact) for artifact in locked], unfinished)
    except (OSError, tarfile.TarError, zipfile.BadZipFile) as error:
        full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise TerminalError(
            f"the engines cannot be unpacked in {cache}: {error}",
            "free some space, or set PIPELINE_CACHE to a folder on another disk" if full else "check that folder",
        ) from error
    return Installed(root)


def _root(lock: Lock, cache: Path) -> Path:
    name = hashlib.sha256(f"{_LAYOUT} {lock.digest}".encode()).hexdigest()
    return cache / "installs" / name[:16]


def _roles(lock: Lock) -> Iterator[tuple[Artifacts, list[Artifact]]]:
    """Every role of every engine, with the files that the lock has for it."""
    for engine, roles in ARTIFACTS.items():
        for artifacts in roles:
            yield artifacts, lock.of(engine, artifacts.role)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other processes from installing into the same folder."""
    with open(folder / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
