"""What somebody changed by hand on the canvas: kept before anything replaces it."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from nifi_flows import canonical, canvas
from nifi_flows.definition import with_values
from nifi_flows.diff import compare
from nifi_flows.files import new_folder
from nifi_flows.version import Version
from scripts.deployment import local_nifi, state
from scripts.deployment.context import Context


@dataclass(frozen=True)
class Edit:
    """What somebody made of the flow on the canvas. flow: in the canonical form. diff: from what was deployed."""

    flow: str
    diff: str


def save_edit(context: Context, besides: Version | None = None) -> Path | None:
    """Keep what somebody changed on the canvas: a folder with flow.json and diff.md. None when nobody did.

    An edit that was kept last is not kept again. besides: a version that is about to be deployed: that the canvas is
    like it already is no edit.
    """
    edit = _edit(context, besides)
    if edit is None:
        return None
    if (last := _last_edit(context, edit)) is not None:
        return last
    place = context.edits / datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")
    with new_folder(place) as fresh:
        (fresh / "flow.json").write_text(edit.flow, encoding="utf-8")
        (fresh / "diff.md").write_text(edit.diff, encoding="utf-8")
    return place


def unsaved_edit(context: Context) -> bool:
    """Whether somebody changed the canvas, and `save_edit` has not been told since."""
    edit = _edit(context, None)
    return edit is not None and _last_edit(context, edit) is None


def _edit(context: Context, besides: Version | None) -> Edit | None:
    known = context.ledger.state()
    if known.deployed is None:
        return None
    with local_nifi.of(context).connected():
        group = canvas.find_group(context.pipeline.name)
        if group is None:
            return None
        exported = canvas.export(group)
    before, values = state.stored(context, known.deployed).flow, known.deployed.values
    ours = [(before, values)]
    if besides is not None:
        ours.append((besides.flow, values))
    if known.unfinished is not None:  # which may have come as far as the flow, and not to its values
        unfinished = state.stored(context, known.unfinished).flow
        ours += [(unfinished, values), (unfinished, known.unfinished.values)]
    if any(compare(with_values(flow, given), exported).empty for flow, given in ours):
        return None
    return Edit(canonical.dumps(exported), compare(with_values(before, values), exported).as_markdown())


def _last_edit(context: Context, edit: Edit) -> Path | None:
    """The folder of the last edit that was saved, when it is this one."""
    last = max(context.edits.glob("*/flow.json"), default=None)
    return last.parent if last is not None and last.read_text(encoding="utf-8") == edit.flow else None
