"""See that queues are empty before NiFi removes them: it refuses to remove one that holds FlowFiles."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from nifi_flows import canvas, queues
from nifi_flows.errors import TransientError
from nifi_flows.plan import listed
from nifi_flows.transition import STOP, Transition

_DRAIN = 60.0  # seconds for queues to run empty
_PAUSE = 0.25  # seconds from one look at the queues to the next


class Undrained(TransientError):
    """Raised when a queue does not run empty in time; trying again at once would not help."""


def make_room(group: str, transition: Transition) -> None:
    """See that the queues are empty which the replace has to remove.

    What waits before a processor that only a failed version has would wait for ever: it is handed to where the wanted
    one sends it. Raises Undrained when a queue does not run empty, and as Permission when nothing may be replaced.
    """
    exported, wanted = canvas.export(group), transition.desired.flow
    removed = queues.removed(exported, wanted)
    holding = removed.keys() & canvas.queued(group).keys()
    if not removed or (not holding and canvas.stands_still(group)):
        return
    if transition.stranding:
        _hand_over(group, exported, wanted, transition)
    else:
        _drain(group, queues.leading_to_removed(exported, wanted), transition)


def _drain(group: str, draining: Mapping[str, str], transition: Transition) -> None:
    """Stop the sources until these queues are empty; when that does not happen in time, start them again."""
    transition.ask_to_replace()
    names = listed(sorted(set(draining.values())))
    transition.report(f"draining {names}")
    before = transition.canvas
    transition.touch()
    sources = canvas.sources(group)
    canvas.stop_all(group, sources)
    try:
        _wait_empty(group, draining, sources)
    except BaseException:
        canvas.start_all(group, sources)
        transition.canvas = before
        raise
    transition.did(f"drained {names}")


def _hand_over(group: str, exported: dict[str, Any], wanted: dict[str, Any], transition: Transition) -> None:
    transition.ask_to_replace()
    transition.stop(group)
    canvas.replace(group, queues.handed_over(exported, wanted), {})
    going_on = queues.kept_processors(exported, wanted) - set(canvas.sources(group))
    canvas.start_all(group, going_on)
    try:
        _wait_empty(group, queues.removed(exported, wanted), [])
    finally:
        canvas.stop(group, STOP)
    transition.did("handed over what waited in queues of the failed version")


def _wait_empty(group: str, draining: Mapping[str, str], sources: Sequence[str]) -> None:
    deadline = time.monotonic() + _DRAIN
    quiet = 0
    while quiet < 2:
        waiting = {draining[i]: count for i, count in canvas.queued(group).items() if i in draining}
        quiet = 0 if waiting or canvas.working(group, sources) else quiet + 1
        if not quiet and time.monotonic() > deadline:
            held = ", ".join(f"{name!r} holds {count} FlowFiles" for name, count in waiting.items())
            raise Undrained(
                f"the queue does not drain within {_DRAIN:.0f} s: {held or 'a source does not end its work'}",
                "mend what does not take them, or empty the queue on the canvas; then deploy again",
            )
        time.sleep(_PAUSE)
