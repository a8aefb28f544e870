"""Whether records pass a flow that was just started, told by the receipts of its pages."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from nifi_flows import canvas
from nifi_flows.errors import TransientError
from nifi_flows.host import Report
from nifi_flows.pipeline import Pipeline
from scripts.observe import pull_run, topics
from scripts.observe.pull_run import RunCursor, RunState
from scripts.stack.settings import Settings

_RECORD = 20.0  # seconds in which a record should have passed
_PAUSE = 0.3  # seconds from one look to the next


@dataclass(frozen=True)
class Look:
    """The pull run at one moment. pages: that were published so far, None when Kafka does not tell."""

    run: RunState
    pages: int | None


def begin(settings: Settings, pipeline: Pipeline, group: str) -> Callable[[Report], str | None]:
    """Begin to watch; what it returns waits for a page to pass, and says what is wrong when none does.

    Both need `connection.connected`.
    """
    told = max(canvas.complaints(group), default=0)
    before = _look(settings, pipeline)

    def wait(report: Report) -> str | None:
        deadline = time.monotonic() + _RECORD
        while True:
            now = _look(settings, pipeline)
            if said := verified(before, now):
                report(f"verified: {said}")
                return None
            if time.monotonic() >= deadline:
                break
            time.sleep(_PAUSE)
        complaint = next((text for number, text in canvas.complaints(group).items() if number > told), None)
        if said := trouble(before, now, complaint):
            return said
        report(f"{_NONE}, and nothing complains: the source may give none")
        return None

    return wait


_NONE = f"no record passed in {_RECORD:.0f} s"


def verified(before: Look, now: Look) -> str | None:
    """Why the flow is known to work, None while it is not."""
    # The pages that were queued before may have passed already what is new.
    under_way = sum(before.run.queued.values())
    if before.pages is not None and now.pages is not None and now.pages > before.pages + under_way:
        return "records flow"
    if pull_run.at_rest(now.run):
        return "the pull run is finished, so nothing has to flow"
    return None


def trouble(before: Look, now: Look, complaint: str | None) -> str | None:
    """What speaks against a flow through which nothing passed; None when that may be as it should.

    complaint: what a component of the flow has said meanwhile.
    """
    if complaint is not None:
        return f"{_NONE}: {' '.join(complaint.split())[:300]}"
    if before.pages is None or now.pages is None:
        return "whether records pass cannot be told: Kafka does not answer"
    asked = _handed_out(before.run.cursor, now.run.cursor)
    if now.pages == before.pages and not now.run.queued and asked > 1:
        return f"{_NONE}: {asked} pages were asked for, and nothing is left of them"
    return None


def _handed_out(before: RunCursor | None, now: RunCursor | None) -> int:
    """How many pages of one pull run the flow has begun with from one moment to another."""
    if before is None or now is None or before.run != now.run:
        return 0
    return now.next_page - before.next_page


def _look(settings: Settings, pipeline: Pipeline) -> Look:
    run = pull_run.on_canvas(pipeline)  # first: a page that is published in between is then in both, and not in neither
    try:
        pages = topics.length(settings, pipeline.pages)
    except TransientError:
        pages = None
    return Look(run, pages)
