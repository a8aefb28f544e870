"""The settings of this process, read from its environment."""

from pydantic import ValidationError

from nifi_flows.errors import TerminalError
from scripts.stack.settings import Settings


def load() -> Settings:
    """Read the settings from the environment. Raises TerminalError naming the variable that is wrong."""
    try:
        settings = Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = "PIPELINE_" + str(first["loc"][0]).upper()
        raise TerminalError(f"{name}: {first['msg']}, got {first['input']!r}", f"correct or unset {name}") from error
    taken: dict[int, str] = {}
    for field, port in ((field, value) for field, value in settings if field.endswith("_port")):
        name = f"PIPELINE_{field.upper()}"
        if port in taken:
            raise TerminalError(f"{taken[port]} and {name} are both {port}", f"set {name} to another port")
        taken[port] = name
    return settings
