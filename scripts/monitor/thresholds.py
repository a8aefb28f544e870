"""What the monitor takes for ill, as airflow/thresholds.toml has it."""

from pathlib import Path
from typing import Annotated, Literal

import msgspec

from nifi_flows.errors import TerminalError
from scripts.bootstrap import ROOT

FILE = Path(ROOT) / "airflow" / "thresholds.toml"

_Count = Annotated[int, msgspec.Meta(ge=1)]
_Positive = Annotated[float, msgspec.Meta(gt=0)]
_Rate = Annotated[float, msgspec.Meta(ge=0)]
_Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class Flow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    queue_percent: Annotated[int, msgspec.Meta(ge=1, le=100)]
    bulletin_levels: list[Literal["DEBUG", "INFO", "WARN", "WARNING", "ERROR"]]
    bulletin_seconds: _Positive


class Consumer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    lag_frames: _Count
    last_batch_seconds: _Positive
    batch_seconds: _Positive


class DeadLetters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    per_minute: _Rate
    share_of_fetched: _Share
    most_read: _Count
    per_minute_by_reason: dict[str, _Rate]


class Freshness(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    row_seconds: _Positive
    page_seconds: _Positive


class Guard(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    heals: _Count
    window_minutes: _Positive


class Thresholds(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What each means, and in which unit, stands in the file."""

    strikes: _Count
    look_seconds: _Positive
    flow: Flow
    consumer: Consumer
    dead_letters: DeadLetters
    freshness: Freshness
    guard: Guard


def load(path: Path = FILE) -> Thresholds:
    """Raises TerminalError that names the file and the key that is missing, unknown or out of its range."""
    try:
        return msgspec.toml.decode(path.read_bytes(), type=Thresholds)
    except OSError as error:
        raise TerminalError(f"{path} cannot be read: {error.strerror}", "restore it from git") from error
    except ValueError as error:
        raise TerminalError(f"{path}: {error}", "correct that key") from error
