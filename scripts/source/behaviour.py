"""What the source does wrong, kept in a file: the source reads it again when it changes, so no restart is needed."""

import logging
import os
from collections.abc import Collection, Mapping
from pathlib import Path

import msgspec

from .faults import FAULTS
from .invalid import KINDS

_ROUNDING = 1e-9  # 0.1 + 0.7 + 0.2 is more than 1

log = logging.getLogger("source")


class Behaviour(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What goes wrong; by default, nothing.

    faults: fault -> part of the requests for pages. invalid: kind -> part of the users broken in this way.
    invalid_share: part of the users broken in one kind or another. All from 0.0 to 1.0, and so are the sums of the
    requests and of the users. Making one raises ValueError, saying what is not so.
    """

    faults: dict[str, float] = {}
    invalid: dict[str, float] = {}
    invalid_share: float = 0.0

    def __post_init__(self) -> None:
        _check_names("fault", self.faults, FAULTS)
        _check_names("kind of invalid user", self.invalid, KINDS)
        _check_parts("faults", self.faults)
        _check_parts("invalid users", {"invalid": self.invalid_share, **self.invalid})

    @classmethod
    def parse(cls, text: bytes) -> "Behaviour":
        """Read it from JSON. Raises ValueError."""
        return msgspec.json.decode(text, type=cls)

    def json(self) -> bytes:
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"


def _check_names(what: str, given: Mapping[str, float], known: Collection[str]) -> None:
    for name in given:
        if name not in known:
            raise ValueError(f"no {what} is called {name!r}; there is {', '.join(known)}")


def _check_parts(what: str, given: Mapping[str, float]) -> None:
    for name, part in given.items():
        if not 0.0 <= part <= 1.0:
            raise ValueError(f"the rate of {name} is not between 0 and 1: {part:g}")
    if (total := sum(given.values())) > 1 + _ROUNDING:
        raise ValueError(f"the rates of {what} come to {total:g}, more than 1")


class BehaviourFile:
    """A behaviour as its file has it now. No file means that nothing goes wrong."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, ...] | None = None
        self._last = Behaviour()

    def read(self) -> Behaviour:
        """Return the behaviour, the same object until the file changes.

        A file that can't be read is logged once, and the behaviour from before stays.
        """
        seen = self._signature()
        if seen != self._seen:
            self._seen = seen
            try:
                self._last = Behaviour.parse(self._path.read_bytes()) if seen else Behaviour()
            except (OSError, ValueError) as error:
                log.error("%s is not read, so nothing changes: %s", self._path, error)
        return self._last

    def _signature(self) -> tuple[int, ...] | None:
        try:
            found = os.stat(self._path)
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ino, found.st_size
