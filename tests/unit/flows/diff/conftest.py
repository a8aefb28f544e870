"""A flow before and after a change."""

import copy

import pytest

from tests.unit.flows.diff.changes import USERS_FLOW
from tests.unit.flows.small_flows import FlowDefinition


@pytest.fixture
def before() -> FlowDefinition:
    return copy.deepcopy(USERS_FLOW)


@pytest.fixture
def after() -> FlowDefinition:
    return copy.deepcopy(USERS_FLOW)
