"""What a deploy needs of the machine that NiFi runs on, and of whoever lets it go on."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Protocol

from nifi_flows.version import Version

Report = Callable[[str], None]  # gets a line for each step


class NiFiHost(Protocol):
    """The machine that NiFi runs on, as far as a deploy needs it besides NiFi's own API."""

    def connected(self) -> AbstractContextManager[None]:
        """Point nipyapi at the NiFi; see `connection.connected`."""

    def awake(self, patience: float) -> None:
        """Start NiFi if it was stopped, and wait until it answers; raises TransientError when it does not in time."""

    def loaded(self) -> str | None:
        """`code` of the version whose processors NiFi has loaded; None when they were put in place since."""

    def load(self, version: Version) -> None:
        """Give NiFi the version's processors and restart it; returns when it answers."""

    def unregistered(self, schemas: Mapping[str, str]) -> list[str]:
        """The schemas that the registry does not hold. Raises TerminalError for one that it would refuse."""

    def register(self, schemas: Mapping[str, str]) -> None:
        """Register schemas."""

    def watch(self, group: str) -> Callable[[Report], str | None]:
        """Begin to watch a group's records. What it returns waits for some to pass and says what stops them."""


class Permission(Protocol):
    """Whether a deploy may go on. Both raise when it may not, and whatever they raise ends the deploy."""

    def may_continue(self) -> None:
        """Asked at any step. Raises LeaseLost when somebody else deploys by now."""

    def may_replace(self) -> None:
        """Asked before something is replaced. Raises as `may_continue`, and whatever else speaks against it."""
