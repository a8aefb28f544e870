"""Whether a flow definition has the shape that NiFi writes, so that the rules may rely on it."""

from collections.abc import Iterator, Mapping
from typing import Any

from nifi_flows.definition import KINDS
from nifi_flows.lint.rule import Told

_OBJECTS = ("properties", "bundle", "position", "source", "destination")
_TEXTS = ("autoTerminatedRelationships", "retriedRelationships", "selectedRelationships", "inheritedParameterContexts")
_REMEDY = "export the flow again, on the canvas or with ./scripts/pipeline flow export"


def malformed(flow: Mapping[str, Any]) -> Iterator[Told]:
    """The places that are not as NiFi writes them."""
    yield from _group(flow["flowContents"], "flowContents")
    external = flow.get("externalControllerServices") or {}
    if not isinstance(external, dict):
        yield _wrong("externalControllerServices", "an object")
    contexts = flow.get("parameterContexts") or {}
    if not isinstance(contexts, dict):
        yield _wrong("parameterContexts", "an object")
        return
    for name, context in contexts.items():
        where = f"parameterContexts / {name}"
        yield from _component(context, where)
        if isinstance(context, dict):
            for at, parameter in enumerate(_listed(context, "parameters")):
                if not (isinstance(parameter, dict) and isinstance(parameter.get("name"), str)):
                    yield _wrong(f"{where} / parameter {at}", "an object with a name")


def _group(contents: Any, where: str) -> Iterator[Told]:
    if not (isinstance(contents, dict) and isinstance(contents.get("name"), str) and contents.get("identifier")):
        yield _wrong(where, "an object with a name and an identifier")
        return
    yield from _component(contents, where)
    for kind in KINDS:
        for at, told in enumerate(_listed(contents, kind)):
            yield from _component(told, f"{where} / {kind} {at}")
    for at, inner in enumerate(_listed(contents, "processGroups")):
        yield from _group(inner, f"{where} / processGroups {at}")


def _component(told: Any, where: str) -> Iterator[Told]:
    if not isinstance(told, dict):
        yield _wrong(where, "an object")
        return
    for key in _OBJECTS:
        if not isinstance(told.get(key) or {}, dict):
            yield _wrong(f"{where} / {key}", "an object")
    described = told.get("propertyDescriptors") or {}
    if not (isinstance(described, dict) and all(isinstance(one, dict) for one in described.values())):
        yield _wrong(f"{where} / propertyDescriptors", "an object of objects")
    for key in _TEXTS:
        if not all(isinstance(one, str) for one in _listed(told, key)):
            yield _wrong(f"{where} / {key}", "a list of texts")


def _listed(told: Mapping[str, Any], key: str) -> list[Any]:
    """What is there instead of a list is one thing that is not as it should be."""
    value = told.get(key) or []
    return value if isinstance(value, list) else [None]


def _wrong(where: str, wanted: str) -> Told:
    return Told(where, f"it is not {wanted}, as NiFi writes it", _REMEDY)
