"""A difference in words: as text, as Markdown and as plain data.

Names and values are whatever somebody typed on a canvas: each is escaped and cut before it is shown.
"""

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any

from nifi_flows.diff.change import Change, Component, Ends, Section, What
from nifi_flows.wording import cut, printable, some

_NAME, _VALUE = 80, 120  # characters that are shown of one
_LEAD = 20  # characters shown before the first that differs
_MOVED = 10  # components named of those that only moved
_SAME = "No difference."


@dataclass(frozen=True)
class _Style:
    """quote: how a name or a text value is set off. bare: how any other is shown."""

    quote: Callable[[str], str]
    bare: Callable[[str], str]
    arrow: str


def text(sections: Sequence[Section]) -> str:
    """A paragraph for each section. Ends with a newline."""
    return "\n".join(_paragraph(section) for section in sections) or f"{_SAME}\n"


def markdown(sections: Sequence[Section]) -> str:
    """A heading and a list for each section. Ends with a newline."""
    return "\n".join(_chapter(section) for section in sections) or f"{_SAME}\n"


def lines(sections: Sequence[Section]) -> list[str]:
    """Each change on a line of its own, all that only moved in one section on one."""
    said = []
    for section in sections:
        where = _heading(section)
        for component, details in _told(section, _TEXT):
            said += [f"{where}: {component}: {detail}" for detail in details] or [f"{where}: {component}"]
    return said


def plain(sections: Sequence[Section]) -> list[dict[str, Any]]:
    """[{"group": title, "changes": [...]}], nothing cut; JSON can carry it."""
    return [{"group": section.title, "changes": [asdict(c) for c in section.changes]} for section in sections]


def _paragraph(section: Section) -> str:
    said = [_heading(section)]
    for component, details in _told(section, _TEXT):
        said += [f"  {component}", *(f"    {detail}" for detail in details)]
    return "".join(f"{line}\n" for line in said)


def _heading(section: Section) -> str:
    """Never indented, as what is told below it is."""
    return printable(cut(section.title, _NAME)).strip() or "''"


def _chapter(section: Section) -> str:
    said = [f"### {_code(cut(section.title, _NAME))}", ""]
    for component, details in _told(section, _MARKDOWN):
        said += [f"- {component}", *(f"  - {detail}" for detail in details)]
    return "".join(f"{line}\n" for line in said)


def _told(section: Section, style: _Style) -> Iterable[tuple[str, list[str]]]:
    """What happened to each component as a whole, or the component and what changed of it."""
    for component, group in groupby(section.changes, key=lambda change: change.component):
        changes = [change for change in group if change.what is not What.moved]
        if changes and changes[0].what in (What.added, What.removed):
            yield f"{changes[0].what} {_called(component, style)}", []
        elif changes:
            yield _called(component, style), [_detail(change, style) for change in changes]
    moved = [_short(change.component, style) for change in section.changes if change.what is What.moved]
    if moved:
        yield f"moved only: {some(moved, named=_MOVED)}", []


def _called(component: Component, style: _Style) -> str:
    called = component.kind
    if component.name:
        called += f" {style.quote(cut(component.name, _NAME))}"
    simple = _simple(component.type)
    if simple and simple != component.name:
        called += f" ({style.bare(cut(simple, _NAME))})"
    if component.ends:
        called += f" {_ends(component.ends, style)}"
    return called


def _short(component: Component, style: _Style) -> str:
    """A component among many: its name suffices, or stands for what has none."""
    if component.name and component.kind == "processor":
        return style.quote(cut(component.name, _NAME))
    return _called(Component(component.kind, component.name, "", "", None if component.name else component.ends), style)


