"""How the files of an engine get to this machine: from Maven coordinates into the lock, from the lock into folders."""

import os
import shutil
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

from nifi_flows.errors import TerminalError
from scripts.stack.lock import Artifact


@dataclass(frozen=True)
class Installed:
    """An installation of the engines of one lock. root: the folder that everything is under."""

    root: Path

    @property
    def jdk17(self) -> Path:
        return self.root / "jdk17"

    @property
    def jdk21(self) -> Path:
        return self.root / "jdk21"

    def folder(self, name: str) -> Path:
        """A folder that a `Layout` names."""
        return self.root / name


class Layout(Protocol):
    """What is made of the files of one role. Paths are relative to the installation."""

    def lay_out(self, files: Sequence[Path], root: Path) -> None:
        """Lay fetched files out under `root`. Raises TerminalError when they are not as expected."""

    def contents(self, artifacts: Sequence[Artifact]) -> Mapping[str, int | None]:
        """What is there afterwards: path -> size in bytes, None where any will do."""


def _nothing(resolved: Mapping[str, Sequence[Path]]) -> set[str]:
    return set()


@dataclass(frozen=True)
class Artifacts:
    """The files of one role of an engine.

    coordinates: what Maven resolves them from, group:artifact:version[:type[:classifier]]; for a wheel, how pip names
    it. transitive: with what they depend on. managed_by: the POM that says the versions of that. left_out: names of
    resolved files that are not needed, from the engine's files by role.
    """

    role: str
    coordinates: Sequence[str]
    layout: Layout
    transitive: bool = True
    managed_by: str | None = None
    left_out: Callable[[Mapping[str, Sequence[Path]]], set[str]] = _nothing


@dataclass(frozen=True)
class Linked:
    """The files as they come, side by side in a folder."""

    folder: str

    def lay_out(self, files: Sequence[Path], root: Path) -> None:
        folder = root / self.folder
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

    def contents(self, artifacts: Sequence[Artifact]) -> Mapping[str, int | None]:
        return {f"{self.folder}/{artifact.name}": artifact.size for artifact in artifacts}


@dataclass(frozen=True)
class Untarred:
    """The content of tar archives. expected: a path that is there afterwards."""

    folder: str
    expected: str

    def lay_out(self, files: Sequence[Path], root: Path) -> None:
        for archive in files:
            with tarfile.open(archive) as opened:
                opened.extractall(root / self.folder, filter="data")

    def contents(self, artifacts: Sequence[Artifact]) -> Mapping[str, int | None]:
        return {self.expected: None}


@dataclass(frozen=True)
class Unzipped:
    """Parts of zip archives. folders: what an entry's name begins with -> where it goes. expected: as of `Untarred`."""

    folders: Mapping[str, str]
    expected: Sequence[str]

    def lay_out(self, files: Sequence[Path], root: Path) -> None:
        for prefix, folder in self.folders.items():
            _unzip(files, prefix, root / folder)

    def contents(self, artifacts: Sequence[Artifact]) -> Mapping[str, int | None]:
        return dict.fromkeys(self.expected)


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
