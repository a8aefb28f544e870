"""Where the local stack lives and which ports it uses: a value that `configuration` reads from the environment."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from scripts.bootstrap import ROOT, cache_folder

LOOPBACK = "127.0.0.1"  # the only address that anything here listens on

# Engines run in folders of their own, so a relative path would mean another folder to each.
_FOLDERS = ("home", "cache")
WORDS = (*_FOLDERS, "maven", "environment")  # the settings that are no ports, nor yes or no


@dataclass(frozen=True)
class Port:
    """A port that an engine listens on; the engine's own file says it.

    name: PIPELINE_<NAME>_PORT sets the number. default: the number where nothing does. purpose: what listens there, in
    words that follow "port 9092 for the".
    """

    name: str
    default: int
    purpose: str

    @property
    def variable(self) -> str:
        return variable(f"{self.name}_port")


def variable(setting: str) -> str:
    """The environment variable of a setting: PIPELINE_HOME, PIPELINE_KAFKA_PORT."""
    return f"PIPELINE_{setting}".upper()


@dataclass(frozen=True)
class Settings:
    """Settings of one local stack.

    home: data, configuration, logs and secrets of the stack. cache: engines; survives a fresh clone. maven: a Maven
    repository or a mirror of it. environment: of the flow, as nifi_flows/users/environments.toml has it. durable:
    whether what NiFi and Kafka acknowledge survives a loss of power. ports: name of a `Port` -> number; one that is not
    in it has its default.
    """

    home: Path = Path(ROOT) / ".pipeline"
    cache: Path = field(default_factory=lambda: Path(cache_folder()))
    maven: str = "https://repo.maven.apache.org/maven2"
    environment: str = "local"
    durable: bool = False
    ports: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in _FOLDERS:
            object.__setattr__(self, name, Path(os.path.abspath(getattr(self, name))))

    def port(self, port: Port) -> int:
        return self.ports.get(port.name, port.default)

    @property
    def variables(self) -> dict[str, str]:
        """The environment in which another process has these same settings."""
        ports = {variable(f"{name}_port"): str(number) for name, number in self.ports.items()}
        words = {variable(name): str(getattr(self, name)) for name in WORDS}
        return words | {variable("durable"): str(self.durable).lower()} | ports

    @property
    def durability(self) -> dict[str, str]:
        """For the environment of an engine whose files say `durable`: so that it starts again when that changes."""
        return {variable("durable"): "true"} if self.durable else {}

    @property
    def conf(self) -> Path:
        return self.home / "conf"

    @property
    def data(self) -> Path:
        return self.home / "data"

    @property
    def logs(self) -> Path:
        return self.home / "logs"

    @property
    def run(self) -> Path:
        """Process groups, launch files and the supervisor's socket: nothing that outlives the stack."""
        return self.home / "run"

    @property
    def secrets(self) -> Path:
        return self.home / "secrets"

    @property
    def flows(self) -> Path:
        """Stored versions of flows, and what was done with them."""
        return self.home / "flows"

    @property
    def monitor(self) -> Path:
        """What the monitor saw last, and the alerts that it sent."""
        return self.home / "monitor"
