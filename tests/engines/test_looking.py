"""To look at a stack changes nothing of it: no configuration, no secret, no ledger, nothing on NiFi's canvas."""

import json
from pathlib import Path

import pytest

from nifi_flows import canvas, connection
from nifi_flows.pipeline import USERS
from scripts.stack import credentials
from scripts.stack.stack import nifi_of
from tests.engines.conftest import LocalStack


def kept(stack: LocalStack) -> dict[str, tuple[int, int, int]]:
    """Path -> modification time in nanoseconds, mode and size of all that a look has no business with.

    In `flows` are the stored versions and the ledger.
    """
    found: dict[str, tuple[int, int, int]] = {}
    for folder in (stack.settings.conf, stack.settings.secrets, stack.settings.flows):
        for path in [folder, *folder.rglob("*")]:
            state = Path(path).lstat()
            found[str(path)] = state.st_mtime_ns, state.st_mode, state.st_size
    return found


def shown(stack: LocalStack) -> str:
    """The flow on the canvas, its parameters, and the state and revision of each processor."""
    made = credentials.require(stack.settings.secrets)
    with connection.connected(nifi_of(stack.settings, made)):
        group = canvas.find_group(USERS.name)
        assert group
        processors = [(p.id, p.component.state, p.revision.version) for p in canvas.processors(group)]
        return json.dumps([canvas.export(group), canvas.parameters(group), sorted(processors)], sort_keys=True)


@pytest.mark.parametrize("command", [["status"], ["doctor"], ["flow", "status"], ["flow", "drift"], ["audit"]])
def test_a_look_changes_nothing(stack: LocalStack, command: list[str]) -> None:
    before, canvas_before = kept(stack), shown(stack)
    assert len(before) > 20
    assert {"state.json", "history.jsonl"} <= {Path(path).name for path in before}
    outcome = stack.pipeline(*command)
    assert outcome.out, outcome.err
    assert kept(stack) == before
    assert shown(stack) == canvas_before
