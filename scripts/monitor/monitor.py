"""One look at the pipeline after the other: read, judge against the look before, keep the record."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from nifi_flows.errors import TerminalError
from nifi_flows.files import alone, write_private
from nifi_flows.pipeline import Pipeline
from scripts.monitor import readings, record, thresholds
from scripts.monitor.judge import judge
from scripts.monitor.record import Record
from scripts.stack.settings import Settings


def look(settings: Settings, pipeline: Pipeline) -> Record:
    """Read everything, judge it and keep the record; changes nothing in an engine.

    A look waits until another one is done. Raises TerminalError when the thresholds are wrong or the record cannot be
    kept; whatever is wrong with the pipeline is in the record.
    """
    limits = thresholds.load()
    path = settings.monitor / "record.json"
    with alone(path):
        before, trouble = _last(path)
        found = readings.read(settings, pipeline, limits, before.memory if before else {})
        judged = judge(before, found, limits, datetime.now(UTC))
        judged = replace(judged, says=[*judged.says, *trouble])
        write_private(path, json.dumps(judged.as_json(), indent=1))
    return judged


def last(settings: Settings) -> Record | None:
    """The record of the last look, None when there is none that can be read."""
    return _last(settings.monitor / "record.json")[0]


def _last(path: Path) -> tuple[Record | None, list[str]]:
    """The record in a file, and what is to be said of one that is none."""
    try:
        return record.from_json(json.loads(path.read_bytes())), []
    except FileNotFoundError:
        return None, []
    except (OSError, ValueError, RecursionError, TerminalError) as error:
        return None, [f"the record of the look before could not be read, so this one begins anew: {error}"[:300]]
