"""What stands in properties and belongs elsewhere: addresses, secrets, paths. No message shows a secret."""

import re
from collections.abc import Iterator

from nifi_flows.lint.finding import Severity
from nifi_flows.lint.rule import Rule, Told
from nifi_flows.lint.subject import Part, Subject

_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9_-]|\.(?=[A-Za-z0-9]))*"
_IPV4 = r"(?:\d{1,3}\.){3}\d{1,3}"
_URL = re.compile(rf"\s*(?:jdbc:)?(?!file:)[a-z][a-z0-9+.-]*:(?:[a-z0-9]+:)*//(?:[^\s/@$#{{}}]*@)?({_NAME}|\[[0-9a-fA-F:]+\])", re.I)  # fmt: skip # noqa: E501
_HOST_PORT = re.compile(rf"({_NAME}):(\d{{2,5}})(?:\s*,\s*{_NAME}:\d{{2,5}})*\s*/?", re.I)
_LOCAL = re.compile(rf"(?:localhost|(?!0\.0\.0\.0){_IPV4})", re.I)
_ADDRESS_KEY = re.compile(
    r"(?i)(^|[^a-z])(hosts?|hostname|brokers?|servers?|ur[il]s?|address(es)?|endpoint|registry|connect(ion)?)\b"
)
_HOST_KEY = re.compile(r"(?i)(^|[^a-z])host(name)?$")
_NAMESPACE = re.compile(r"(?i)namespace|xmlns|(?<![a-z])schema.?(text|uri)$")
_WORD = re.compile(r"(?i)true|false|none|null|yes|no|enabled|disabled")

_TOKENS = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----|(?<![A-Za-z0-9])(?:AKIA|ASIA)[0-9A-Z]{16}(?![A-Za-z0-9])"
    r"|(?<![A-Za-z0-9])gh[pousr]_[A-Za-z0-9]{36}|(?<![A-Za-z0-9])xox[abprs]-[A-Za-z0-9-]{10,}|\benc\{[0-9a-fA-F]{32,}\}"
    r"|\b(?:Bearer|Basic) [A-Za-z0-9+/_.=-]{16,}"
)
_IN_URL = re.compile(
    r"[a-z][a-z0-9+.-]*://[^\s/:@$#{}]+:[^\s/@$#{}]+@"  # user:password@
    r"|[?&;](?:[a-z_-]*(?:password|passwd|secret|token|api_?key|access_?key))=[^\s&;$#{}]{4,}",
    re.I,
)
# Roots that are of a machine; a longer list would take record paths and those of URLs for files.
_PATH = re.compile(
    r"\s*(?:/(?:home|Users|root|opt|var|tmp|etc|usr|mnt|media|srv|private|Library|Volumes)(?:/|\s*$)"
    r"|~/|[A-Za-z]:[\\/](?!/)|\\\\[A-Za-z0-9]|file:/)"
)
_ELSEWHERE = re.compile(r"HDFS|SFTP|FTP|SMB|Samba|Hive|Iceberg|Jolt|XPath|XQuery")


def address(subject: Subject) -> Iterator[Told]:
    for part, name, value in _set_here(subject):
        if not _NAMESPACE.search(name) and _names_host(name, value):
            message = "names a host by itself, which is another one in another environment"
            yield Told(f"{part.where} / {name}", message, "make it a parameter: #{...}")


def _names_host(name: str, value: str) -> bool:
    text = value.strip()
    if _URL.match(text) and " " not in text.partition("?")[0]:
        return True
    if _LOCAL.fullmatch(text) or (_HOST_KEY.search(name) and re.fullmatch(_NAME, text) and not _WORD.fullmatch(text)):
        return text != "0.0.0.0"
    found = _HOST_PORT.fullmatch(text)
    if not found or (not re.search("[A-Za-z]", found[1]) and not _LOCAL.fullmatch(found[1])):
        return False
    return bool(_ADDRESS_KEY.search(name) or _LOCAL.fullmatch(found[1]))


def secret(subject: Subject) -> Iterator[Told]:
    named = re.compile(subject.options.secret)
    for part, name, value in _set_here(subject):
        if _holds_secret(named, name, value) and value not in subject.services:
            yield Told(f"{part.where} / {name}", "holds a secret in plain text", _HIDE)
    for context, parameter in subject.parameters:
        name = str(parameter.get("name"))
        if not parameter.get("sensitive") and _holds_secret(named, name, str(parameter.get("value") or "")):
            message = "holds a secret, but is no sensitive parameter"
            yield Told(f"parameters / {context} / {name}", message, _HIDE)


_HIDE = "make it a sensitive parameter with its value outside git, and change the secret: it is known now"


def _holds_secret(named: re.Pattern[str], name: str, value: str) -> bool:
    text = value.strip()
    if not text or _WORD.fullmatch(text):
        return False
    if _TOKENS.search(text) or _IN_URL.search(text):
        return True
    literal = "${" not in text and "#{" not in text
    return literal and bool(named.search(name)) and not _URL.match(text) and not _PATH.match(text)


def sensitive_value(subject: Subject) -> Iterator[Told]:
    for context, parameter in subject.parameters:
        if parameter.get("sensitive") and parameter.get("value"):
            where = f"parameters / {context} / {parameter.get('name')}"
            yield Told(where, "is sensitive, but its value is in the file", _HIDE)


def path(subject: Subject) -> Iterator[Told]:
    for part, name, value in _set_here(subject):
        if _PATH.match(value) and "\n" not in value.strip() and not _ELSEWHERE.search(part.simple_type):
            message = "is a fixed path, which another machine may not have"
            yield Told(f"{part.where} / {name}", message, "make it a parameter: #{...}")


def _set_here(subject: Subject) -> Iterator[tuple[Part, str, str]]:
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
