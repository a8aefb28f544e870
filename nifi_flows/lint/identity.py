"""Identifiers and versions: what NiFi goes by when it replaces a flow in place."""

from collections.abc import Iterator

from nifi_flows.lint.finding import Severity
from nifi_flows.lint.rule import Rule, Violation
from nifi_flows.lint.subject import Subject, parts


def duplicate(subject: Subject) -> Iterator[Violation]:
    places: dict[str, list[tuple[str, ...]]] = {}
    for group in subject.groups:
        places.setdefault(str(group.contents["identifier"]), []).append(group.identifiers[:-1])
    for part in subject.parts:
        places.setdefault(part.identifier, []).append(part.group.identifiers)
    for part in subject.parts:
        if sum(_one_way(place, part.group.identifiers) for place in places[part.identifier]) > 1:
            message = f"shares its identifier {part.identifier} with another component"
            yield Violation(
                part.where, message, "give it one of its own, or copy it on the canvas instead of in the file"
            )


def _one_way(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Whether a group is the other or around it. Beside each other two may be copies of one versioned flow."""
    return all(a == b for a, b in zip(one, other, strict=False))


def changed_type(subject: Subject) -> Iterator[Violation]:
    before = {part.identifier: part for part in parts(subject.previous or {})}
    for part in subject.of("processors", "controllerServices"):
        old = before.get(part.identifier)
        if old is not None and old.type != part.type:
            message = f"was a {old.simple_type} and is a {part.simple_type}, under the same identifier"
            yield Violation(part.where, message, "give it a new identifier: NiFi keeps the old type, and says nothing")


def mixed_versions(subject: Subject) -> Iterator[Violation]:
    versions: dict[tuple[str, str], dict[str, str]] = {}
    for part in subject.of("processors", "controllerServices"):
        found = part.bundle
        if found.artifact and not found.python:
            versions.setdefault((found.group, found.artifact), {}).setdefault(found.version, part.where)
    for (_, artifact), seen in versions.items():
        if len(seen) > 1:
            told = "; ".join(f"{version} ({where})" for version, where in sorted(seen.items()))
            root = subject.groups[0].name
            yield Violation(f"{root} / {artifact}", f"is used in {len(seen)} versions: {told}", "take one for all")


RULES = (
    Rule("NF002", "duplicate-identifier", "NiFi tells components apart by their identifiers.", duplicate),
    Rule("NF003", "changed-type", "Replacing a flow in place silently keeps the type of an identifier.", changed_type,
         needs="previous"),
    Rule("NF004", "mixed-versions", "Two versions of one bundle are a component that was left out of an upgrade.",
         mixed_versions, Severity.warning),
)  # fmt: skip
