"""What the flow asks of the NiFi that it lands on, and of our own Python processors."""

import re
from collections.abc import Iterator

from nifi_flows.inventory import Inventory
from nifi_flows.lint.finding import Severity
from nifi_flows.lint.rule import Rule, Violation
from nifi_flows.lint.subject import PlacedComponent, Subject

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def unknown_type(subject: Subject) -> Iterator[Violation]:
    inventory = subject.inventory
    assert isinstance(inventory, Inventory)
    for part in _typed(subject):
        offered = inventory.types.get(part.type)
        if subject.ours(part):  # a deploy brings it along
            continue
        if not offered:
            message = f"NiFi {inventory.nifi} has no {part.simple_type}"
            yield Violation(part.where, message, f"install {part.bundle} there, or take another type")
        elif part.bundle not in offered:
            message = f"{part.simple_type} is in {_listed(offered)} there, not in {part.bundle}"
            again = f"export the flow from a NiFi {inventory.nifi}, not {part.bundle.version}, or install"
            remedy = again if part.bundle.group == "org.apache.nifi" else "install"
            yield Violation(part.where, message, f"{remedy} {part.bundle} there")


def unknown_property(subject: Subject) -> Iterator[Violation]:
    for part in _typed(subject):
        defined = subject.defined(part)
        if defined is None or defined.dynamic:
            continue
        known = {name for one in defined.properties for name in one.names}
        for name in sorted(set(part.properties) - known):
            message = f"{part.simple_type} has no property {name!r}"
            yield Violation(f"{part.where} / {name}", message, f"it has {_listed(sorted(known)) or 'none'}")


def not_allowed(subject: Subject) -> Iterator[Violation]:
    for part in _typed(subject):
        for name, value in part.properties.items():
            known = subject.property(part, name)
            if known is None or not known.allowed or known.service or "#{" in value or "${" in value:
                continue
            if value not in known.allowed:
                message = f"{value!r} is not among the values that it takes"
                yield Violation(f"{part.where} / {name}", message, f"take one of {_listed(known.allowed)}")


def missing_property(subject: Subject) -> Iterator[Violation]:
    for part in _typed(subject):
        defined = subject.defined(part)
        for one in defined.properties if defined else ():
            if one.required and one.default is None and not one.conditional:
                value = next((part.properties[name] for name in one.names if name in part.properties), None)
                if value is None and not _sensitive(part, one.names):
                    yield Violation(f"{part.where} / {one.names[0]}", "is required, but has no value", "set it")


def _sensitive(part: PlacedComponent, names: tuple[str, ...]) -> bool:
    """Whether the export left its value out."""
    told = part.contents.get("propertyDescriptors") or {}
    return any((told.get(name) or {}).get("sensitive") for name in names)


def missing_service(subject: Subject) -> Iterator[Violation]:
    external = set(subject.flow.get("externalControllerServices") or {})
    for part in _typed(subject):
        above = {service.identifier for service in subject.of("controllerServices") if _holds(service, part)}
        told = part.contents.get("propertyDescriptors") or {}
        for name, value in part.properties.items():
            known = subject.property(part, name)
            service = (known and known.service) or (told.get(name) or {}).get("identifiesControllerService") is True
            if service and _UUID.fullmatch(value) and value not in above | external:
                message = "names a controller service that is neither in its group nor above it"
                yield Violation(
                    f"{part.where} / {name}", message, "add the service to the flow, or choose one that is there"
                )


def _holds(service: PlacedComponent, part: PlacedComponent) -> bool:
    """Whether the service is in scope: in the part's group or one around it."""
    return part.group.path[: len(service.group.path)] == service.group.path


def python_contract(subject: Subject) -> Iterator[Violation]:
    for found in (subject.processors or {}).values():
        for complaint in found.complaints:
            yield Violation(
                f"processors / {found.file}", complaint, "NiFi reads the class as syntax: write it as literals"
            )


def python_version(subject: Subject) -> Iterator[Violation]:
    for part in subject.of("processors"):
        if not part.bundle.python:
            continue
        ours = subject.ours(part)
        if ours is None:
            message = f"no file of ours has the class {part.type}"
            yield Violation(part.where, message, f"there are {_listed(sorted(subject.processors or {}))}")
        elif ours.version and ours.version != part.bundle.version:
            message = f"is {part.type} {part.bundle.version}, but {ours.file} has {ours.version}"
            yield Violation(part.where, message, "export the flow again, with the version of the class")


def _typed(subject: Subject) -> Iterator[PlacedComponent]:
    return subject.of("processors", "controllerServices")


def _listed(names: object, most: int = 8) -> str:
    assert isinstance(names, list | tuple)
    return ", ".join(map(str, names[:most])) + (", ..." if len(names) > most else "")


RULES = (
    Rule("NF050", "unknown-type", "A component whose type is not there is a ghost: NiFi takes it, and never runs it.",
         unknown_type, needs="inventory"),
    Rule("NF051", "unknown-property", "A property that the type does not know makes the component invalid.",
         unknown_property),
    Rule("NF052", "value-not-allowed", "A value that the property does not take makes the component invalid.",
         not_allowed),
    Rule("NF053", "missing-property", "A component without a property that it requires does not start.",
         missing_property),
    Rule("NF054", "missing-service", "A component whose controller service is not there does not start.",
         missing_service),
    Rule("NF060", "python-contract", "NiFi passes over a Python processor that it cannot read, without a word.",
         python_contract, needs="processors"),
    Rule("NF061", "python-version", "A flow that names another version of a class gets a ghost instead of it.",
         python_version, Severity.error, needs="processors"),
)  # fmt: skip
