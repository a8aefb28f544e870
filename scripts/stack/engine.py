"""What the stack knows of one engine: how to start it, where it listens and how to ask whether it is ready."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

# The first compiler alone: it halves the CPU that a JVM burns while it starts, and on two cores eight of them start
# at once. For engines whose Java code is not where the time of a record goes.
QUICK_START = "-XX:TieredStopAtLevel=1"


@dataclass(frozen=True)
class Engine:
    """One supervised process.

    name: how commands and log files call it. command, environment, folder: what is executed, where.
    first: commands to run before it, each skipped once its path exists. ports: port -> what it is for.
    ready: asks the engine in its own protocol; returns a short description, raises anything while it is not ready.
    address: what a user would open or connect to. whole_group: whether a stop signal goes to the children too.
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
    first: Sequence[tuple[Path, Sequence[str]]] = ()
    patience: int = 120  # seconds that a start may take on a slow machine
    hangs: int | None = None  # seconds without an answer after which it is started again
    whole_group: bool = False
    optional: bool = False
    secrets: bool = False
