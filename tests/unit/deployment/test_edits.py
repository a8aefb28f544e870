"""Edits by hand are kept once, and what a deploy put on the canvas is none."""

from dataclasses import replace

from nifi_flows import canonical, version
from scripts.deployment import edits
from tests.unit.deployment.world import World, small
from tests.unit.flows.small_flows import exported

EDITED = small("Pull success Enrich", "Enrich success Check", "Check valid Publish")


def test_what_nobody_edited_is_not_kept(deployed: World) -> None:
    assert edits.save_edit(deployed.context) is None
    assert not edits.unsaved_edit(deployed.context)
    assert not deployed.context.edits.exists()


def test_there_is_no_edit_before_the_first_deploy_or_of_a_flow_that_is_gone(world: World, deployed: World) -> None:
    deployed.canvas.flow = None
    assert edits.save_edit(deployed.context) is None
    deployed.by_hand(EDITED)
    (deployed.context.folder / "state.json").unlink()
    assert edits.save_edit(deployed.context) is None


def test_an_edit_is_kept_as_the_flow_and_its_difference(deployed: World) -> None:
    deployed.by_hand(EDITED)
    assert edits.unsaved_edit(deployed.context)
    saved = edits.save_edit(deployed.context)
    assert saved and saved.parent == deployed.context.edits
    assert (saved / "flow.json").read_text() == canonical.dumps(exported(EDITED))
    assert "Enrich" in (saved / "diff.md").read_text()
    assert not edits.unsaved_edit(deployed.context)


def test_the_same_edit_is_kept_once(deployed: World) -> None:
    deployed.by_hand(EDITED)
    saved = edits.save_edit(deployed.context)
    assert edits.save_edit(deployed.context) == saved
    deployed.by_hand(small("Pull success Check"))
    other = edits.save_edit(deployed.context)
    deployed.by_hand(EDITED)
    again = edits.save_edit(deployed.context)
    assert len({saved, other, again}) == 3


def test_that_the_canvas_is_like_what_is_about_to_be_deployed_is_no_edit(deployed: World) -> None:
    deployed.edit_flow(EDITED)
    made = version.make(deployed.pipeline, deployed.context.folder)
    deployed.by_hand(EDITED)
    assert edits.save_edit(deployed.context, besides=made) is None
    assert edits.unsaved_edit(deployed.context)


def test_what_a_deploy_left_that_did_not_end_is_no_edit(deployed: World) -> None:
    known = deployed.state.deployed
    assert known
    deployed.edit_flow(EDITED)
    made = version.make(deployed.pipeline, deployed.context.folder)
    deployed.context.ledger.begin(replace(known, version=made.name, code=made.code, values={"rate": "9"}))
    deployed.by_hand(EDITED)
    assert edits.save_edit(deployed.context) is None
    deployed.by_hand(small("Pull success Check"))
    assert edits.save_edit(deployed.context) is not None
