"""What a flow definition has beside its groups: parameter contexts, and what it takes from outside."""

from collections.abc import Iterator, Mapping
from typing import Any

from nifi_flows.diff.change import Change, Component, Section, What
from nifi_flows.diff.settings import changed, differing, settings

_REFERENCED = {"externalControllerServices": "external controller service", "parameterProviders": "parameter provider"}


def beside_groups(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Section]:
    """A section for each parameter context that changed, and one for the rest of the definition."""
    yield from _parameter_sections(before, after)
    if rest := tuple(_rest(before, after)):
        yield Section("flow definition", rest)


def _parameter_sections(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Section]:
    contexts = [definition.get("parameterContexts") or {} for definition in (before, after)]
    for name in sorted({*contexts[0], *contexts[1]}):
        old, new = (context.get(name) for context in contexts)
        component = Component("parameter context", name, name)
        changes = list(_existence(component, old, new))
        if old is not None and new is not None:
            changes += settings(component, old, new, {"parameters", "componentType", "identifier", "name"})
        declared = [{p["name"]: p for p in (context or {}).get("parameters") or []} for context in (old, new)]
        for parameter in sorted({*declared[0], *declared[1]}):
            changes += _parameter(parameter, *(d.get(parameter) for d in declared))
        if changes:
            yield Section(f"parameter context {name}", tuple(changes))


def _parameter(name: str, old: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> Iterator[Change]:
    component = Component("parameter", name, name)
    yield from _existence(component, old, new)
    if old is None or new is None:
        return
    yield from settings(component, old, new, {"name", "value"})
    values = old.get("value"), new.get("value")
    if None not in values and values[0] != values[1]:
        if old.get("sensitive") or new.get("sensitive") or changed(What.setting, component, name, *values).hidden:
            yield Change(What.setting, component, "value", hidden=True)
        else:
            yield Change(What.setting, component, "value", *values)


def _existence(component: Component, old: Any, new: Any) -> Iterator[Change]:
    if old is None:
        yield Change(What.added, component)
    elif new is None:
        yield Change(What.removed, component)


def _rest(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Change]:
    """What a definition has beside its groups and parameters."""
    for key, kind in _REFERENCED.items():
        for identifier, old, new in differing(before.get(key) or {}, after.get(key) or {}):
            component = Component(kind, str((new or old).get("name", "")), identifier)
            yield from _existence(component, old, new)
            yield from settings(component, old, new, {"identifier"}) if old and new else ()
    without = {"flowContents", "parameterContexts", *_REFERENCED}
    yield from settings(Component("flow", "", ""), before, after, without)
