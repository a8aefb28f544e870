"""The way from what runs to what shall run, and the states that it can be in."""

import time
from dataclasses import dataclass, field
from enum import Enum, auto

from nifi_flows import canvas
from nifi_flows.desired_state import DesiredState
from nifi_flows.host import NiFiHost, Permission, Report

STOP = 20.0  # seconds for threads to end; an HTTP request may be under way


class Direction(Enum):
    """FORWARD: to a new desired state. BACK: to what ran before, which is brought up whoever holds the flow by now."""

    FORWARD = auto()
    BACK = auto()


class CanvasState(Enum):
    """What is known of the canvas.

    AS_FOUND: this deploy has changed nothing yet. CHANGED: it may have. LEFT_UNFINISHED: an earlier deploy, which did
    not end, may have changed anything.
    """

    AS_FOUND = auto()
    CHANGED = auto()
    LEFT_UNFINISHED = auto()


class Suspect(Enum):
    """What is to blame when no record passes: a VERSION that never ran here, else its SURROUNDINGS."""

    VERSION = auto()
    SURROUNDINGS = auto()


@dataclass
class Transition:
    """One deploy under way. group: id on the canvas, empty until it is known. changes: what was done, in words.

    stopped_since: time.monotonic() when the whole flow was stopped, None while it runs. stopped: seconds that it stood
    still before that.
    """

    desired: DesiredState
    host: NiFiHost
    permission: Permission
    report: Report
    suspect: Suspect
    canvas: CanvasState
    direction: Direction = Direction.FORWARD
    group: str = ""
    changes: list[str] = field(default_factory=list)
    stopped_since: float | None = None
    stopped: float = 0.0

    @property
    def touched(self) -> bool:
        """Whether anything on the canvas may differ from what ran before."""
        return self.canvas is not CanvasState.AS_FOUND

    @property
    def stranding(self) -> bool:
        """Whether FlowFiles may wait for what only a version has that did not come up."""
        return self.direction is Direction.BACK or self.canvas is CanvasState.LEFT_UNFINISHED

    def turn_back(self, before: DesiredState) -> None:
        """From now on, bring back what ran before: it did run here."""
        self.desired, self.direction, self.suspect = before, Direction.BACK, Suspect.SURROUNDINGS

    def ask_to_replace(self) -> None:
        """Raises when nothing may be replaced now. The way back is gone to its end unless somebody else deploys."""
        if self.direction is Direction.FORWARD:
            self.permission.may_replace()
        else:
            self.permission.may_continue()

    def touch(self) -> None:
        """Note that something on the canvas is about to change."""
        if self.canvas is CanvasState.AS_FOUND:
            self.canvas = CanvasState.CHANGED

    def did(self, text: str) -> None:
        """Note and report what was done."""
        self.changes.append(text)
        self.report(text)

    def stop(self, group: str) -> None:
        """Stop the whole flow and wait for its threads to end."""
        self.touch()
        self.report("stopping the flow")
        if self.stopped_since is None:
            self.stopped_since = time.monotonic()
        canvas.stop(group, STOP)

    def started(self) -> None:
        """Note that the whole flow runs again."""
        if self.stopped_since is not None:
            self.stopped += time.monotonic() - self.stopped_since
            self.stopped_since = None
