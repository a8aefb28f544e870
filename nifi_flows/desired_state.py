"""What shall run on NiFi."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from nifi_flows.ledger import Deployed
from nifi_flows.version import Version


@dataclass(frozen=True)
class DesiredState:
    """What shall run: a version and its parameters' values. record: how the ledger notes it.

    renewed: sensitive parameters whose value is another one than when it was set last.
    """

    version: Version
    values: Mapping[str, str]
    record: Deployed
    renewed: Collection[str] = ()

    @property
    def flow(self) -> dict[str, Any]:
        """The flow definition."""
        return self.version.flow

    @property
    def group(self) -> str:
        """The name of the flow's process group."""
        return str(self.flow["flowContents"]["name"])
