"""Somebody holds the flow: they work on the canvas, and nothing is to be healed over their heads."""

import getpass
import os
import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec

from nifi_flows.errors import TerminalError
from nifi_flows.files import alone, write_private

_LONGEST = 200  # characters of a reason: a line in a status or an alert
_UNPRINTED = ("Cc", "Cs", "Zl", "Zp")  # Unicode categories: controls, halves of characters, ends of lines


@dataclass(frozen=True)
class Hold:
    """who: a user's name. why: one line. since: UTC."""

    who: str
    why: str
    since: Annotated[datetime, msgspec.Meta(tz=True)]

    def __str__(self) -> str:
        return f"{self.who} holds the flow since {self.since:%Y-%m-%d %H:%M} UTC: {self.why}"


class Held(TerminalError):
    """Raised when somebody else holds the flow: it takes a person to end that, and says nothing against a version."""


def whoever() -> str:
    """Who we are to the hold, the lock and the history: PIPELINE_ACTOR, as Airflow's tasks have it, or the user."""
    return os.environ.get("PIPELINE_ACTOR") or getpass.getuser()


def hold(path: Path, who: str, why: str, now: datetime) -> Hold:
    """Hold the flow; whoever holds it already may say another reason. now: with a time zone.

    Raises TerminalError when somebody else holds it, when the reason is none, or when the file cannot be written.
    """
    why = _reason(why)
    with alone(path):
        present = read(path)
        if present and present.who != who:
            raise TerminalError(str(present), f"ask {present.who}, then ./scripts/pipeline flow release")
        held = Hold(who, why, present.since if present else now.astimezone(UTC))
        write_private(path, msgspec.json.format(msgspec.json.encode(held), indent=1) + b"\n")
    return held


def release(path: Path) -> Hold | None:
    """End the hold, whoever's it is; returns what ended, None when nobody held the flow."""
    if not path.exists():
        return None
    with alone(path):
        present = read(path)
        path.unlink(missing_ok=True)
    return present


def read(path: Path) -> Hold | None:
    """Who holds the flow, None when nobody does.

    A damaged file still holds, since somebody wanted the flow left alone. Raises TerminalError when it is closed to us.
    """
    try:
        with open(path, "rb") as file:
            content, changed = file.read(), os.fstat(file.fileno()).st_mtime
    except FileNotFoundError:
        return None
    except OSError as error:
        raise TerminalError(f"{path} cannot be read: {error.strerror}", "see to its owner") from error
    try:
        found = msgspec.json.decode(content, type=Hold)
        return Hold(_printed(found.who), _printed(found.why), found.since.astimezone(UTC))
    except (ValueError, OverflowError, RecursionError):
        return Hold("somebody", f"{path} does not say who and why", datetime.fromtimestamp(changed, UTC))


def _reason(why: str) -> str:
    why = why.strip()
    if not why:
        raise TerminalError("a hold needs a reason", 'say it: --why "what you are doing"')
    if len(why) > _LONGEST:
        raise TerminalError(f"the reason has {len(why)} characters", f"say it in at most {_LONGEST}")
    if _printed(why) != why:
        raise TerminalError("the reason holds a line break or another control character", "say it in one line of text")
    return why


def _printed(text: str) -> str:
    return "".join(" " if unicodedata.category(character) in _UNPRINTED else character for character in text)
