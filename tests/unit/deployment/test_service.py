"""What the deploy service does and refuses, from a source tree to the ledger."""

import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from nifi_flows import hold as holds
from nifi_flows import version
from nifi_flows.errors import TerminalError, TransientError
from nifi_flows.hold import Held
from nifi_flows.lease import LeaseLost, hold_lease
from nifi_flows.ledger import State, now
from scripts.deployment import service
from scripts.deployment.context import Context
from tests.unit.deployment.world import World, git, small
from tests.unit.flows.fake_nifi import AWAY, REFUSED

LONGER = small("Pull success Enrich", "Enrich success Check", "Check valid Publish")


def hold(world: World, who: str = "ann") -> None:
    holds.hold(world.context.hold, who, "another page size", datetime.now(UTC))


# -- deploy -------------------------------------------------------------------------------------------------------


def test_the_first_version(world: World) -> None:
    done = service.deploy(world.context)
    assert done.version == world.name and done.changes[:2] == ["loaded the processors", "imported"]
    assert world.runs(world.name, {"rate": "1", "topic": "user_data_topic"})
    known = world.state.deployed
    assert known and known.commit == git(world.pipeline.tree, "rev-parse", "HEAD") == known.source
    assert (known.by, known.environment, known.group) == ("me", "local", "group")
    assert world.host.schemas.keys() == {"user", "dead_letter", "page_receipt"}
    (event,) = world.history
    assert (event.what, event.ok, event.version) == ("deploy", True, world.name)


def test_deploying_what_runs_changes_nothing(deployed: World) -> None:
    assert service.deploy(deployed.context).changes == []
    assert deployed.step.done == [] and len(deployed.history) == 1


def test_a_durable_stack_has_on_disk_what_was_deployed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[bool] = []
    monkeypatch.setattr(os, "sync", lambda: written.append(world.runs(world.name)))
    durable = replace(world.context, settings=replace(world.context.settings, durable=True))
    service.deploy(durable)
    assert written == [True]
    service.deploy(world.context)
    assert written == [True], "nobody else waits for it"


def test_only_what_may_come_back_stays_stored(deployed: World) -> None:
    names = [deployed.name]
    for rate in ("2", "3"):
        deployed.edit_flow(small(parameters=[f"extra.{rate}"]))
        deployed.environment(**{f"extra.{rate}": "x"})
        names.append(service.deploy(deployed.context).version)
    assert {path.name for path in (deployed.context.folder / "versions").iterdir()} == set(names[1:])


def test_a_revision_is_deployed_as_it_was(deployed: World) -> None:
    before = deployed.name
    deployed.edit_flow(LONGER)
    first = git(deployed.pipeline.tree, "rev-parse", "HEAD")
    service.deploy(deployed.context)
    assert service.deploy(deployed.context, revision="HEAD").version == before != deployed.name
    assert deployed.state.deployed and deployed.state.deployed.source == first
    with pytest.raises(TerminalError, match="git has no revision 'nowhere'"):
        service.deploy(deployed.context, revision="nowhere")


def test_overrides_stay_until_they_are_given_anew(deployed: World) -> None:
    service.deploy(deployed.context, overrides={"rate": "9"})
    assert deployed.canvas.values["rate"] == "9"
    service.deploy(deployed.context)
    assert deployed.canvas.values["rate"] == "9"
    assert deployed.state.deployed and deployed.state.deployed.overrides == {"rate": "9"}
    service.deploy(deployed.context, overrides={"rate": None})
    assert deployed.runs(deployed.name, {"rate": "1"})


def test_an_override_of_no_parameter_is_refused(deployed: World) -> None:
    with pytest.raises(TerminalError, match="the flow has no parameter speed") as refused:
        service.deploy(deployed.context, overrides={"speed": "9"})
    assert "rate" in refused.value.remedy
    assert deployed.step.done == [] and not deployed.history[-1].ok


def test_a_sensitive_parameter_is_not_given_by_hand(deployed: World) -> None:
    deployed.edit_flow(small(secret="token"))
    with pytest.raises(TerminalError, match="token is sensitive") as refused:
        service.deploy(deployed.context, overrides={"token": "hunter2"})
    assert "PIPELINE_PARAMETER_TOKEN" in refused.value.remedy
    assert str(deployed.context.parameters) in refused.value.remedy


