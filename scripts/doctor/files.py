"""What readings of the disk mean: secrets and their modes, certificates and their ends, the engines' files."""

import datetime
from collections.abc import Iterator, Mapping
from pathlib import Path

from nifi_flows.wording import some
from scripts.doctor.diagnosis import Diagnosis, ok, problem, warning
from scripts.observe.files import EngineFiles
from scripts.stack.credentials import RENEWAL

_NAMED = 3  # files that a finding names before it only counts
_RENEW = "./scripts/pipeline down, then ./scripts/run: it makes them anew"


def check_modes(modes: Mapping[Path, int], home: Path) -> Iterator[Diagnosis]:
    """Files are for their owner alone (600), and so are the folders that they are in (700)."""
    opened = {path: mode for path, mode in modes.items() if mode & 0o077}
    for path, mode in opened.items():
        right = "700" if path == home or path.parent == home else "600"
        yield problem("secrets", f"{path} has mode {mode:o}: others may read it", f"chmod {right} {path}")
    if modes and not opened:
        yield ok("secrets", f"{len(modes)} files and folders, for their owner alone")


def check_certificates(
    ends: Mapping[str, datetime.datetime | None], now: datetime.datetime, folder: Path
) -> Iterator[Diagnosis]:
    """ends: file name -> when the certificate ends, None where there is none in it; {} before any was made."""
    for name, end in ends.items():
        if end is None:
            yield problem("secrets", f"{folder / name} is missing or no certificate", _RENEW)
        elif end <= now:
            yield problem("secrets", f"the certificate {folder / name} ended on {end:%Y-%m-%d}", _RENEW)
        elif end - now <= RENEWAL:
            days = (end - now).days
            yield warning("secrets", f"the certificate {folder / name} ends in {days} days, on {end:%Y-%m-%d}", _RENEW)
    held = [end for end in ends.values() if end is not None]
    if held and len(held) == len(ends) and min(held) - now > RENEWAL:
        yield ok("secrets", f"certificates hold until {min(held):%Y-%m-%d}")


def check_engines(engines: EngineFiles, cache: Path) -> Iterator[Diagnosis]:
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
