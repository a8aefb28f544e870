"""What the stack knows of one engine: how to start it, where it listens and how to ask whether it is ready.

To describe an engine writes nothing: its configuration files are part of the description, and `configure` writes them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nifi_flows.files import write_private

# The first compiler alone: it halves the CPU that a JVM burns while it starts, and on two cores eight of them start
# at once. For engines whose Java code is not where the time of a record goes.
QUICK_START = "-XX:TieredStopAtLevel=1"


@dataclass(frozen=True)
class Engine:
    """One supervised process.

    name: how commands and log files call it. command, environment, folder: what is executed, where.
    first: commands to run before it, each skipped once its path exists. ports: port -> what it is for.
    ready: asks the engine in its own protocol; returns a short description, raises anything while it is not ready, and
    changes nothing in it. files: configuration, path -> content. folders: which the engine expects to be there.
    address: what a user would open or connect to. whole_group: whether a stop signal goes to the children too.
    set_up: what it needs once before it is ready; called while a start waits for it, and harmless when done before.
    optional: nothing is amiss while it is stopped. secrets: it gets the user's variables that hold secrets.
    """

    name: str
    title: str
    command: Sequence[str]
    folder: Path
    address: str
    ports: Mapping[int, str]
    ready: Callable[[], str]
    environment: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[Path, bytes] = field(default_factory=dict, repr=False)
    folders: Sequence[Path] = ()
    set_up: Callable[[], None] | None = None
    first: Sequence[tuple[Path, Sequence[str]]] = ()
    patience: int = 120  # seconds that a start may take on a slow machine
    hangs: int | None = None  # seconds without an answer after which it is started again
    whole_group: bool = False
    optional: bool = False
    secrets: bool = False


def configure(engine: Engine) -> None:
    """Make an engine's folders and write its configuration, mode 600, since it can hold secrets."""
    for folder in (engine.folder, *engine.folders, *(path.parent for path in engine.files)):
        folder.mkdir(parents=True, exist_ok=True)
    for path, content in engine.files.items():
        write_private(path, content)
