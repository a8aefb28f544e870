"""The settings of this process, read from its environment."""

import os
from collections.abc import Mapping
from typing import Annotated, Any

from nifi_flows.errors import TerminalError
from scripts.stack.engines import PORTS
from scripts.stack.settings import WORDS, Port, Settings, variable


def load() -> Settings:
    """Read the settings from this process's environment. Raises TerminalError naming the variable that is wrong."""
    return read(os.environ)


def read(environment: Mapping[str, str]) -> Settings:
    """Read the settings from the variables of an environment, where an empty one counts as not set.

    The settings hold the number of every port. Raises as `load` does.
    """
    words: dict[str, Any] = {name: text for name in WORDS if (text := environment.get(variable(name)))}
    ports: dict[str, int] = {}
    taken: dict[int, Port] = {}
    for port in PORTS:
        number = _number(port, environment)
        if number in taken:
            raise TerminalError(
                f"{taken[number].variable} and {port.variable} are both {number}",
                f"set {port.variable} to another port",
            )
        taken[number], ports[port.name] = port, number
    return Settings(**words, durable=_yes(variable("durable"), environment), ports=ports)


def _yes(name: str, environment: Mapping[str, str]) -> bool:
    given = environment.get(name) or "false"
    if given not in ("true", "false"):
        raise TerminalError(f"{name} is neither true nor false: {given!r}", f"correct or unset {name}")
    return given == "true"


def _number(port: Port, environment: Mapping[str, str]) -> int:
    given = environment.get(port.variable)
    if not given:
        return port.default
    # A part of pydantic that takes long to import, for what hardly anybody sets.
    from pydantic import Field, TypeAdapter, ValidationError

    try:
        number: int = TypeAdapter(Annotated[int, Field(ge=1, le=65535)]).validate_python(given)
    except ValidationError as error:
        raise TerminalError(
            f"{port.variable}: {error.errors()[0]['msg']}, got {given!r}", f"correct or unset {port.variable}"
        ) from error
    return number
