"""A record of the monitor for people: Markdown, and what has changed from one record to the next."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from scripts.doctor.finding import one_line
from scripts.monitor.areas import AREAS, MEANINGS
from scripts.monitor.record import Check, Record, from_json

_MARKS = {"ok": "🟢", "suspect": "🟡", "ill": "🔴", "unknown": "⚪"}
_SPECIAL = str.maketrans({character: f"\\{character}" for character in "\\`*_[]<>|~#"})


@dataclass(frozen=True)
class Change:
    """An area that became ill, or well again after that. says: in words."""

    area: str
    what: Literal["ill", "well"]
    says: str


def markdown(record_json: Any) -> str:
    """The report of a record as `Record.as_json` gave it; its first line tells the verdict.

    Raises TerminalError for what is no record.
    """
    record = from_json(record_json)
    lines = [_verdict(record), ""]
    lines += [f"- {_text(said)}" for said in record.says]
    if record.says:
        lines.append("")
    lines += ["| area | verdict | since (UTC) | figures | |", "|---|---|---|---|---|"]
    lines += [_row(area, record.checks[area]) for area in AREAS]
    lines += ["", f"Looked at {record.at:%Y-%m-%d %H:%M:%S} UTC."]
    return "\n".join(lines) + "\n"


def changes(before_json: Any, after_json: Any) -> list[Change]:
    """What became ill or well again between two records; an illness is told once, however long it lasts.

    before_json: None when there was none. Raises TerminalError for what is no record.
    """
    before: Mapping[str, Check] = from_json(before_json).checks if before_json is not None else {}
    found = []
    for area, check in from_json(after_json).checks.items():
        alarmed = area in before and before[area].alarmed
        if check.alarmed and not alarmed:
            found.append(Change(area, "ill", "; ".join(check.says)))
        elif alarmed and not check.alarmed:
            found.append(Change(area, "well", "; ".join(check.says) or MEANINGS[area]))
    return found


def _verdict(record: Record) -> str:
    by = {verdict: [area for area in AREAS if record.checks[area].verdict == verdict] for verdict in ("ill", "suspect")}
    if record.verdict == "ok":
        return f"**{_MARKS['ok']} ok**: nothing is ill"
    told = ", ".join(_text(area) for area in by[record.verdict])
    rest = f"; suspect: {', '.join(map(_text, by['suspect']))}" if record.verdict == "ill" and by["suspect"] else ""
    return f"**{_MARKS[record.verdict]} {record.verdict}**: {told}{rest}"


def _row(area: str, check: Check) -> str:
    figures = "<br>".join(f"{_text(name)}: {_text(_figure(value))}" for name, value in check.figures.items())
    says = "<br>".join(_text(said) for said in check.says) or MEANINGS[area]
    cells = (_text(area), f"{_MARKS[check.verdict]} {check.verdict}", f"{check.since:%m-%d %H:%M:%S}", figures, says)
    return f"| {' | '.join(cells)} |"


def _figure(value: int | float | str) -> str:
    return value if isinstance(value, str) else f"{value:,}"


def _text(words: str) -> str:
    """Words of whomever's as Markdown shows them, on one line."""
    return one_line(words).translate(_SPECIAL)