def test_lint_refuses_before_anything_is_touched(deployed: World) -> None:
    deployed.edit_flow(LONGER)
    deployed.pipeline.lint.write_text("")
    with pytest.raises(TerminalError, match=r"lint refuses the flow: .*NF011.* \(and \d+ more\)"):
        service.deploy(deployed.context)
    assert deployed.step.done == []
    assert (deployed.history[-1].version, deployed.history[-1].passing) == (deployed.name, False)


def test_what_this_nifi_does_not_offer_is_refused_by_lint(deployed: World) -> None:
    deployed.edit_flow(small("Pull success Check", "Check valid Archive"))
    with pytest.raises(TerminalError, match=r"NiFi 2\.3\.0 has no Archive$"):
        service.deploy(deployed.context)
    assert deployed.step.done == []


def test_a_tree_without_a_version_is_noted_as_a_try(deployed: World) -> None:
    (deployed.pipeline.tree / "requirements.lock").unlink()
    with pytest.raises(TerminalError, match=r"there is no requirements\.lock"):
        service.deploy(deployed.context)
    event = deployed.history[-1]
    assert (event.what, event.ok, event.version, event.by) == ("deploy", False, "none", "me")


def test_a_version_that_fails_is_noted_once_and_what_ran_before_runs_again(deployed: World) -> None:
    before = deployed.name
    deployed.edit_flow(LONGER)
    deployed.step.faults = {"replace": [REFUSED]}
    with pytest.raises(TerminalError, match=f"NiFi refuses; version {before} runs again"):
        service.deploy(deployed.context)
    assert deployed.runs(before)
    assert [event.ok for event in deployed.history] == [True, False]


def test_a_deploy_that_did_not_end_is_ended_with_a_nifi_that_was_started(deployed: World) -> None:
    known = deployed.state.deployed
    assert known
    deployed.context.ledger.begin(known)
    service.deploy(deployed.context)
    assert deployed.step.done == ["wait for NiFi"]
    assert deployed.said[0].startswith(f"an earlier deploy of {known.version} did not end")
    assert deployed.runs(deployed.name)


# -- hold, lease and a group that is lost ---------------------------------------------------------------------------


@pytest.mark.parametrize("what", [service.deploy, service.redeploy, service.rollback, service.plan])
def test_who_holds_the_flow_keeps_the_others_out(deployed: World, what: Callable[[Context], Any]) -> None:
    hold(deployed)
    with pytest.raises(Held, match=r"ann holds the flow since .* UTC: another page size"):
        what(deployed.context)
    assert deployed.step.done == [] and len(deployed.history) == 1, "who is kept out has not tried"


def test_who_holds_the_flow_deploys_it(deployed: World) -> None:
    hold(deployed, "me")
    deployed.edit_flow(LONGER)
    service.deploy(deployed.context)
    assert deployed.runs(deployed.name)


def test_a_hold_in_the_middle_is_heeded(deployed: World, monkeypatch: pytest.MonkeyPatch) -> None:
    deployed.edit_flow(LONGER)

    def unregistered(schemas: Mapping[str, str]) -> list[str]:
        hold(deployed)
        return []

    monkeypatch.setattr(deployed.host, "unregistered", unregistered)
    with pytest.raises(Held, match="nothing was changed"):
        service.deploy(deployed.context)
    assert deployed.step.done == [] and deployed.history[-1].passing


@pytest.mark.parametrize("what", [service.deploy, service.redeploy, service.plan])
def test_one_deploy_at_a_time(deployed: World, what: Callable[[Context], Any]) -> None:
    with hold_lease(deployed.context.lease, "airflow", "redeploy"), pytest.raises(TransientError, match="airflow"):
        what(deployed.context)
    assert deployed.step.done == [] and len(deployed.history) == 1


def test_a_lock_that_was_left_is_taken_over(deployed: World) -> None:
    deployed.context.lease.write_text("{}")
    service.redeploy(deployed.context)
    assert deployed.said[0].startswith("took the lock over from nobody")


def test_who_lost_the_lease_leaves_the_history_to_the_other(deployed: World) -> None:
    deployed.edit_flow(LONGER)
    deployed.context.ledger.begin(deployed.state.deployed)  # type: ignore[arg-type]
    deployed.step.faults = {"wait for NiFi": [LeaseLost("airflow has it", "wait")]}
    with pytest.raises(LeaseLost):
        service.deploy(deployed.context)
    assert len(deployed.history) == 1


def test_a_renamed_group_is_not_imported_a_second_time(deployed: World) -> None:
    deployed.by_hand({**small(), "flowContents": {**small()["flowContents"], "name": "mine"}})
    with pytest.raises(TerminalError, match="is called 'mine' now") as refused:
        service.redeploy(deployed.context)
    assert "'users'" in refused.value.remedy and deployed.step.done == []


