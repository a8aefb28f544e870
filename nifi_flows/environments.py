"""What a flow's parameters are in each environment: from a TOML file in git, and the sensitive ones from outside it."""

import os
import re
import stat
import tomllib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from nifi_flows.errors import TerminalError

_KEYS = ("inherits", "heal", "parameters")
_VARIABLE = "PIPELINE_PARAMETER_"
_PLACE = re.compile(r"(?<![$#])\{([a-z_]+)\}")  # ${…} is NiFi's expression language, #{…} one of its parameters


@dataclass(frozen=True)
class Declaration:
    """One environment as it is written. inherits, heal: None where it says nothing of it."""

    inherits: str | None
    heal: bool | None
    parameters: Mapping[str, str]


@dataclass(frozen=True)
class Environments:
    """where: how messages call the file. declared: name of each environment -> what is written of it."""

    where: str
    declared: Mapping[str, Declaration]


@dataclass(frozen=True)
class Environment:
    """values: parameter -> value, the sensitive ones too. heal: whether a flow may be healed without being asked."""

    name: str
    values: dict[str, str] = field(repr=False)
    heal: bool


def load(path: Path) -> Environments:
    """Read the environments from a file. Raises TerminalError naming what is wrong in it, and where."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise TerminalError(f"{path} cannot be read: {error}", "name a TOML file of environments") from error
    return parse(text, str(path))


def parse(text: str, where: str) -> Environments:
    """Read the environments from TOML. where: how messages call it. Raises TerminalError naming what is wrong."""
    try:
        tables = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise TerminalError(f"{where} is no TOML: {_line(error)}", "correct it") from error
    declared = {name: _declaration(where, name, table) for name, table in tables.items()}
    environments = Environments(where, declared)
    for name in declared:
        _lineage(environments, name)
    return environments


def resolve(
    environments: Environments,
    name: str,
    places: Mapping[str, str],
    declared: Mapping[str, Mapping[str, Any]],
    *,
    given: Collection[str] = (),
    secrets: Path | None = None,
    variables: Mapping[str, str] = os.environ,
) -> Environment:
    """The values of all parameters that a flow declares, in one environment.

    places: what {name} in a value stands for. declared: parameter -> its declaration, where `sensitive` is a bool.
    given: parameters that need no value here, since the caller has one. secrets: a TOML file of mode 600 that may be
    missing; a process's variables go before it. Raises TerminalError, in which no value of a sensitive one appears.
    """
    lineage = _lineage(environments, name)
    sensitive = {parameter for parameter, told in declared.items() if told.get("sensitive")}
    _refuse_sensitive(environments, sensitive)
    _refuse_undeclared(environments, lineage, declared)
    values: dict[str, str] = {}
    for above in reversed(lineage):
        for parameter, text in environments.declared[above].parameters.items():
            values[parameter] = _placed(text, places, f"{environments.where}, {above}, {parameter!r}")
    values |= _secret_values(declared, sensitive, secrets)
    values |= _variable_values(declared, sensitive, variables)
    _refuse_missing(environments, name, set(declared) - set(values) - set(given), sensitive, secrets)
    return Environment(name, values, heals(environments, name))


def sensitive_values(
    declared: Mapping[str, Mapping[str, Any]], secrets: Path | None = None, variables: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """The values of the sensitive parameters alone; see `resolve`. Raises TerminalError when one is missing."""
    sensitive = {parameter for parameter, told in declared.items() if told.get("sensitive")}
    values = _secret_values(declared, sensitive, secrets) | _variable_values(declared, sensitive, variables)
    if missing := sorted(sensitive - set(values)):
        raise TerminalError(f"no value for {_listed(missing)}", _hidden_remedy(missing, secrets))
    return values


def heals(environments: Environments, name: str) -> bool:
    """Whether an environment, or the nearest that it inherits and that says so, allows healing without being asked.

    False where none says anything. Raises TerminalError when there is no such environment.
    """
    told = (environments.declared[above].heal for above in _lineage(environments, name))
    return next((heal for heal in told if heal is not None), False)


def variable(parameter: str) -> str:
    """The variable of the process environment that holds a sensitive parameter."""
    return _VARIABLE + re.sub(r"[^A-Za-z0-9]", "_", parameter).upper()


def _declaration(where: str, name: str, table: Any) -> Declaration:
    _refuse_unprinted(name, where)
    if not isinstance(table, dict):
        raise TerminalError(f"{where}: {name!r} is no environment", "an environment is a table such as [local]")
    for key in table:
        if key not in _KEYS:
            raise TerminalError(
                f"{where}, {name}: unknown key {key!r}",
                f"an environment has {_listed(_KEYS)}; its values stand in [{name}.parameters]{_meant(key, _KEYS)}",
            )
    inherits, heal = table.get("inherits"), table.get("heal")
    if inherits is not None and not isinstance(inherits, str):
        raise TerminalError(f"{where}, {name}: 'inherits' is no text", "name one environment")
    if heal is not None and not isinstance(heal, bool):
        raise TerminalError(f"{where}, {name}: 'heal' is neither true nor false", "write one of them")
    return Declaration(inherits, heal, _texts(table.get("parameters", {}), f"{where}, {name}", "'parameters'"))


def _texts(table: Any, where: str, what: str) -> dict[str, str]:
    if not isinstance(table, dict):
        raise TerminalError(f"{where}: {what} is no table", 'write lines such as "kafka.topic" = "users"')
    for key, value in table.items():
        _refuse_unprinted(key, where)
        if isinstance(value, dict):
            raise TerminalError(f"{where}: {key!r} is a table, no text", "put a name that holds a dot in quotes")
        if not isinstance(value, str):
            raise TerminalError(f"{where}: the value of {key!r} is no text", "put it in quotes")
    return table


def _refuse_unprinted(name: str, where: str) -> None:
    """Names stand in messages, which are one line."""
    if not name.isprintable() or not name.strip():
        raise TerminalError(f"{where}: {name!r} is no name", "use letters, digits, dots and dashes")


def _lineage(environments: Environments, name: str) -> list[str]:
    """The environment itself, the one it inherits, the one that this inherits, and so on."""
    if name not in environments.declared:
        raise TerminalError(
            f"{environments.where} has no environment {name!r}",
            f"it has {_listed(environments.declared)}{_meant(name, environments.declared)}",
        )
    lineage = [name]
    while (above := environments.declared[lineage[-1]].inherits) is not None:
        where = f"{environments.where}, {lineage[-1]}: 'inherits'"
        if above not in environments.declared:
            raise TerminalError(
                f"{where} names no environment: {above!r}",
                f"there is {_listed(environments.declared)}{_meant(above, environments.declared)}",
            )
        if above in lineage:
            raise TerminalError(f"{where} goes round: {' > '.join([*lineage, above])}", "end it at one of them")
        lineage.append(above)
    return lineage


def _refuse_sensitive(environments: Environments, sensitive: Collection[str]) -> None:
    """In any environment of the file: what stands in it, stands in git."""
    for name, declaration in environments.declared.items():
        if shown := sorted(set(declaration.parameters) & set(sensitive)):
            raise TerminalError(
                f"{environments.where}, {name}: sensitive parameter {_listed(shown)} stands in the open",
                f"remove it, change the secret if it was committed, and set {_listed(map(variable, shown))}",
            )


def _refuse_undeclared(environments: Environments, lineage: list[str], declared: Collection[str]) -> None:
    for name in lineage:
        if unknown := sorted(set(environments.declared[name].parameters) - set(declared)):
            raise TerminalError(
                f"{environments.where}, {name}: the flow has no parameter {_listed(unknown)}",
                f"it has {_listed(sorted(declared))}{''.join(_meant(one, declared) for one in unknown)}",
            )


def _refuse_missing(
    environments: Environments, name: str, missing: set[str], sensitive: set[str], secrets: Path | None
) -> None:
    if not missing:
        return
    remedies = []
    if plain := missing - sensitive:
        remedies.append(f"give {_listed(sorted(plain))} in [{name}.parameters]")
    if hidden := sorted(missing & sensitive):
        remedies.append(_hidden_remedy(hidden, secrets))
    raise TerminalError(f"{environments.where}, {name}: no value for {_listed(sorted(missing))}", "; ".join(remedies))


def _hidden_remedy(hidden: list[str], secrets: Path | None) -> str:
    file = f", or {_listed(hidden)} in {secrets} (mode 600)" if secrets else ""
    return f"set {_listed(map(variable, hidden))}{file}"


def _placed(text: str, places: Mapping[str, str], where: str) -> str:
    def place(found: re.Match[str]) -> str:
        if found[1] not in places:
            raise TerminalError(
                f"{where}: {found[0]} stands for nothing", f"there is {_listed(f'{{{place}}}' for place in places)}"
            )
        return places[found[1]]

    return _PLACE.sub(place, text)


def _variable_values(
    declared: Collection[str], sensitive: Collection[str], variables: Mapping[str, str]
) -> dict[str, str]:
    """Of the flow's parameters alone: what is set for another version of it is not in its way."""
    values: dict[str, str] = {}
    for parameter in declared:
        key = variable(parameter)
        if not variables.get(key):
            continue
        alike = sorted(other for other in declared if variable(other) == key)
        if len(alike) > 1:
            raise TerminalError(f"{key} may mean {_listed(alike)}", "unset it and use the secrets file")
        _refuse_plain(parameter, sensitive, key)
        values[parameter] = variables[key]
    return values


