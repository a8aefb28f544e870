"""What a NiFi can run: its component types, and what it says of those that a flow uses."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from nifi_flows import definition
from nifi_flows.errors import TerminalError

ALLOWED, REQUIRED, FORBIDDEN = "INPUT_ALLOWED", "INPUT_REQUIRED", "INPUT_FORBIDDEN"
_PYTHON = ("org.apache.nifi", "python-extensions")
_FORBIDDEN, _NOT_FOUND = 403, 404


@dataclass(frozen=True, order=True)
class Bundle:
    group: str
    artifact: str
    version: str

    def __str__(self) -> str:
        return f"{self.group}:{self.artifact}:{self.version}"

    @property
    def python(self) -> bool:
        """Whether it holds Python processors; each of them then has a version of its own."""
        return (self.group, self.artifact) == _PYTHON


@dataclass(frozen=True)
class Property:
    """names: the key, and the name on the canvas, which older flows use as the key. allowed: empty where any value is.

    conditional: it counts only with certain values of other properties. service: its value names a controller service.
    """

    names: tuple[str, ...]
    allowed: tuple[str, ...] = ()
    required: bool = False
    default: str | None = None
    conditional: bool = False
    service: bool = False


@dataclass(frozen=True)
class Definition:
    """What one type takes and gives. relationships: None where they are not known, or depend on the properties.

    dynamic: it takes properties that it does not list. input: one of ALLOWED, REQUIRED and FORBIDDEN, or None where
    that is not known.
    """

    properties: tuple[Property, ...]
    dynamic: bool
    relationships: tuple[str, ...] | None = None
    input: str | None = None


@dataclass(frozen=True)
class Inventory:
    """types: type of a processor or controller service -> the bundles that bring it. encoding: the flows' it reads.

    definitions: type -> its definition, of the types for which one was asked and NiFi had one.
    """

    nifi: str
    types: Mapping[str, tuple[Bundle, ...]]
    definitions: Mapping[str, Definition] = field(default_factory=dict)
    encoding: str = definition.ENCODING


def bundle(component: Mapping[str, Any]) -> Bundle:
    """The bundle of a processor or controller service in a flow definition; empty texts where it names none."""
    told = component.get("bundle") or {}
    return Bundle(*(str(told.get(key) or "") for key in ("group", "artifact", "version")))


def read(flow: Mapping[str, Any]) -> Inventory:
    """The types of the NiFi that is connected, with the definitions of those that a flow definition uses.

    A NAR without documentation has no definitions; those of its types are then read from components of theirs on the
    canvas, if there are any. Needs `connection.connected`, which turns what the client raises into our errors.
    """
    from nipyapi import nifi  # takes seconds, which a lint without NiFi need not wait

    api = nifi.FlowApi()
    processors = _bundles(api.get_processor_types().processor_types)
    services = _bundles(api.get_controller_service_types().controller_service_types)
    used = {(str(component.get("type")), bundle(component)) for component in _typed(flow)}
    definitions: dict[str, Definition] = {}
    for name, wanted in sorted(used):
        offered = processors.get(name) or services.get(name) or ()
        if not offered:
            continue
        coordinate = wanted if wanted in offered else offered[-1]
        ask = api.get_processor_definition if name in processors else api.get_controller_service_definition
        found = _defined(ask, coordinate, name)
        if found is not None:
            definitions[name] = found
    missing = {name for name, _ in used} - set(definitions)
    if missing:
        definitions |= _on_canvas(missing)
    return Inventory(api.get_about_info().about.version, {**services, **processors}, definitions)


def load(path: Path) -> Inventory:
    """Read an inventory that `dump` wrote. Raises TerminalError when the file holds none."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"), parse_int=definition.integer)
        return Inventory(
            str(told["nifi"]),
            {name: tuple(Bundle(**one) for one in bundles) for name, bundles in told["types"].items()},
            {name: _definition(one) for name, one in told["definitions"].items()},
            str(told["encoding"]),
        )
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise TerminalError(f"{path} is no inventory of a NiFi: {error}", "lint with --nifi instead") from error