def test_a_group_that_is_gone_is_imported_again(deployed: World) -> None:
    deployed.canvas.flow = None
    assert service.redeploy(deployed.context).changes[0] == "imported"
    assert deployed.runs(deployed.name)


# -- redeploy and rollback ------------------------------------------------------------------------------------------


def test_a_redeploy_saves_and_undoes_what_was_changed_by_hand(deployed: World) -> None:
    deployed.by_hand(LONGER)
    service.redeploy(deployed.context)
    (saved,) = (line for line in deployed.said if line.startswith("saved"))
    assert "Enrich" in Path(saved.partition(": ")[2], "diff.md").read_text()
    assert deployed.runs(deployed.name) and deployed.canvas.flow == small()
    assert (deployed.history[-1].what, deployed.history[-1].ok) == ("redeploy", True)


def test_a_redeploy_that_changes_nothing_is_noted_all_the_same(deployed: World) -> None:
    assert service.redeploy(deployed.context).changes == []
    assert (deployed.history[-1].what, deployed.history[-1].says) == ("redeploy", "nothing to change")


def test_there_is_nothing_to_redeploy_before_the_first_deploy(world: World) -> None:
    with pytest.raises(TerminalError, match="nothing was deployed yet"):
        service.redeploy(world.context)
    assert [(event.what, event.version) for event in world.history] == [("redeploy", "none")]


def test_a_rollback_brings_the_version_before_and_keeps_the_run(deployed: World) -> None:
    before = deployed.name
    deployed.edit_flow(LONGER)
    service.deploy(deployed.context, overrides={"rate": "9"})
    assert service.rollback(deployed.context).version == before
    assert deployed.runs(before, {"rate": "9"})
    assert deployed.history[-1].what == "rollback"


def test_a_rollback_leaves_out_what_the_version_before_does_not_declare(deployed: World) -> None:
    before = deployed.name
    deployed.edit_flow(small(parameters=["speed"]))
    service.deploy(deployed.context, overrides={"speed": "9"})
    service.rollback(deployed.context)
    assert deployed.runs(before) and "speed" not in deployed.canvas.values


def test_there_is_nothing_to_roll_back_to_after_the_first_deploy(deployed: World) -> None:
    with pytest.raises(TerminalError, match="there is no version before the present one"):
        service.rollback(deployed.context)


def _damage(world: World) -> Path:
    known = world.state.deployed
    assert known
    file = world.context.folder / "processors" / known.code / "pull_run.py"
    file.write_text(file.read_text() + "# by hand\n")
    world.host.code = None  # it was changed since NiFi loaded it
    return file


def test_changed_processor_files_are_made_anew_from_the_tree(deployed: World) -> None:
    file = _damage(deployed)
    assert service.redeploy(deployed.context).changes == ["loaded the processors", *_started()]
    assert "by hand" not in file.read_text() and deployed.runs(deployed.name)


def _started() -> list[str]:
    return ["started processor 'Check', processor 'Publish', processor 'Pull'"]


def test_changed_processor_files_are_made_anew_from_the_commit(deployed: World) -> None:
    before = deployed.name
    file = _damage(deployed)
    deployed.edit_code()
    service.redeploy(deployed.context)
    assert "by hand" not in file.read_text() and deployed.runs(before)


def test_changed_processor_files_whose_sources_are_gone_are_told(deployed: World) -> None:
    _damage(deployed)
    deployed.edit_code()
    shutil.rmtree(deployed.pipeline.tree / ".git")
    with pytest.raises(TerminalError, match=r"pull_run\.py was changed, and the sources of version .* are gone"):
        service.redeploy(deployed.context)


def test_a_version_that_is_gone_is_told(deployed: World) -> None:
    shutil.rmtree(deployed.context.folder / "versions")
    with pytest.raises(TerminalError, match="is no longer stored"):
        service.redeploy(deployed.context)


# -- plan -----------------------------------------------------------------------------------------------------------


def test_a_plan_tells_the_steps_and_stores_nothing(deployed: World) -> None:
    stored = sorted(deployed.context.folder.rglob("*"))
    deployed.edit_flow(LONGER)
    deployed.edit_code()
    planned = service.plan(deployed.context)
    assert planned.reload and planned.change and "Enrich" in planned.change.as_text()
    assert sorted(deployed.context.folder.rglob("*")) == stored and deployed.step.done == []


