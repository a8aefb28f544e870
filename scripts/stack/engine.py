"""What an engine is, and apart from it what puts one on this machine.

A description comes from the settings alone: it needs no installation and no secrets, and serves an engine that
somebody else has started just as well. A configuration is for an engine that this machine's supervisor starts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from nifi_flows.errors import TerminalError
from nifi_flows.files import write_private

if TYPE_CHECKING:
    from nifi_flows.pipeline import Pipeline
    from scripts.stack.credentials import Credentials
    from scripts.stack.layout import Installed
    from scripts.stack.settings import Settings

Ask = Callable[["Credentials | None", float], str]

# The first compiler alone: it halves the CPU that a JVM burns while it starts, and on two cores eight of them start
# at once. For engines whose Java code is not where the time of a record goes. In NiFi it is: py4j encodes each page.
QUICK_START = "-XX:TieredStopAtLevel=1"


@dataclass(frozen=True)
class Engine:
    """What an engine is.

    name: how commands and log files call it. address: what a user would open or connect to. ports: port -> what it is
    for. ask: asks it in its own protocol, within so many seconds, and changes nothing in it; returns what it says,
    raises an error in a few words while it is not ready, TerminalError when it lacks the secrets to ask with.
    set_up: what it needs once before it is ready; called while a start waits for it, and harmless when done before.
    patience: seconds that a start may take on a slow machine. hangs: seconds without an answer after which it is
    started again while a start waits for it. silence: the same for one that has been up for longer than its patience.
    through: the engines without which this one may say nothing, and that is no fault of its own: those that are asked
    about it, or that it needs.
    optional: nothing is amiss while it is stopped.
    """

    name: str
    title: str
    address: str
    ports: Mapping[int, str]
    ask: Ask
    set_up: Callable[[Credentials], None] | None = None
    patience: int = 120
    hangs: int | None = None
    silence: int = 120
    through: Sequence[str] = ()
    optional: bool = False


@dataclass(frozen=True)
class Launch:
    """One process under the supervisor.

    command, environment, folder: what is executed, where. first: commands to run before it, each skipped once its path
    exists, if it has one. whole_group: whether a stop signal goes to the children too. secrets: it gets the user's
    variables that hold secrets. gives_up: the exit code by which it says that a restart won't help; it then stays down.
    """

    command: Sequence[str]
    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    first: Sequence[tuple[Path | None, Sequence[str]]] = ()
    whole_group: bool = False
    secrets: bool = False
    gives_up: int | None = None


@dataclass(frozen=True)
class Configuration:
    """What puts engines on this machine; `write` makes it so, and nothing else does.

    launches: engine's name -> its process. files: path -> content. folders: which the engines expect to be there.
    """

    launches: Mapping[str, Launch] = field(default_factory=dict)
    files: Mapping[Path, bytes] = field(default_factory=dict, repr=False)  # they can hold secrets
    folders: Sequence[Path] = ()

    def write(self) -> None:
        """Make the folders and write the files, mode 600, since they can hold secrets."""
        started_in = [launch.folder for launch in self.launches.values()]
        for folder in (*started_in, *self.folders, *(path.parent for path in self.files)):
            folder.mkdir(parents=True, exist_ok=True)
        for path, content in self.files.items():
            write_private(path, content)


def together(configurations: Iterable[Configuration]) -> Configuration:
    """Several engines' configurations as one, in their order."""
    launches: dict[str, Launch] = {}
    files: dict[Path, bytes] = {}
    folders: list[Path] = []
    for one in configurations:
        launches |= one.launches
        files |= one.files
        folders += one.folders
    return Configuration(launches, files, folders)


@dataclass(frozen=True)
class Local:
    """What the engines of this machine are configured for: a home, what is installed, its secrets, its pipeline."""

    settings: Settings
    installed: Installed
    credentials: Credentials
    pipeline: Pipeline


def required(credentials: Credentials | None) -> Credentials:
    """The credentials to ask an engine with. Raises TerminalError when there are none."""
    if credentials is None:
        raise TerminalError("the secrets to ask it with are missing")
    return credentials
