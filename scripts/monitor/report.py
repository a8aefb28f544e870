"""A record of the monitor for people, in Markdown: in full and in brief."""

from typing import Any

from nifi_flows.wording import one_line
from scripts.monitor import areas
from scripts.monitor.record import AreaCheck, Record, from_json

_MARKS = {"ok": "🟢", "suspect": "🟡", "ill": "🔴", "unknown": "⚪"}
_SPECIAL = str.maketrans({character: f"\\{character}" for character in "\\`*_[]<>|~#"})


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
    lines += [_row(area, record.checks[area]) for area in areas.AREAS]
    lines += ["", f"Looked at {record.at:%Y-%m-%d %H:%M:%S} UTC."]
    return "\n".join(lines) + "\n"


def brief(record_json: Any) -> str:
    """The report without figures, and without a word on what is well: for where there is little room."""
    record = from_json(record_json)
    lines = [_verdict(record), "", *(f"- {_text(said)}" for said in record.says)]
    for area in areas.AREAS:
        check = record.checks[area]
        if check.verdict != "ok":
            said = "; ".join(map(_text, check.says))
            lines.append(f"- {_MARKS[check.verdict]} {_text(area)} since {check.since:%H:%M:%S}: {said}")
    return "\n".join(lines).rstrip() + "\n"


def _verdict(record: Record) -> str:
    by = {
        verdict: [area for area in areas.AREAS if record.checks[area].verdict == verdict]
        for verdict in ("ill", "suspect")
    }
    if record.verdict == "ok":
        return f"**{_MARKS['ok']} ok**: nothing is ill"
    named = ", ".join(_text(area) for area in by[record.verdict])
    rest = f"; suspect: {', '.join(map(_text, by['suspect']))}" if record.verdict == "ill" and by["suspect"] else ""
    return f"**{_MARKS[record.verdict]} {record.verdict}**: {named}{rest}"


def _row(area: str, check: AreaCheck) -> str:
    figures = "<br>".join(f"{_text(name)}: {_text(_figure(value))}" for name, value in check.figures.items())
    says = "<br>".join(_text(said) for said in check.says) or areas.AREAS[area].meaning
    cells = (_text(area), f"{_MARKS[check.verdict]} {check.verdict}", f"{check.since:%m-%d %H:%M:%S}", figures, says)
    return f"| {' | '.join(cells)} |"


def _figure(value: int | float | str) -> str:
    return value if isinstance(value, str) else f"{value:,}"


def _text(words: str) -> str:
    """Words of whomever's as Markdown shows them, on one line."""
    return one_line(words).translate(_SPECIAL)
