"""What stands in properties and belongs elsewhere: addresses, secrets, paths. No message shows a secret."""

import re
from collections.abc import Iterator

from nifi_flows import sensitive
from nifi_flows.lint.finding import Severity
from nifi_flows.lint.rule import Rule, Violation
from nifi_flows.lint.subject import PlacedComponent, Subject

_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9_-]|\.(?=[A-Za-z0-9]))*"
_IPV4 = r"(?:\d{1,3}\.){3}\d{1,3}"
_HOST_PORT = re.compile(rf"({_NAME}):(\d{{2,5}})(?:\s*,\s*{_NAME}:\d{{2,5}})*\s*/?", re.I)
_LOCAL = re.compile(rf"(?:localhost|(?!0\.0\.0\.0){_IPV4})", re.I)
_ADDRESS_KEY = re.compile(
    r"(?i)(^|[^a-z])(hosts?|hostname|brokers?|servers?|ur[il]s?|address(es)?|endpoint|registry|connect(ion)?)\b"
)
_HOST_KEY = re.compile(r"(?i)(^|[^a-z])host(name)?$")
_NAMESPACE = re.compile(r"(?i)namespace|xmlns|(?<![a-z])schema.?(text|uri)$")
# Whose addresses are names of what they describe.
_VOCABULARY = re.compile(
    r"(?i)(?:[a-z0-9-]+\.)?(?:w3\.org|w3id\.org|purl\.org|schema\.org|json-schema\.org|xmlns\.com)"
)
_BINDS = re.compile(r"Listen\w*|HandleHttpRequest")  # to an address of the machine that it is on
# Their properties say what to look for.
_EXPRESSIONS = re.compile("Evaluate(JsonPath|XPath|XQuery)|ExtractText|QueryRecord|RouteOnContent|RouteText")
_ELSEWHERE = re.compile(r"HDFS|SFTP|FTP|SMB|Samba|Hive|Iceberg|Jolt|XPath|XQuery")


def address(subject: Subject) -> Iterator[Violation]:
    for part, name, value in _set_here(subject):
        binds = _BINDS.fullmatch(part.simple_type) and not sensitive.URL.match(value)
        if not binds and not _NAMESPACE.search(name) and _names_host(name, value):
            message = "names a host by itself, which is another one in another environment"
            yield Violation(f"{part.where} / {name}", message, "make it a parameter: #{...}")


def _names_host(name: str, value: str) -> bool:
    text = value.strip()
    url = sensitive.URL.match(text)
    if url and " " not in text.partition("?")[0]:
        return not _VOCABULARY.fullmatch(url[1])
    named = _HOST_KEY.search(name) and re.fullmatch(_NAME, text) and not sensitive.WORD.fullmatch(text)
    if named or _LOCAL.fullmatch(text):
        return text != "0.0.0.0"
    found = _HOST_PORT.fullmatch(text)
    if not found or (not re.search("[A-Za-z]", found[1]) and not _LOCAL.fullmatch(found[1])):
        return False
    return bool(_ADDRESS_KEY.search(name) or _LOCAL.fullmatch(found[1]))


def secret(subject: Subject) -> Iterator[Violation]:
    named = re.compile(subject.options.secret)
    for part, name, value in _set_here(subject):
        looked_for = _EXPRESSIONS.fullmatch(part.simple_type) and not sensitive.shows(value)
        if sensitive.holds(name, value, named) and not looked_for and value not in subject.services:
            yield Violation(f"{part.where} / {name}", "holds a secret in plain text", _HIDE)
    for context, parameter in subject.parameters:
        name = str(parameter.get("name"))
        if not parameter.get("sensitive") and sensitive.holds(name, str(parameter.get("value") or ""), named):
            message = "holds a secret, but is no sensitive parameter"
            yield Violation(f"parameters / {context} / {name}", message, _HIDE)


_HIDE = "make it a sensitive parameter with its value outside git, and change the secret: it is known now"


def sensitive_value(subject: Subject) -> Iterator[Violation]:
    for context, parameter in subject.parameters:
        if parameter.get("sensitive") and parameter.get("value"):
            where = f"parameters / {context} / {parameter.get('name')}"
            yield Violation(where, "is sensitive, but its value is in the file", _HIDE)


def path(subject: Subject) -> Iterator[Violation]:
    for part, name, value in _set_here(subject):
        if sensitive.PATH.match(value) and "\n" not in value.strip() and not _ELSEWHERE.search(part.simple_type):
            message = "is a fixed path, which another machine may not have"
            yield Violation(f"{part.where} / {name}", message, "make it a parameter: #{...}")


def _set_here(subject: Subject) -> Iterator[tuple[PlacedComponent, str, str]]:
    """Property by property, but what is the type's own default: component, property, value."""
    for part in subject.of("processors", "controllerServices"):
        for name, value in part.properties.items():
            known = subject.property(part, name)
            if known is None or (value != known.default and not known.allowed):
                yield part, name, value


RULES = (
    Rule("NF030", "hard-coded-address", "A flow with an address in it runs in one environment only.", address),
    Rule("NF031", "hard-coded-secret", "What is in the flow is in git, for everybody to read.", secret),
    Rule("NF032", "sensitive-value", "A sensitive parameter is not sensitive when its value is in git.",
         sensitive_value),
    Rule("NF033", "machine-path", "A path of one machine is not there on the next.", path, Severity.warning),
)  # fmt: skip
