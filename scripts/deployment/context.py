"""Whatever is deployed, and where: what every part of the deploy service is handed."""

from dataclasses import dataclass
from pathlib import Path

from nifi_flows.host import Report
from nifi_flows.ledger import Ledger
from nifi_flows.pipeline import Pipeline
from scripts.stack.settings import Settings


def _nobody(line: str) -> None:
    """Reports to nobody."""


@dataclass(frozen=True)
class Context:
    """settings: of the stack to deploy to. pipeline: as its source tree declares it. report: gets a line a step."""

    settings: Settings
    pipeline: Pipeline
    report: Report = _nobody

    @property
    def folder(self) -> Path:
        """What the stack keeps of the flow: stored versions, and all that the properties below name."""
        return self.settings.flows / self.pipeline.name

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.folder)

    @property
    def lease(self) -> Path:
        """The lock file of whoever deploys."""
        return self.folder / "lock.json"

    @property
    def hold(self) -> Path:
        """Who holds the flow, so that nobody else deploys it."""
        return self.folder / "hold.json"

    @property
    def edits(self) -> Path:
        """A folder for each edit that was made by hand on the canvas."""
        return self.folder / "edits"

    @property
    def parameters(self) -> Path:
        """The values of sensitive parameters that somebody gave."""
        return self.settings.secrets / "parameters.toml"

    @property
    def deployed_parameters(self) -> Path:
        """The values of sensitive parameters of the versions that are kept, by their seals."""
        return self.settings.secrets / "deployed_parameters.json"
