"""What was deployed, what was begun and did not end, and what happened before: kept beside the stored versions."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from nifi_flows.errors import TerminalError
from nifi_flows.files import write_private

_KEPT = 200  # events in the history


@dataclass(frozen=True)
class Deployed:
    """A version with the values that it runs with. values: of the parameters, without sensitive ones.

    overrides: those values that were given by hand and not by the environment. sealed: a keyed digest of each sensitive
    value. group: id on the canvas. source: what was deployed, such as a commit. commit: that git's HEAD was at then,
    None without git. at: ISO 8601, UTC.
    """

    version: str
    code: str
    environment: str
    values: Mapping[str, str]
    overrides: Mapping[str, str] = field(default_factory=dict)
    sealed: Mapping[str, str] = field(default_factory=dict)
    group: str = ""
    source: str = ""
    commit: str | None = None
    by: str = ""
    at: str = ""


@dataclass(frozen=True)
class Event:
    """what: deploy, redeploy or rollback. at: ISO 8601, UTC. says: in words, what was done or what was wrong.

    passing: what was wrong may pass by itself, and says nothing against the version.
    """

    at: str
    what: str
    ok: bool
    by: str
    version: str
    says: str
    passing: bool = False


@dataclass(frozen=True)
class State:
    """deployed: the last version that was verified. previous: the one before it. unfinished: begun after it."""

    deployed: Deployed | None = None
    previous: Deployed | None = None
    unfinished: Deployed | None = None


class Ledger:
    """One flow's ledger in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self._state, self._history = folder / "state.json", folder / "history.jsonl"

    def state(self) -> State:
        """Raises TerminalError when the file is not one that we wrote."""
        try:
            read = json.loads(self._state.read_text())
            return State(**{name: Deployed(**entry) for name, entry in read.items() if entry})
        except FileNotFoundError:
            return State()
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise TerminalError(
                f"{self._state} does not say what is deployed: {error}", "remove it; the next deploy writes it anew"
            ) from error

    def begin(self, target: Deployed) -> None:
        """A deploy of the target changes something from now on."""
        self._write(replace(self.state(), unfinished=target))

    def finish(self, target: Deployed) -> None:
        """The target runs and is verified."""
        state = self.state()
        other = state.deployed and state.deployed.version != target.version
        self._write(State(deployed=target, previous=state.deployed if other else state.previous))

    def undo(self) -> None:
        """What was begun is undone: the deployed version runs again."""
        self._write(replace(self.state(), unfinished=None))

    def note_done(self, what: str, by: str, version: str, says: str) -> None:
        """Add what went well to the history, which keeps the last 200 events."""
        self._note(Event(now(), what, ok=True, by=by, version=version, says=says))

    def note_failed(self, what: str, by: str, version: str, says: str, *, passing: bool = False) -> None:
        """Add what failed to the history. passing: it may pass by itself, and says nothing against the version."""
        self._note(Event(now(), what, ok=False, by=by, version=version, says=says, passing=passing))

    def _note(self, event: Event) -> None:
        lines = [*self._lines(), json.dumps(asdict(event))]
        _put(self._history, "\n".join(lines[-_KEPT:]) + "\n")

    def history(self) -> list[Event]:
        """The events, the oldest first; a line that cannot be read is left out."""
        events = []
        for line in self._lines():
            try:
                events.append(Event(**json.loads(line)))
            except (ValueError, TypeError):
                continue
        return events

    def _lines(self) -> list[str]:
        return self._history.read_text().splitlines() if self._history.exists() else []

    def _write(self, state: State) -> None:
        entries: dict[str, Any] = asdict(state)
        _put(self._state, json.dumps(entries, indent=1))


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_private(path, text)