def _secret_values(declared: Collection[str], sensitive: Collection[str], path: Path | None) -> dict[str, str]:
    found = _secrets(path) if path else {}
    for parameter in sorted(set(found) & set(declared)):
        _refuse_plain(parameter, sensitive, str(path))
    return {parameter: text for parameter, text in found.items() if parameter in sensitive and text}


def _refuse_plain(parameter: str, sensitive: Collection[str], where: str) -> None:
    if parameter not in sensitive:
        raise TerminalError(
            f"{where} gives {parameter!r}, which is not sensitive", "remove it there and give it in the environment"
        )


def _secrets(path: Path) -> dict[str, str]:
    """The texts of a secrets file. What is wrong is told without a character of what it holds."""
    try:
        with open(path, "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise TerminalError(
                    f"{path} can be read or written by others: its mode is {stat.S_IMODE(mode):o}", f"chmod 600 {path}"
                )
            table = tomllib.load(file)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise TerminalError(f"{path} cannot be read: {error.strerror}", "see to its owner and mode") from error
    except (ValueError, RecursionError) as error:
        found = re.search(r"line \d+", str(error))
        at = f" ({found[0]})" if found else ""
        raise TerminalError(f"{path} is no TOML{at}", 'write lines such as "source.token" = "…"') from None
    return _texts(table, str(path), "it")


def _meant(name: str, known: Collection[str]) -> str:
    close = get_close_matches(name, list(known), n=1)
    return f"; is {close[0]} meant?" if close else ""


def _listed(names: Iterable[str]) -> str:
    return _line(", ".join(names)) or "nothing"


def _line(text: object) -> str:
    return " ".join(str(text).split())
