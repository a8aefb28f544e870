"""Small files that several processes share: written at once, for their owner alone, by one at a time, and on disk."""

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nifi_flows.errors import TerminalError

UNFINISHED = ".making-"


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Keep whoever else asks for `path` waiting, in this process or another; makes its folder.

    The lock is on a sibling file that stays, since a file that is replaced cannot be locked. Raises TerminalError when
    the folder cannot be written, also for what the caller does in between.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(os.open(path.with_name(f"{path.name}.guard"), os.O_RDWR | os.O_CREAT, 0o600)) as guard:
            fcntl.flock(guard, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.flock(guard, fcntl.LOCK_UN)  # closing would not do: a process forked meanwhile has it open too
    except OSError as error:
        raise TerminalError(
            f"{path} cannot be written: {error.strerror or error}", "see to its folder, its owner and the free disk"
        ) from error


def write_private(path: Path, content: bytes | str) -> None:
    """Replace a file at once by one that only its owner can read; a text as UTF-8. Raises OSError.

    After a loss of power there is the old content or the new one, and the new one once this has returned.
    """
    handle, part = tempfile.mkstemp(prefix=f"{path.name}.", dir=path.parent)  # mode 600
    try:
        with open(handle, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except BaseException:
        os.unlink(part)
        raise
    _sync(path.parent)


@contextmanager
def new_folder(place: Path) -> Iterator[Path]:
    """A folder to be filled, which gets its place once all in it is on disk; of one that fails nothing is left.

    It is made beside its place, in a folder whose name begins with UNFINISHED. Raises OSError.
    """
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent, prefix=UNFINISHED) as beside:
        made = Path(beside, "made")
        made.mkdir()
        yield made
        for path in (*made.rglob("*"), made):
            if not path.is_symlink():
                _sync(path)
        os.rename(made, place)
    _sync(place.parent)


def _sync(path: Path) -> None:
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
