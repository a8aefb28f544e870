"""A NiFi in memory, empty or with a first version on it."""

from pathlib import Path

import pytest

from nifi_flows import deploy, drain, drift, plan, transition, verify
from tests.unit.flows.fake_nifi import Clock, Here


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Here:
    """A NiFi on which nothing was deployed."""
    clock = Clock()
    here = Here(tmp_path, clock)
    for module in (deploy, drain, drift, plan, transition, verify):
        monkeypatch.setattr(module, "canvas", here.canvas)
    for module in (deploy, drain, transition):
        monkeypatch.setattr(module, "time", clock)
    return here


@pytest.fixture
def here(empty: Here) -> Here:
    """A NiFi on which version v1 runs."""
    empty.deploy(empty.desired("v1"))
    assert empty.runs(empty.desired("v1"))
    return empty
