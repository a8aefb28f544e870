"""Whether what is on the canvas is what was wanted, is valid, and runs."""

from typing import Any

from nifi_flows import canvas
from nifi_flows.errors import TerminalError
from nifi_flows.host import Report
from nifi_flows.plan import difference

_VALID = 60.0  # seconds for processors to become valid; a Python processor takes about ten


def wait_settled(group: str) -> None:
    """Wait until the flow's Python processors are loaded: before that it exports differently."""
    canvas.settled(group, _VALID / 4)


def wait_valid(group: str) -> None:
    """Raises TerminalError, naming what is wrong, when something does not become valid in time."""
    if invalid := canvas.settled(group, _VALID):
        worst = invalid[0]
        why = "NiFi has no code for its type" if worst.ghost else "; ".join(worst.errors) or worst.validation.lower()
        more = f" (and {len(invalid) - 1} more)" if len(invalid) > 1 else ""
        raise TerminalError(f"{worst} is not valid: {why}{more}", "./scripts/pipeline logs nifi says more")


def verify(group: str, wanted: dict[str, Any], report: Report) -> None:
    """Raises TerminalError when the canvas differs from the wanted flow, or something does not run."""
    left = difference(group, wanted)
    if not left.empty:
        raise TerminalError(
            f"NiFi did not take all of the flow: {left.summary()}", "compare: ./scripts/pipeline flow diff"
        )
    if idle := canvas.idle(group):
        raise TerminalError(f"{idle[0]} does not run", "./scripts/pipeline logs nifi says more")
    report("verified: the flow is as deployed, valid and running")
