"""What one sees on the canvas: names that say something, and components that do not hide each other."""

from collections.abc import Iterator

from nifi_flows.lint.finding import Severity
from nifi_flows.lint.rule import Rule, Violation
from nifi_flows.lint.subject import Subject

# As NiFi 2.3 draws them, in the canvas' units: width, height.
_SIZES = {
    "processors": (350, 130),
    "processGroups": (384, 176),
    "remoteProcessGroups": (384, 176),
    "inputPorts": (240, 50),
    "outputPorts": (240, 50),
    "funnels": (48, 48),
}
_GRID = 8  # components snap to it; less than that hides nothing


def unnamed(subject: Subject) -> Iterator[Violation]:
    for part in subject.of("processors", "controllerServices", "inputPorts", "outputPorts"):
        name = part.name.strip()
        if not name:
            yield Violation(part.where, "it has no name", "name it by what it is for")
        elif part.kind == "processors" and name == part.simple_type:
            yield Violation(part.where, "has the name of its type only", "name it by what it does here")


def overlap(subject: Subject) -> Iterator[Violation]:
    for group in subject.groups:
        boxes = sorted(_boxes(group.contents))
        for at, (_, top, right, bottom, name) in enumerate(boxes):
            for left, other_top, _, other_bottom, other in boxes[at + 1 :]:
                if left > right - _GRID:
                    break  # they are sorted from left to right
                if min(bottom, other_bottom) - max(top, other_top) >= _GRID:
                    yield Violation(f"{group.name} / {other}", f"lies over {name!r} on the canvas", "move one of them")


def _boxes(contents: object) -> Iterator[tuple[float, float, float, float, str]]:
    assert isinstance(contents, dict)
    for kind, (width, height) in _SIZES.items():
        for told in contents.get(kind) or []:
            position = told.get("position") or {}
            if isinstance(x := position.get("x"), int | float) and isinstance(y := position.get("y"), int | float):
                name = told.get("name") or str(told.get("componentType") or kind).lower().replace("_", " ")
                yield x, y, x + width, y + height, str(name)


RULES = (
    Rule("NF021", "unnamed", "A name says what a component is for, not what class it is.", unnamed, Severity.warning),
    Rule("NF023", "overlap", "A component under another is not seen.", overlap, Severity.warning),
)
