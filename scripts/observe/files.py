"""What lies on the disk: the modes of secrets, the ends of certificates, and the engines' files against their lock."""

import stat
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from scripts.stack import credentials, fetch, install
from scripts.stack.fetch import Differences
from scripts.stack.lock import Lock
from scripts.stack.settings import Settings


def modes(settings: Settings) -> dict[Path, int]:
    """Path -> permission bits of the home, the folder of secrets and the files in it, as far as they are there."""
    folders = [path for path in (settings.home, settings.secrets) if path.is_dir()]
    files = sorted(path for path in settings.secrets.glob("*") if path.is_file())
    return {path: stat.S_IMODE(path.stat().st_mode) for path in [*folders, *files]}


def certificates(settings: Settings) -> dict[str, datetime | None]:
    """File name of each certificate -> when it ends, None where it is none; {} while no secrets have been made."""
    return credentials.ends(settings.secrets) if credentials.present(settings.secrets) else {}


@dataclass(frozen=True)
class EngineFiles:
    """total: of the lock. damaged: of the installation, None when nothing is installed yet."""

    total: int
    cached: Differences
    damaged: list[Path] | None


def engine_files(lock: Lock, cache: Path, until: float) -> EngineFiles:
    return EngineFiles(
        len({artifact.sha256 for artifact in lock.artifacts}),
        fetch.differences(lock.artifacts, cache, until),
        install.damaged(lock, cache),
    )
