"""What looks like a secret: by the name of what holds it, or by itself."""

import json
import re

_WORDS = r"pass(word|wd|phrase)|secret|token|credentials?|authorization|(api|access|secret|private|account)[-_. ]?key"
NAMED = rf"(?i)(^|[^a-z]|(?-i:(?<=[a-z])(?=[A-Z])))({_WORDS})([-_. ]value)?$"  # the names of properties that hold one
_MENTIONED = re.compile(rf"passw|{_WORDS}", re.I)

URL = re.compile(
    r"\s*(?:jdbc:)?(?!file:)[a-z][a-z0-9+.-]*:(?:[a-z0-9]+:)*//(?:[^\s/@$#{}]*@)?"
    r"([a-z0-9](?:[a-z0-9_-]|\.(?=[a-z0-9]))*|\[[0-9a-f:]+\])",
    re.I,
)
# Roots that are of a machine; a longer list would take record paths and those of URLs for files.
PATH = re.compile(
    r"\s*(?:/(?:home|Users|root|opt|var|tmp|etc|usr|mnt|media|srv|private|Library|Volumes)(?:/|\s*$)"
    r"|~/|[A-Za-z]:[\\/](?!/)|\\\\[A-Za-z0-9]|file:/)"
)
WORD = re.compile(r"(?i)true|false|none|null|yes|no|enabled|disabled")
_JSON_PATH = re.compile(r"\$[.\[]")
_REFERENCE = re.compile(r"#\{[^{}]*\}")  # to a parameter: where a secret should be, and none itself

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
# "password": "..." in JSON, also quoted once more, and password = "..." in a script. No types, as in a schema, and no
# names of fields, as in a mapping.
_ASSIGNED = re.compile(
    r"(?:pass(?:word|wd|phrase)|secret|token|(?:api|access|secret|private|account)[-_]?key)\\?[\"']?\s*[:=]\s*\\?[\"']"
    r"(?!(?:string|integer|number|boolean)\b)(?![\w.-]*(?:\b|_)(?:password|secret|token|key)\\?[\"'])"
    r"(?:(?![$#{]\{)[^\s\"'\\<*]){6,}\\?[\"']",
    re.I,
)


def shows(text: str) -> bool:
    """Whether a text has a secret in it, whatever it is the value of."""
    return any(pattern.search(text) for pattern in (_TOKENS, _IN_URL, _ASSIGNED))


def holds(name: str, value: str, named: re.Pattern[str]) -> bool:
    """Whether a property or parameter holds a secret. named: the names of those that do."""
    text = value.strip()
    if not text or WORD.fullmatch(text):
        return False
    if shows(text):
        return True
    elsewhere = "${" in text or "#{" in text or any(kind.match(text) for kind in (URL, PATH, _JSON_PATH))
    return bool(named.search(name)) and not elsewhere


def may_hold(name: str, value: object) -> bool:
    """Whether a value had better not be shown: also where the name only mentions a secret."""
    if not isinstance(value, str):
        return shows(json.dumps(value))
    if not value or _REFERENCE.fullmatch(value):
        return False
    return bool(_MENTIONED.search(name)) or shows(value)
