"""How a flow is linted, from a TOML file beside it: rules that are off, what names mean, and what is excused."""

import re
import tomllib
from collections.abc import Collection
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from nifi_flows import sensitive
from nifi_flows.errors import TerminalError
from nifi_flows.lint.finding import Finding
from nifi_flows.wording import printable

_REMEDY = "correct it; ./scripts/pipeline flow lint --rules lists the codes"


@dataclass(frozen=True)
class Excuse:
    """Findings of one code are meant at the places that `where` fits, with * and ? as in file names; why says so."""

    code: str
    where: str
    why: str

    def covers(self, finding: Finding) -> bool:
        # A name may hold a bracket, and is copied as lint printed it.
        pattern = self.where.replace("[", "[[]")
        return finding.code == self.code and any(
            fnmatchcase(where, pattern) for where in (finding.where, printable(finding.where))
        )


@dataclass(frozen=True)
class Options:
    """Regular expressions. lossy: of relationships that may hold data. secret: of properties that hold a secret."""

    lossy: str = (
        r"(?i)\b(fail(ed|ure|ures)?|error|errors|retry|no.retry|invalid|unmatched|unsuccessful|rejected|refused|denied"
        r"|timeout|expired|abandoned|dropped|dead.?letters?|not.?found|nonzero.status|retries.exceeded)\b"
    )
    secret: str = sensitive.NAMED


@dataclass(frozen=True)
class Config:
    """off: codes of rules that do not run. where: how messages call the file."""

    off: frozenset[str] = frozenset()
    options: Options = field(default_factory=Options)
    excuses: tuple[Excuse, ...] = ()
    where: str = "lint.toml"


def load(path: Path, codes: Collection[str]) -> Config:
    """Read the configuration from a TOML file.

    codes: of the rules that there are. Raises TerminalError naming what is wrong in the file.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise TerminalError(f"{path} cannot be read: {error}", "correct it") from error
    _only(table, ("off", "options", "excuse"), str(path))
    off = table.get("off", [])
    if not (isinstance(off, list) and all(code in codes for code in off)):
        raise TerminalError(f"{path}: off is no list of codes of rules", _REMEDY)
    excuses = table.get("excuse", [])
    if not isinstance(excuses, list):
        raise TerminalError(f"{path}: excuses are written as [[excuse]]", "correct it")
    return Config(
        frozenset(off),
        _options(table.get("options", {}), f"{path}, options"),
        tuple(_excuse(one, codes, f"{path}, excuse {n}") for n, one in enumerate(excuses, 1)),
        path.name,
    )


def _options(table: Any, where: str) -> Options:
    if not isinstance(table, dict):
        raise TerminalError(f"{where}: it is no table", "write it as [options]")
    _only(table, tuple(Options.__dataclass_fields__), where)
    for name, pattern in table.items():
        try:
            re.compile(pattern)
        except (re.error, TypeError) as error:
            raise TerminalError(f"{where}: {name} is no regular expression: {error}", "correct it") from error
    return Options(**table)


def _excuse(table: Any, codes: Collection[str], where: str) -> Excuse:
    if not isinstance(table, dict):
        raise TerminalError(f"{where}: it is no table", "write it as [[excuse]]")
    _only(table, ("code", "where", "why"), where)
    for key in ("code", "where", "why"):
        if not (isinstance(table.get(key), str) and table[key].strip()):
            raise TerminalError(f"{where}: {key} is missing", "an excuse has a code, where it counts, and why")
    if table["code"] not in codes:
        raise TerminalError(f"{where}: there is no rule {table['code']}", _REMEDY)
    return Excuse(table["code"], table["where"], table["why"])


def _only(table: dict[str, Any], known: tuple[str, ...], where: str) -> None:
    for key in table:
        if key not in known:
            raise TerminalError(f"{where}: {key!r} is not known", f"it may have {', '.join(known)}")
