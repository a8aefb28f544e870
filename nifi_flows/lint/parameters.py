"""References to parameters, and the contexts that hold them."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from nifi_flows.lint.finding import Severity
from nifi_flows.lint.rule import Rule, Violation
from nifi_flows.lint.subject import PlacedComponent, Subject

# NiFi reads ## before a brace as an escaped #, so an even number of them is no reference.
_REFERENCE = re.compile(r"(?<!#)((?:##)*)#\{\s*(?:'([^'{}]+)'|([A-Za-z0-9 ._-]+?))\s*\}")


def references(value: str) -> list[str]:
    """Names of the parameters that a property's value refers to."""
    return [quoted or plain for _, quoted, plain in _REFERENCE.findall(value)]


def _used(subject: Subject) -> Iterator[tuple[PlacedComponent, str]]:
    """Component and parameter, wherever the component names it: also in the rules of UpdateAttribute's own dialog."""
    for part in subject.of("processors", "controllerServices"):
        for parameter in references(json.dumps(part.contents, ensure_ascii=False)):
            yield part, parameter


def _referring(subject: Subject) -> Iterator[tuple[PlacedComponent, str, str]]:
    """Component, property, parameter."""
    for part in subject.of("processors", "controllerServices"):
        period = {"schedulingPeriod": str(part.contents.get("schedulingPeriod") or "")}  # newer ones take a parameter
        for name, value in (part.properties | period).items():
            for parameter in references(value) if "#{" in value else ():
                yield part, name, parameter


def _contexts(subject: Subject) -> Mapping[str, Any]:
    return subject.flow.get("parameterContexts") or {}


def _inherited(contexts: Mapping[str, Any], name: str) -> list[str]:
    """A context and those that it inherits from, each once."""
    found: list[str] = []
    todo = [name]
    while todo:
        one = todo.pop()
        if one not in found and one in contexts:
            found.append(one)
            todo += contexts[one].get("inheritedParameterContexts") or []
    return found


def undefined(subject: Subject) -> Iterator[Violation]:
    contexts = _contexts(subject)
    defined = {
        name: {p["name"] for one in _inherited(contexts, name) for p in contexts[one].get("parameters") or []}
        for name in contexts
    }
    for part, name, parameter in _referring(subject):
        bound = part.group.contents.get("parameterContextName")
        where = f"{part.where} / {name}"
        if not bound:
            message = f"refers to #{{{parameter}}}, but {part.group.name!r} has no parameter context"
            yield Violation(where, message, "give the group a parameter context")
        elif bound not in contexts:
            message = f"refers to #{{{parameter}}}, but the parameter context {bound!r} is not in the flow"
            yield Violation(where, message, "export the flow again, with its parameter context")
        elif parameter not in defined[bound]:
            message = f"refers to #{{{parameter}}}, which is not in the parameter context {bound!r}"
            yield Violation(where, message, "declare it, or correct the name")


def unused(subject: Subject) -> Iterator[Violation]:
    contexts = _contexts(subject)
    used: set[tuple[str, str]] = set()
    for part, parameter in _used(subject):
        for context in _inherited(contexts, str(part.group.contents.get("parameterContextName"))):
            used.add((context, parameter))
    for context, declared in subject.parameters:
        name = declared["name"]
        if (context, name) not in used and not declared.get("provided"):
            yield Violation(f"parameters / {context} / {name}", "is used nowhere in the flow", "remove it")


def without_value(subject: Subject) -> Iterator[Violation]:
    values = subject.values or {}
    declared = set()
    for context, parameter in subject.parameters:
        name = parameter["name"]
        declared.add(name)
        if parameter.get("value") is None and values.get(name) is None and not parameter.get("provided"):
            where = f"parameters / {context} / {name}"
            yield Violation(where, "has no value in this environment", "set it in the environment")
    for name in sorted(set(values) - declared):
        message = "is set by the environment, but the flow has no such parameter"
        yield Violation(f"parameters / {name}", message, "correct the name, or remove it from the environment")


RULES = (
    Rule("NF040", "undefined-parameter", "A reference to nothing makes its component invalid.", undefined),
    Rule("NF041", "unused-parameter", "Who sets a parameter that is not used waits for its effect in vain.", unused,
         Severity.warning),
    Rule("NF042", "parameter-without-value", "A parameter without a value makes what uses it invalid.", without_value,
         needs="values"),
)  # fmt: skip
