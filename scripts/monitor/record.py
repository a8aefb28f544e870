"""What a look came to, as it is kept for the next look and handed from task to task."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

from nifi_flows.errors import TerminalError
from scripts.monitor import areas

Moment = Annotated[datetime, msgspec.Meta(tz=True)]
Verdict = Literal["ok", "suspect", "ill", "unknown"]


@dataclass(frozen=True)
class AreaCheck:
    """One area. since: when it became as it is; a trouble's beginning, however often it was looked at since.

    strikes: looks in a row with trouble. says: in words. healable: a redeploy may end it.
    """

    verdict: Verdict
    since: Moment
    strikes: int
    says: list[str]
    figures: dict[str, int | float | str]
    healable: bool = False


@dataclass(frozen=True)
class Record:
    """at: UTC. verdict: the worst of the checks. checks: area -> check. new_version: in git, not deployed yet.

    held: who, why and since, None when nobody holds the flow. says: what belongs to no area.
    memory: area -> what it remembers for the next look, as its `remembered` gave it.
    """

    at: Moment
    verdict: Literal["ok", "suspect", "ill"]
    checks: dict[str, AreaCheck]
    new_version: str | None = None
    held: dict[str, str] | None = None
    says: list[str] = field(default_factory=list)
    memory: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """As what JSON knows; moments in ISO 8601."""
        value: dict[str, Any] = msgspec.to_builtins(self, str_keys=True)
        return value


def from_json(value: Any) -> Record:
    """The record that `as_json` gave. Raises TerminalError for what is none."""
    try:
        record = msgspec.convert(value, Record, str_keys=True)
    except (ValueError, OverflowError, RecursionError) as error:
        raise TerminalError(f"this is no record of the monitor: {error}", "take a new look") from error
    if set(record.checks) != set(areas.AREAS):
        raise TerminalError("this record of the monitor has other areas", "take a new look")
    return record
