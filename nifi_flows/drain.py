"""See that queues are empty before NiFi removes them: it refuses to remove one that holds FlowFiles."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from nifi_flows import canvas, queues
from nifi_flows.errors import TransientError
from nifi_flows.plan import listed
from nifi_flows.transition import STOP, Direction, Transition

_DRAIN = 60.0  # seconds for queues to run empty
_PAUSE = 0.25  # seconds from one look at the queues to the next


class Undrained(TransientError):
    """Raised when a queue does not run empty in time; trying again at once would not help."""


def make_room(group: str, transition: Transition) -> None:
    """See that the queues are empty which the replace has to remove, and those whose FlowFiles would come into them.

    A FlowFile may mean something else to the wanted version: a flow that renames its attributes makes anew the queue
    behind all others, so that every queue has to be empty. What waits before a processor that only a failed version
    has would wait for ever: it is handed to where the wanted one sends it. The way back does not depend on more than
    what NiFi insists on: it tells what still waits. Raises Undrained when a queue does not run empty, and as Permission
    when nothing may be replaced.
    """
    exported, wanted = canvas.export(group), transition.desired.flow
    removed = queues.removed(exported, wanted)
    if not removed:
        return
    leading = queues.leading_to_removed(exported, wanted)
    needed = removed if transition.direction is Direction.BACK else leading
    if canvas.stands_still(group) and not needed.keys() & canvas.queued(group).keys():
        return
    if transition.stranding:
        _hand_over(group, exported, needed, leading, transition)
    else:
        _drain(group, leading, transition)


def _drain(group: str, draining: Mapping[str, str], transition: Transition) -> None:
    """Let these queues run empty without the sources; when that does not happen in time, all is as it was before.

    In a flow that stands still as a whole everything else is started for that.
    """
    transition.ask_to_replace()
    names = listed(sorted(set(draining.values())))
    transition.report(f"draining {names}")
    before = transition.canvas
    transition.touch()
    sources, still = canvas.sources(group), canvas.stands_still(group)
    ran = canvas.stop_all(group, sources)
    try:
        if still:
            canvas.start_except(group, sources)
        _wait_empty(group, draining, sources)
    except BaseException:
        if still:
            canvas.stop(group, STOP)
        else:
            canvas.start_all(group, ran)
        transition.canvas = before
        raise
    transition.did(f"drained {names}")


def _hand_over(
    group: str,
    exported: dict[str, Any],
    needed: Mapping[str, str],
    leading: Mapping[str, str],
    transition: Transition,
) -> None:
    """Let the queues that are needed run empty; those that lead to them too, as far as they do."""
    wanted = transition.desired.flow
    transition.ask_to_replace()
    transition.stop(group)
    canvas.replace(group, queues.handed_over(exported, wanted), {})
    canvas.start_except(group, {*canvas.sources(group), *queues.unwanted_processors(exported, wanted)})
    try:
        _wait_empty(group, leading, [])
    except Undrained as error:
        if needed.keys() & canvas.queued(group).keys():
            raise
        transition.report(f"{error}; version {transition.desired.version.name} gets them as they are")
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