def dump(inventory: Inventory) -> str:
    """The inventory as JSON, for `load`."""
    return json.dumps(asdict(inventory), indent=1, sort_keys=True) + "\n"


def _definition(told: dict[str, Any]) -> Definition:
    relationships = told["relationships"]
    return Definition(
        tuple(map(_property, told["properties"])),
        bool(told["dynamic"]),
        None if relationships is None else _texts(relationships),
        told["input"],
    )


def _property(told: dict[str, Any]) -> Property:
    names = _texts(told["names"])
    if not names:
        raise ValueError("a property has no name")
    return Property(**{**told, "names": names, "allowed": _texts(told["allowed"])})


def _texts(told: Any) -> tuple[str, ...]:
    if not (isinstance(told, list) and all(isinstance(one, str) for one in told)):
        raise TypeError(f"{str(told)[:50]!r} is no list of texts")
    return tuple(told)


def _typed(flow: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for group in definition.groups(flow):
        for kind in ("processors", "controllerServices"):
            yield from group.contents.get(kind) or []


def _bundles(documented: Any) -> dict[str, tuple[Bundle, ...]]:
    found: dict[str, list[Bundle]] = {}
    for one in documented or []:
        found.setdefault(one.type, []).append(Bundle(one.bundle.group, one.bundle.artifact, one.bundle.version))
    return {name: tuple(sorted(bundles)) for name, bundles in found.items()}


def _defined(ask: Any, coordinate: Bundle, name: str) -> Definition | None:
    from nipyapi.nifi.rest import ApiException

    try:
        told = ask(coordinate.group, coordinate.artifact, coordinate.version, name)
    except ApiException as error:
        if error.status == _NOT_FOUND:
            return None
        raise
    properties = tuple(
        Property(
            names=tuple(dict.fromkeys(filter(None, (one.name or key, one.display_name)))),
            allowed=tuple(value.value for value in one.allowable_values or []),
            required=bool(one.required),
            default=one.default_value,
            conditional=bool(one.dependencies),
            service=one.type_provided_by_value is not None,
        )
        for key, one in (told.property_descriptors or {}).items()
    )
    listed = tuple(one.name for one in getattr(told, "supported_relationships", None) or [])
    # Relationships and input of a Python processor are known only once one is on the canvas.
    fixed = not coordinate.python and not getattr(told, "supports_dynamic_relationships", False)
    return Definition(
        properties,
        bool(told.supports_dynamic_properties) or coordinate.python,
        listed if fixed else None,
        None if coordinate.python else getattr(told, "input_requirement", None),
    )


def _on_canvas(missing: set[str]) -> dict[str, Definition]:
    """What components on the canvas say of their types. Whether one takes further properties they do not say."""
    from nipyapi import nifi
    from nipyapi.nifi.rest import ApiException

    try:
        processors = nifi.ProcessGroupsApi().get_processors("root", include_descendant_groups=True).processors
        services = nifi.FlowApi().get_controller_services_from_group("root", include_descendant_groups=True)
    except ApiException as error:
        if error.status == _FORBIDDEN:  # nothing of ours is there yet
            return {}
        raise
    found: dict[str, Definition] = {}
    for entity in (*(processors or []), *(services.controller_services or [])):
        component = entity.component
        if component is None or component.type not in missing or component.extension_missing:
            continue
        config = getattr(component, "config", component)
        descriptors = (config.descriptors or {}).values()
        if not descriptors and getattr(component, "relationships", None) is None:
            continue
        properties = tuple(_described(one) for one in descriptors if not one.dynamic)
        found[component.type] = Definition(
            properties, dynamic=True, input=getattr(component, "input_requirement", None)
        )
    return found


def _described(one: Any) -> Property:
    service = one.identifies_controller_service is not None
    values = [entity.allowable_value.value for entity in one.allowable_values or [] if entity.allowable_value]
    return Property(
        names=tuple(dict.fromkeys(filter(None, (one.name, one.display_name)))),
        allowed=() if service else tuple(values),  # of a service, those that are there now
        required=bool(one.required),
        default=one.default_value,
        conditional=bool(one.dependencies),
        service=service,
    )
