"""The properties and settings in which two components differ, in words, without what looks secret."""

import re
from collections.abc import Iterator, Mapping, Set
from typing import Any

from nifi_flows import sensitive
from nifi_flows.diff.change import Change, Component, What

_WORDS = {
    "concurrentlySchedulableTaskCount": "concurrent tasks",
    "schedulingPeriod": "run schedule",
    "executionNode": "execution",
    "runDurationMillis": "run duration (ms)",
    "autoTerminatedRelationships": "auto-terminated relationships",
    "retryCount": "retry attempts",
    "backoffMechanism": "retry back-off policy",
    "maxBackoffPeriod": "retry maximum back-off period",
    "backPressureObjectThreshold": "back-pressure object threshold",
    "backPressureDataSizeThreshold": "back-pressure size threshold",
    "flowFileExpiration": "FlowFile expiration",
    "flowFileConcurrency": "FlowFile concurrency",
    "flowFileOutboundPolicy": "FlowFile outbound policy",
    "parameterContextName": "parameter context",
    "label": "text",
}


def differing(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Key and both values, None where there is none, wherever two mappings differ."""
    for name in sorted({*before, *after}):
        if before.get(name) != after.get(name):
            yield name, before.get(name), after.get(name)


def settings(
    component: Component, before: Mapping[str, Any], after: Mapping[str, Any], without: Set[str]
) -> Iterator[Change]:
    """Whatever else a component has, known to us or not; what has parts, such as a bundle, part by part."""
    for name, value, other in differing(before, after):
        if name in without:
            continue
        parts = [part for part in (value, other) if part is not None]
        if all(isinstance(part, dict) for part in parts):
            for inner, old, new in differing(value or {}, other or {}):
                yield changed(What.setting, component, f"{_in_words(name)} {inner}", old, new)
        else:
            yield changed(What.setting, component, _in_words(name), value, other)


def changed(what: What, component: Component, subject: str, before: Any, after: Any) -> Change:
    """The change of a property or setting, without its values when they may be secret."""
    if any(sensitive.may_hold(subject, value) for value in (before, after)):
        return Change(what, component, subject, hidden=True)
    return Change(what, component, subject, before, after)


def _in_words(key: str) -> str:
    return _WORDS.get(key) or re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", key).lower()
