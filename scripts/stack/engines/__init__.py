"""The engines of the local stack, one module each.

A module says all there is to say of an engine, or of several that come together: its ports, what it is (`describe`),
what puts it on this machine (`configure`) and the files that it is made of. Another engine is another module, its name
in MODULES, and the lock made anew.
"""

from collections.abc import Sequence
from typing import Protocol

from scripts.stack import jdk
from scripts.stack.engine import Configuration, Engine, Local, together
from scripts.stack.engines import airflow, cassandra, kafka, nifi, registry, source, spark, watch
from scripts.stack.layout import Artifacts
from scripts.stack.settings import Port, Settings


class Module(Protocol):
    """What a module of an engine has. NAME: as the lock calls its files. PORTS: all that it may listen on."""

    @property
    def NAME(self) -> str: ...

    @property
    def PORTS(self) -> Sequence[Port]: ...

    @property
    def ARTIFACTS(self) -> Sequence[Artifacts]: ...

    def describe(self, settings: Settings) -> list[Engine]:
        """From the settings alone: reads no file, writes none, asks nothing."""

    def configure(self, local: Local) -> Configuration:
        """How to start the engines that it describes; writes nothing."""


# in the order of the data path, then who watches it
MODULES: tuple[Module, ...] = (source, nifi, kafka, registry, spark, cassandra, airflow, watch)

PORTS = tuple(port for module in MODULES for port in module.PORTS)

# Engine's name in the lock -> its files.
ARTIFACTS = {jdk.NAME: jdk.ARTIFACTS} | {module.NAME: module.ARTIFACTS for module in MODULES}


def describe(settings: Settings) -> list[Engine]:
    """Every engine, in the order of the data path."""
    return [engine for module in MODULES for engine in module.describe(settings)]


def configure(local: Local) -> Configuration:
    """What puts all of them on this machine; writes nothing. Raises TerminalError for settings that cannot be."""
    return together(module.configure(local) for module in MODULES)
