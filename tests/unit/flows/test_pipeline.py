"""What a pipeline may declare of its way to the table."""

from dataclasses import replace
from typing import Any

import pytest

from nifi_flows.errors import TerminalError
from nifi_flows.pipeline import USERS


@pytest.mark.parametrize("lane", ["continuous", "micro-batch"])
def test_either_lane_will_do(lane: Any) -> None:
    assert replace(USERS, lane=lane).lane == lane


def test_a_lane_that_does_not_exist_is_named_with_those_that_do() -> None:
    unknown: Any = "fast"
    with pytest.raises(TerminalError, match="there is no lane 'fast'") as raised:
        replace(USERS, lane=unknown)
    assert raised.value.remedy == "use continuous or micro-batch"


@pytest.mark.parametrize(("partitions", "executors"), [(0, 1), (2, 0), (2, 3)])
def test_each_executor_has_a_partition(partitions: int, executors: int) -> None:
    with pytest.raises(TerminalError, match=f"declares {executors} executors for {partitions} partitions"):
        replace(USERS, partitions=partitions, executors=executors)