def _detail(change: Change, style: _Style) -> str:
    if change.what is What.renamed:
        return f"renamed from {style.quote(cut(change.before, _NAME))}" if change.before else "named, had no name"
    if change.what is What.rewired:
        return _rewired(change.before, change.after, style)
    if change.what is What.regrouped:
        return f"moved here from {style.quote(cut(change.before, _NAME))}"
    if change.what is What.retyped:
        before, after = _values(change.before, change.after, style)
        return (
            f"type changed from {before} to {after} under the same identifier, "
            "which NiFi ignores when it replaces a flow: give it a new identifier"
        )
    if change.what in (What.enabled, What.disabled):
        return str(change.what)
    if change.what is What.property:
        subject = f"property {style.quote(cut(change.subject, _NAME))}"
    else:
        subject = style.bare(cut(change.subject, _NAME))
    if change.hidden:
        return f"{subject}: changed, not shown"
    before, after = _values(change.before, change.after, style)
    return f"{subject}: {before} {style.arrow} {after}"


def _rewired(before: Ends, after: Ends, style: _Style) -> str:
    same = (
        before.source == after.source,
        before.relationships == after.relationships,
        before.destination == after.destination,
    )
    if same == (True, True, False):
        goes = f"{_place(after.destination, style)} instead of {_place(before.destination, style)}"
        return f"{_source(after, style)} now goes to {goes}"
    if same == (True, False, True):
        relationships = f"{_related(after, style)} instead of {_related(before, style)}"
        return f"{_place(after.source, style)} now sends {relationships} to {_place(after.destination, style)}"
    if same[2]:
        fed = f"{_source(after, style)} instead of {_source(before, style)}"
        return f"{_place(after.destination, style)} now gets {fed}"
    return f"now {_ends(after, style)} instead of {_ends(before, style)}"


def _ends(ends: Ends, style: _Style) -> str:
    return f"from {_source(ends, style)} to {_place(ends.destination, style)}"


def _source(ends: Ends, style: _Style) -> str:
    """A component with those of its relationships that a connection carries; a port has none to name."""
    return " ".join([_place(ends.source, style), *([_related(ends, style)] if any(ends.relationships) else [])])


def _related(ends: Ends, style: _Style) -> str:
    return style.bare(cut(", ".join(ends.relationships), _NAME)) if any(ends.relationships) else "nothing"


def _place(path: Sequence[str], style: _Style) -> str:
    return " of ".join(style.quote(cut(name, _NAME)) for name in reversed(path))


def _simple(name: str) -> str:
    """The class without its package."""
    return name.rpartition(".")[2]


def _values(before: Any, after: Any, style: _Style) -> tuple[str, str]:
    """Both values as they are shown; of long ones the part where they begin to differ."""
    words = [_words(value) for value in (before, after)]
    longest = max(len(word) for word in words)
    start = max(0, min(_common(*words) - _LEAD, longest - _VALUE))
    marks = [style.quote if isinstance(value, str) else style.bare for value in (before, after)]
    shown = [
        "not set" if value is None else _excerpt(word, start, mark)
        for value, word, mark in zip((before, after), words, marks, strict=True)
    ]
    if shown[0] == shown[1]:  # an escape, and the same characters as such; or 1 and "1"
        shown = [
            mark(json.dumps(value)[start : start + _VALUE]) for value, mark in zip((before, after), marks, strict=True)
        ]
    return shown[0], shown[1]


def _common(one: str, other: str) -> int:
    """How many characters both begin with."""
    return next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _words(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return ", ".join(value) or "none"
    return json.dumps(value, sort_keys=True)


def _excerpt(word: str, start: int, mark: Callable[[str], str]) -> str:
    end = start + _VALUE
    if start == 0 and len(word) <= end:
        return mark(word)
    return mark(f"{'…' * (start > 0)}{word[start:end]}{'…' * (len(word) > end)}") + f" ({len(word):,} characters)"


def _code(word: str) -> str:
    """A Markdown code span, in which nothing has a meaning but a run of as many backticks as open it."""
    inside = printable(word)
    if not inside:
        return "(empty)"
    fence = "`" * (max((len(run) for run in re.findall("`+", inside)), default=0) + 1)
    pad = " " if inside[0] in "` " or inside[-1] in "` " else ""
    return f"{fence}{pad}{inside}{pad}{fence}"


_TEXT = _Style(lambda word: f"'{printable(word)}'", printable, "->")
_MARKDOWN = _Style(_code, _code, "→")