def test_the_plan_of_what_runs_is_empty(deployed: World) -> None:
    assert service.plan(deployed.context).empty
    assert service.plan(deployed.context, revision="HEAD").empty


def test_a_plan_tells_that_changed_processor_files_are_loaded_again(deployed: World) -> None:
    _damage(deployed)
    assert service.plan(deployed.context).reload


def test_the_plan_of_a_first_deploy(world: World) -> None:
    assert service.plan(world.context).new
    assert world.state == State() and not world.context.folder.exists()


# -- sensitive parameters -------------------------------------------------------------------------------------------


@pytest.fixture
def secretive(world: World) -> World:
    """A flow with a sensitive parameter runs."""
    world.edit_flow(small(secret="token"))
    world.secrets(token="first")
    service.deploy(world.context)
    assert world.runs(world.name, {"token": "first"})
    return world


def test_a_secret_is_sealed_and_written_nowhere_but_among_the_secrets(secretive: World) -> None:
    known = secretive.state.deployed
    assert known and "token" not in known.values and len(known.sealed["token"]) == 64
    files = [path for path in secretive.context.folder.rglob("*") if path.is_file()]
    assert not [path for path in files if b"first" in path.read_bytes() and path.suffix in (".json", ".jsonl")]
    assert secretive.context.deployed_parameters.stat().st_mode & 0o077 == 0
    assert secretive.kept_secrets() == {"first"}


def test_a_secret_that_is_missing_is_named_before_anything_is_touched(secretive: World) -> None:
    secretive.context.parameters.unlink()
    for what in (service.deploy, service.redeploy):
        with pytest.raises(TerminalError, match="no value for token"):
            what(secretive.context)


def test_the_same_secret_is_not_set_again(secretive: World) -> None:
    assert service.deploy(secretive.context).changes == []


def test_another_secret_is_set(secretive: World) -> None:
    secretive.secrets(token="second")
    assert service.deploy(secretive.context).changes == ["set token"]
    assert secretive.canvas.values["token"] == "second"
    assert service.redeploy(secretive.context).changes == []


def test_after_a_deploy_that_did_not_end_secrets_are_set_in_any_case(secretive: World) -> None:
    secretive.context.ledger.begin(secretive.state.deployed)  # type: ignore[arg-type]
    assert service.deploy(secretive.context).changes == ["set token"]


def test_the_way_back_has_the_secret_that_ran_and_what_nobody_needs_is_dropped(secretive: World) -> None:
    secretive.secrets(token="second")
    secretive.edit_flow(small("Pull success Check", secret="token"))
    secretive.step.faults = {"start": [REFUSED]}
    with pytest.raises(TerminalError, match="runs again"):
        service.deploy(secretive.context)
    assert secretive.canvas.values["token"] == "first"
    assert secretive.kept_secrets() == {"first", "second"}

    secretive.edit_flow(small(secret="token"))
    secretive.secrets(token="first")
    service.redeploy(secretive.context)
    assert secretive.kept_secrets() == {"first"}


def test_kept_secrets_that_cannot_be_read_are_made_anew(secretive: World) -> None:
    for damaged in ("", "[]", "{"):
        secretive.context.deployed_parameters.write_text(damaged)
        service.redeploy(secretive.context)
        assert secretive.kept_secrets() == {"first"}


# -- what a home of an earlier commit holds -------------------------------------------------------------------------


def test_a_version_whose_sources_still_had_the_bundle_module_keeps_its_name(world: World) -> None:
    before = world.name
    (world.pipeline.tree / "nifi_processors" / "bundle.py").write_text("# as in older commits\n")
    assert version.name_of(world.pipeline) == before


def test_a_ledger_of_an_earlier_commit_is_deployed_upon(deployed: World) -> None:
    """Its fields are as that wrote them."""
    state = json.loads((deployed.context.folder / "state.json").read_text())
    assert set(state["deployed"]) == {
        *("version", "code", "environment", "values", "overrides", "sealed", "group", "source", "commit", "by", "at")
    }
    event = json.loads((deployed.context.folder / "history.jsonl").read_text().splitlines()[-1])
    assert set(event) == {"at", "what", "ok", "by", "version", "says", "passing"}
    assert event["at"] <= now()


def test_a_nifi_that_is_away_passes(deployed: World) -> None:
    deployed.edit_flow(LONGER)
    deployed.step.faults = {"replace": [AWAY] * 3}
    with pytest.raises(TransientError, match="NiFi is away; "):
        service.deploy(deployed.context)
    assert deployed.history[-1].passing
