"""What the monitor takes for ill, as airflow/thresholds.toml has it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from nifi_flows.errors import TerminalError
from scripts.bootstrap import ROOT
from scripts.monitor import areas
from scripts.monitor.ranges import Count, Positive

FILE = Path(ROOT) / "airflow" / "thresholds.toml"


class GuardLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    heals: Count
    window_minutes: Positive


@dataclass(frozen=True)
class Thresholds:
    """What each means, and in which unit, stands in the file. areas: name -> its limits, where it has any."""

    strikes: int
    look_seconds: float
    guard: GuardLimits
    areas: Mapping[str, Any]


def load(path: Path = FILE) -> Thresholds:
    """Raises TerminalError that names the file and the key that is missing, unknown or out of its range."""
    limited = {name: area.limits for name, area in areas.AREAS.items() if area.limits is not None}
    whole = msgspec.defstruct(
        "Thresholds",
        [("strikes", Count), ("look_seconds", Positive), *limited.items(), ("guard", GuardLimits)],
        forbid_unknown_fields=True,
    )
    try:
        read: Any = msgspec.toml.decode(path.read_bytes(), type=whole)
    except OSError as error:
        raise TerminalError(f"{path} cannot be read: {error.strerror}", "restore it from git") from error
    except ValueError as error:
        raise TerminalError(f"{path}: {error}", "correct that key") from error
    return Thresholds(read.strikes, read.look_seconds, read.guard, {name: getattr(read, name) for name in limited})
