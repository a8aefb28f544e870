"""The deploy service on real files, a real git repository and a NiFi in memory."""

import os
from pathlib import Path

import pytest

from nifi_flows import deploy, drain, drift, inventory, plan, transition, verify
from nifi_flows.inventory import Bundle, Inventory
from nifi_flows.pipeline import USERS
from scripts.deployment import checks, edits, local_nifi, service, state
from scripts.deployment.context import Context
from scripts.stack import credentials
from scripts.stack.settings import Settings
from tests.unit.deployment.world import SharedHost, World, plant
from tests.unit.flows.fake_nifi import Canvas, Clock, Steps


@pytest.fixture(autouse=True)
def _nobody_around(monkeypatch: pytest.MonkeyPatch) -> None:
    """Within a git hook, git would take its repository from the environment."""
    for name in [name for name in os.environ if name.startswith(("GIT_", "PIPELINE_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIPELINE_ACTOR", "me")


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A NiFi on which nothing was deployed."""
    settings, said, step, clock = Settings(home=tmp_path / "home"), list[str](), Steps(), Clock()
    credentials.ensure(settings.secrets)
    canvas, host = Canvas(step), SharedHost(step, clock)
    for module in (deploy, drain, drift, plan, transition, verify, checks, edits, state):
        monkeypatch.setattr(module, "canvas", canvas)
    for timed in (deploy, drain, transition):
        monkeypatch.setattr(timed, "time", clock)
    monkeypatch.setattr(local_nifi, "of", lambda context: host)
    offered = {f"org.example.{name}": (Bundle("", "", ""),) for name in ("Pull", "Enrich", "Check", "Publish")}
    monkeypatch.setattr(inventory, "read", lambda flow: Inventory("2.3.0", offered))
    pipeline = plant(tmp_path / "tree", USERS)
    made = World(Context(settings, pipeline, said.append), canvas, host, step, said)
    made.commit()
    return made


@pytest.fixture
def deployed(world: World) -> World:
    """A NiFi on which the first version runs."""
    service.deploy(world.context)
    assert world.runs(world.name)
    world.step.done.clear()
    world.said.clear()
    return world
