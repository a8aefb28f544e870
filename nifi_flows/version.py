"""A version of the pipeline: flow, processors and schemas under one hash, stored so that it can come back.

STORE/versions/NAME/    flow.json and schemas/*.avsc
STORE/processors/CODE/  what NiFi loads; versions that differ only in the flow share one
"""

import hashlib
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import Any

from nifi_flows import bundle, definition
from nifi_flows.errors import TerminalError
from nifi_flows.files import new_folder
from nifi_flows.pipeline import FLOWS, Pipeline

_SHORT = 12  # hex digits: enough to tell versions apart, short enough to read in a row
_PACKAGE, _LOCK = "nifi_processors", "requirements.lock"
_MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Version:
    """One stored version. name: 12 hex digits over all three parts. code: 12 over processors and schemas alone."""

    name: str
    code: str
    store: Path

    @property
    def folder(self) -> Path:
        return self.store / "versions" / self.name

    @property
    def processors(self) -> Path:
        """The folder that NiFi loads."""
        return self.store / "processors" / self.code

    @cached_property
    def flow(self) -> dict[str, Any]:
        """The flow definition."""
        return definition.load(self.folder / "flow.json")

    @cached_property
    def schemas(self) -> dict[str, str]:
        """Name of each .avsc file without its ending -> its text."""
        return {
            path.stem: path.read_text(encoding="utf-8") for path in sorted((self.folder / "schemas").glob("*.avsc"))
        }


def make(pipeline: Pipeline, store: Path) -> Version:
    """Store the version of a pipeline that its source tree holds, unless it is there already.

    Raises TerminalError when the tree holds none, or asks for libraries that this environment has not.
    """
    sources = _sources(pipeline)
    name, code = _names(sources, pipeline.flow)
    version = Version(name, code, store)
    if changed_files(version):
        with new_folder(version.processors) as fresh:
            bundle.build(fresh, sources)
            (fresh / _MANIFEST).write_text(json.dumps(dict(_digests(fresh))))
            if version.processors.exists():
                os.rename(version.processors, fresh.with_name("changed"))
    if not version.folder.is_dir():
        with new_folder(version.folder) as fresh:
            (fresh / "schemas").mkdir()
            shutil.copy(pipeline.flow, fresh / "flow.json")
            for path in sources.contracts():
                shutil.copy(path, fresh / "schemas" / path.name)
    return version


def name_of(pipeline: Pipeline) -> str:
    """The name of the version that a source tree holds, without storing it. Raises TerminalError as `make`."""
    return _names(_sources(pipeline), pipeline.flow)[0]


def source_of(repository: Path, revision: str | None) -> str:
    """What is deployed, for people: the commit, with a word when the files are not quite its. Empty without git."""
    try:
        found = commit(repository, revision or "HEAD")
    except TerminalError:
        return ""
    if revision is not None:
        return found
    asked = ["git", "-C", str(repository), "status", "--porcelain", "--", FLOWS, _PACKAGE, _LOCK]
    changed = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()
    return f"{found} and changes to it" if changed else found


def stored(store: Path, name: str, code: str) -> Version:
    """A version that `make` has stored. Raises TerminalError when it is gone."""
    version = Version(name, code, store)
    if not version.folder.is_dir() or not version.processors.is_dir():
        raise TerminalError(f"version {name} is no longer stored in {store}", "check its commit out and deploy that")
    return version


def prune(store: Path, keep: Iterable[Version]) -> None:
    """Remove all stored versions but these."""
    kept = list(keep)
    for folder, names in (("versions", {v.name for v in kept}), ("processors", {v.code for v in kept})):
        for path in (store / folder).glob("[!.]*"):
            if path.name not in names:
                shutil.rmtree(path, ignore_errors=True)


def changed_files(version: Version) -> list[str]:
    """Files of the folder that NiFi loads which are not as they were made; [] when all are."""
    try:
        made = dict(json.loads((version.processors / _MANIFEST).read_text()))
    except (OSError, ValueError, TypeError):
        return [_MANIFEST]
    found = dict(_digests(version.processors))
    return sorted(path for path in {*made, *found} if made.get(path) != found.get(path))


def made_at(processors: Path) -> float:
    """When the folder that NiFi loads was made, in seconds since 1970. Raises OSError when it is none."""
    return (processors / _MANIFEST).stat().st_mtime


@contextmanager
def at_revision(repository: Path, revision: str) -> Iterator[Path]:
    """The source tree of a git revision in a folder of its own. Raises TerminalError when git has no such revision."""
    wanted = [FLOWS, _PACKAGE, _LOCK]
    done = subprocess.run(
        ["git", "-C", str(repository), "archive", "--format=tar", commit(repository, revision), *wanted],
        capture_output=True,
        check=False,
    )
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()
        raise TerminalError(f"git cannot give the files of {revision}: {said}", "name a commit of this project")
    with tempfile.TemporaryDirectory(prefix="revision-") as folder:
        with tarfile.open(fileobj=BytesIO(done.stdout)) as archive:
            archive.extractall(folder, filter="data")
        yield Path(folder)


def commit(repository: Path, revision: str) -> str:
    """The full id of a revision's commit. Raises TerminalError when git has no such revision, or there is no git."""
    try:
        done = subprocess.run(
            [
                "git",
                "-C",
                str(repository),
                "rev-parse",
                "--verify",
                "--quiet",
                "--end-of-options",
                revision + "^{commit}",
            ],
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError as error:
        raise TerminalError(
            f"git cannot be run: {error.strerror}", "install git, or deploy the working tree"
        ) from error
    if done.returncode:
        raise TerminalError(f"git has no revision {revision!r} in {repository}", "git log shows what there is")
    return done.stdout.strip()


def _sources(pipeline: Pipeline) -> bundle.Sources:
    tree = pipeline.tree
    for path in (pipeline.flow, tree / _PACKAGE / "requirements.txt", tree / _LOCK):
        if not path.is_file():
            raise TerminalError(
                f"there is no {path.relative_to(tree)} in what shall be deployed", "name another revision"
            )
    return bundle.Sources(tree / _PACKAGE, pipeline.folder, tree / _LOCK)


def _names(sources: bundle.Sources, flow: Path) -> tuple[str, str]:
    code = bundle.version(sources)
    whole = hashlib.sha256(f"flow {hashlib.sha256(flow.read_bytes()).hexdigest()}\ncode {code}\n".encode()).hexdigest()
    return whole[:_SHORT], code[:_SHORT]


def _digests(folder: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != _MANIFEST and "__pycache__" not in path.parts:
            yield str(path.relative_to(folder)), hashlib.sha256(path.read_bytes()).hexdigest()
