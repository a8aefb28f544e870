"""What lies on the disk: secrets and their modes, certificates and their ends, the engines against their lock."""

import datetime
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from nifi_flows.errors import TerminalError
from nifi_flows.wording import some
from scripts.doctor.finding import Finding, failed, ok, problem, warning
from scripts.stack import credentials, fetch, install
from scripts.stack.credentials import RENEWAL, Credentials
from scripts.stack.fetch import Differences
from scripts.stack.lock import Lock
from scripts.stack.settings import Settings

_NAMED = 3  # files that a finding names before it only counts
_RENEW = "./scripts/pipeline down, then ./scripts/run: it makes them anew"


def read_modes(settings: Settings) -> dict[Path, int]:
    """Path -> permission bits of the home, the folder of secrets and the files in it, as far as they are there."""
    folders = [path for path in (settings.home, settings.secrets) if path.is_dir()]
    files = sorted(path for path in settings.secrets.glob("*") if path.is_file())
    return {path: stat.S_IMODE(path.stat().st_mode) for path in [*folders, *files]}


def check_modes(modes: Mapping[Path, int], home: Path) -> Iterator[Finding]:
    """Files are for their owner alone (600), and so are the folders that they are in (700)."""
    opened = {path: mode for path, mode in modes.items() if mode & 0o077}
    for path, mode in opened.items():
        right = "700" if path == home or path.parent == home else "600"
        yield problem("secrets", f"{path} has mode {mode:o}: others may read it", f"chmod {right} {path}")
    if modes and not opened:
        yield ok("secrets", f"{len(modes)} files and folders, for their owner alone")


def check_credentials(settings: Settings) -> tuple[Credentials | None, list[Finding]]:
    """The credentials to ask the engines with, None when there are none, and what is wrong with the passwords."""
    try:
        return credentials.load(settings.secrets), []
    except TerminalError as error:
        return None, [failed("secrets", error)]


def check_certificates(
    ends: Mapping[str, datetime.datetime | None], now: datetime.datetime, folder: Path
) -> Iterator[Finding]:
    """ends: file name -> when the certificate ends, None where there is none in it."""
    for name, end in ends.items():
        if end is None:
            yield problem("secrets", f"{folder / name} is missing or no certificate", _RENEW)
        elif end <= now:
            yield problem("secrets", f"the certificate {folder / name} ended on {end:%Y-%m-%d}", _RENEW)
        elif end - now <= RENEWAL:
            days = (end - now).days
            yield warning("secrets", f"the certificate {folder / name} ends in {days} days, on {end:%Y-%m-%d}", _RENEW)
    held = [end for end in ends.values() if end is not None]
    if len(held) == len(ends) and min(held) - now > RENEWAL:
        yield ok("secrets", f"certificates hold until {min(held):%Y-%m-%d}")


@dataclass(frozen=True)
class Engines:
    """The engines' files. total: of the lock. damaged: of the installation, None when nothing is installed yet."""

    total: int
    cached: Differences
    damaged: list[Path] | None


def read_engines(lock: Lock, cache: Path, until: float) -> Engines:
    return Engines(
        len({artifact.sha256 for artifact in lock.artifacts}),
        fetch.differences(lock.artifacts, cache, until),
        install.damaged(lock, cache),
    )


def check_engines(engines: Engines, cache: Path) -> Iterator[Finding]:
    missing, wrong, unread = engines.cached.missing, engines.cached.wrong, engines.cached.unread
    stop = "./scripts/pipeline down; "
    if wrong:
        yield problem(
            "engines' files",
            f"not the locked ones: {some([path.name for path in wrong], _NAMED)}",
            f"{stop}rm -r {' '.join(str(path.parent) for path in wrong[:_NAMED])} {cache / 'installs'}; ./scripts/run",
        )
    if engines.damaged:
        yield problem(
            "engines' files",
            f"missing or damaged where they were unpacked: {some([path.name for path in engines.damaged], _NAMED)}",
            f"{stop}rm -r {cache / 'installs'}; ./scripts/run",
        )
    if wrong or engines.damaged:
        return
    if engines.damaged is None:
        here = engines.total - len(missing)
        yield ok("engines' files", f"{here} of {engines.total} are fetched; ./scripts/run brings the rest")
    else:
        checked = engines.total - len(missing) - len(unread)
        yield ok("engines' files", f"unpacked; {checked} of {engines.total} in the cache have the locked checksum")
