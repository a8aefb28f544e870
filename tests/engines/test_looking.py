"""To look at a stack changes nothing of it: no configuration, no secret, nothing of what was deployed."""

from pathlib import Path

import pytest

from tests.engines.conftest import LocalStack


def kept(stack: LocalStack) -> dict[str, tuple[int, int, int]]:
    """Path -> modification time in nanoseconds, mode and size of all that a look has no business with."""
    found: dict[str, tuple[int, int, int]] = {}
    for folder in (stack.settings.conf, stack.settings.secrets, stack.settings.flows):
        for path in [folder, *folder.rglob("*")]:
            state = Path(path).lstat()
            found[str(path)] = state.st_mtime_ns, state.st_mode, state.st_size
    return found


@pytest.mark.parametrize("command", [["status"], ["doctor"], ["flow", "status"], ["flow", "drift"], ["audit"]])
def test_a_look_changes_nothing(stack: LocalStack, command: list[str]) -> None:
    before = kept(stack)
    assert len(before) > 20
    outcome = stack.pipeline(*command)
    assert outcome.out, outcome.err
    assert kept(stack) == before
