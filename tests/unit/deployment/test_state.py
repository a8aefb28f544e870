"""What is told of a deployed flow, without changing anything."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from nifi_flows import canonical
from nifi_flows import hold as holds
from nifi_flows.errors import TerminalError
from nifi_flows.hold import Hold
from nifi_flows.lease import hold_lease
from scripts.deployment import service, state
from scripts.stack.settings import Settings
from tests.unit.deployment.world import World, elsewhere, git, small


def test_before_the_first_deploy_there_is_nothing(world: World) -> None:
    context = world.context
    asked = [state.deployed, state.unfinished, state.held, state.deploying, state.new_version]
    assert [question(context) for question in asked] == [None] * 5
    assert state.history(context) == []
    assert not context.folder.exists()


def test_what_was_begun_is_told(deployed: World) -> None:
    known = state.deployed(deployed.context)
    assert known
    deployed.context.ledger.begin(known)
    assert state.unfinished(deployed.context) == known
    assert state.require_deployed(deployed.context) == known


def test_who_holds_and_who_deploys_is_told(deployed: World) -> None:
    context, at = deployed.context, datetime(2026, 5, 4, tzinfo=UTC)
    holds.hold(context.hold, "ann", "trying", at)
    assert state.held(context) == Hold("ann", "trying", at)
    with hold_lease(context.lease, "airflow", "redeploy"):
        assert str(state.deploying(context)) == "airflow (redeploy)"
    assert state.deploying(context) is None


def test_a_lease_that_ran_out_deploys_nothing(deployed: World) -> None:
    with hold_lease(deployed.context.lease, "me", "deploy", 600, clock=lambda: datetime(2026, 1, 1, tzinfo=UTC)):
        assert state.deploying(deployed.context) is None


@pytest.mark.parametrize("heal", [True, False])
def test_the_environment_says_whether_it_heals(world: World, heal: bool) -> None:
    world.pipeline.environments.write_text(f"[local]\nheal = {str(heal).lower()}\n")
    assert state.heals(world.context) is heal


# -- a new version in git -------------------------------------------------------------------------------------------


def test_a_commit_of_another_version_is_a_new_version(deployed: World) -> None:
    deployed.edit_flow(small("Pull success Check"))
    assert state.new_version(deployed.context) is None, "it is not committed"
    deployed.commit()
    assert state.new_version(deployed.context) == deployed.name


def test_a_commit_of_something_else_is_no_new_version(deployed: World) -> None:
    (deployed.pipeline.tree / "README.md").write_text("read me")
    deployed.commit()
    assert state.new_version(deployed.context) is None


def test_files_that_were_never_committed_are_not_replaced_by_a_commit_of_something_else(world: World) -> None:
    world.edit_flow(small("Pull success Check"))
    service.deploy(world.context)
    git(world.pipeline.tree, "stash")
    (world.pipeline.tree / "README.md").write_text("read me")
    world.commit()
    assert world.state.deployed and world.state.deployed.version != world.name
    assert state.new_version(world.context) is None


def test_a_deployed_commit_that_is_gone_leaves_heads_version_new(deployed: World) -> None:
    """As after a rebase."""
    tree = deployed.pipeline.tree
    deployed.edit_flow(small("Pull success Check"))
    git(tree, "checkout", "--orphan", "rebased")
    deployed.commit()
    git(tree, "branch", "-D", "main")
    git(tree, "reflog", "expire", "--expire=now", "--all")
    git(tree, "gc", "--prune=now", "--quiet")
    assert state.new_version(deployed.context) == deployed.name


def test_without_git_there_is_no_new_version(world: World, tmp_path: Path) -> None:
    copied = tmp_path / "copied"
    world.pipeline.tree.rename(copied)
    (copied / ".git").rename(tmp_path / "no_git")
    context = elsewhere(world, copied)
    service.deploy(context)
    known = state.deployed(context)
    assert known and (known.commit, known.source) == (None, "")
    assert state.new_version(context) is None


# -- the canvas -----------------------------------------------------------------------------------------------------


def test_what_is_as_deployed_has_not_drifted(deployed: World) -> None:
    assert state.drift(deployed.context) == []


def test_all_that_drifted_is_told(deployed: World) -> None:
    deployed.by_hand(small("Pull success Check"))
    deployed.canvas.running = {"Pull"}
    deployed.canvas.values.pop("rate")
    deployed.host.code = None
    del deployed.host.schemas["user"]
    known = state.require_deployed(deployed.context)
    loaded = deployed.context.folder / "processors" / known.code / "pull_run.py"
    loaded.write_text("")
    assert state.drift(deployed.context) == [
        "NiFi runs other processors than were deployed",
        "processor file pull_run.py was changed",
        "users: removed connection from 'Check' valid to 'Publish'",
        "users: removed processor 'Publish'",
        "parameter 'rate' has no value",
        "processor 'Check' is stopped",
        "schema user is not in the registry",
    ]


def test_a_flow_that_is_gone_has_drifted(deployed: World) -> None:
    deployed.canvas.flow = None
    assert state.drift(deployed.context) == ["the flow is not on the canvas"]
    with pytest.raises(TerminalError, match="flow users is not on the canvas"):
        state.export(deployed.context)


def test_nothing_drifts_before_the_first_deploy(world: World) -> None:
    with pytest.raises(TerminalError, match="nothing was deployed yet"):
        state.drift(world.context)


def test_the_export_is_the_canonical_form(deployed: World) -> None:
    assert state.export(deployed.context) == canonical.dumps(canonical.structure(small()))


# -- the context ----------------------------------------------------------------------------------------------------


def test_what_is_kept_of_a_flow_lies_where_earlier_commits_have_it(world: World) -> None:
    home, context = world.context.settings.home, world.context
    assert context.folder == home / "flows" / "users"
    assert {path.name for path in (context.lease, context.hold, context.edits)} == {"lock.json", "hold.json", "edits"}
    assert context.parameters == home / "secrets" / "parameters.toml"
    assert context.deployed_parameters == home / "secrets" / "deployed_parameters.json"


def test_a_context_reports_to_nobody_unless_it_is_told(world: World) -> None:
    type(world.context)(Settings(home=world.context.settings.home), world.pipeline).report("a step")
    assert world.said == []
