"""A whole difference, and the forms in which it is told."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from nifi_flows.diff import render
from nifi_flows.diff.change import Change, Section, What

_DATA = {"processor", "connection", "input port", "output port", "funnel", "remote process group", "process group"}


@dataclass(frozen=True)
class Difference:
    """What changed, section by section; a section without changes isn't there."""

    sections: tuple[Section, ...]

    @property
    def empty(self) -> bool:
        return not self.sections

    @property
    def changes(self) -> list[Change]:
        return [change for section in self.sections for change in section.changes]

    @property
    def adds_components(self) -> bool:
        """Whether NiFi makes anything new that data passes through, also what it makes anew in another group."""
        made = (What.added, What.regrouped)
        return any(change.what in made and change.component.kind in _DATA for change in self.changes)

    def summary(self) -> str:
        """How many changes of which kind, on one line; empty when there are none."""
        counts = Counter(change.what for change in self.changes)
        plurals = {What.property: "properties", What.setting: "settings", What.moved: "moved on the canvas"}
        return ", ".join(
            f"{count} {plurals.get(what, what) if count > 1 or what is What.moved else what}"
            for what in What
            if (count := counts[what])
        )

    def lines(self) -> list[str]:
        """A line for each change, which says by itself where it is; safe to print."""
        return render.lines(self.sections)

    def as_text(self) -> str:
        """For the terminal: long values are cut, what could steer the terminal is escaped. Ends with a newline."""
        return render.text(self.sections)

    def as_markdown(self) -> str:
        """For a pull request: a heading for each section; all that comes from the flow is in code spans."""
        return render.markdown(self.sections)

    def as_json(self) -> dict[str, Any]:
        """Plain data, values in full: {"same": bool, "groups": [{"group": title, "changes": [Change as a dict]}]}."""
        return {"same": self.empty, "groups": render.plain(self.sections)}
