"""flow deploy, redeploy, rollback, status, drift and hold, as somebody calls them."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
import typer

from nifi_flows import hold as holds
from nifi_flows.errors import TransientError
from nifi_flows.lease import hold_lease
from scripts.commands.console import Output
from scripts.commands.flow import deploy as deploying
from scripts.commands.flow import diff as differing
from scripts.commands.flow import export as exporting
from scripts.commands.flow import hold as holding
from scripts.commands.flow import status as telling
from scripts.deployment import local_nifi
from tests.unit.deployment.world import World, small

LONGER = small("Pull success Enrich", "Enrich success Check", "Check valid Publish")


@pytest.fixture(autouse=True)
def _this_stack(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands deploy the tree of the test to its stack."""
    for command in (deploying, differing, exporting, holding, telling):
        monkeypatch.setattr(command, "USERS", world.pipeline)
    monkeypatch.setenv("PIPELINE_HOME", str(world.context.settings.home))


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str]) -> pytest.CaptureFixture[str]:
    capsys.readouterr()
    return capsys


def _lines(printed: pytest.CaptureFixture[str]) -> list[str]:
    return [line.rstrip() for line in printed.readouterr().out.splitlines()]


def test_a_deploy_says_its_steps_and_how_long_the_flow_stood_still(
    deployed: World, printed: pytest.CaptureFixture[str]
) -> None:
    deployed.edit_flow(LONGER)
    deploying.deploy()
    told = printed.readouterr()
    assert told.err.splitlines()[0] == "  stopping the flow"
    assert told.out.startswith(f"Version {deployed.name} runs after 0.0 s")
    deploying.deploy()
    assert _lines(printed) == [f"Version {deployed.name} runs; nothing to change"]


def test_a_deploy_of_code_says_that_the_flow_stood_still(deployed: World, printed: pytest.CaptureFixture[str]) -> None:
    deployed.edit_code()
    deploying.deploy()
    assert _lines(printed) == [f"Version {deployed.name} runs after 10.0 s, the flow stood still for 10.0 s"]


def test_a_dry_run_shows_the_steps_and_the_difference(deployed: World, printed: pytest.CaptureFixture[str]) -> None:
    deploying.deploy(dry_run=True)
    assert _lines(printed) == ["nothing to change"]
    deployed.edit_flow(LONGER)
    deploying.deploy(dry_run=True)
    said = _lines(printed)
    assert said[0].startswith("drain") or said[0].startswith("replace")
    assert any("added processor 'Enrich'" in line for line in said)
    assert deployed.step.done == []


def test_redeploy_and_rollback_say_what_runs(deployed: World, printed: pytest.CaptureFixture[str]) -> None:
    first = deployed.name
    deployed.edit_flow(LONGER)
    deploying.deploy()
    deploying.redeploy()
    deploying.rollback()
    said = _lines(printed)
    assert said[1] == f"Version {deployed.name} runs; nothing to change"
    assert said[2].startswith(f"Version {first} runs after")


def test_the_status_before_the_first_deploy(world: World, printed: pytest.CaptureFixture[str]) -> None:
    telling.status()
    assert _lines(printed) == ["version  none was deployed yet", "drift    none"]
    telling.status(Output.json)
    told = json.loads(printed.readouterr().out)
    assert told == {
        **dict.fromkeys(("deployed", "unfinished", "held", "deploying")),
        "drift": [],
        "history": [],
    }


def test_the_status_says_all_that_is_going_on(deployed: World, printed: pytest.CaptureFixture[str]) -> None:
    known = deployed.state.deployed
    assert known
    deployed.context.ledger.begin(known)
    deployed.context.ledger.note_failed("redeploy", "airflow", known.version, "no thread")
    deployed.by_hand(LONGER)
    holds.hold(deployed.context.hold, "ann", "trying", datetime(2026, 5, 4, tzinfo=UTC))
    with hold_lease(deployed.context.lease, "airflow", "redeploy"):
        telling.status()
        said = {line.partition(" ")[0]: line.partition(" ")[2].strip() for line in _lines(printed)}
        telling.status(Output.json)
        told = json.loads(printed.readouterr().out)
    assert said["version"] == known.version
    assert said["deployed"] == f"{known.at} by me, environment local"
    assert said["from"] == known.commit
    assert said["unfinished"].endswith("by me; the next deploy ends it")
    assert said["held"] == "by ann since 2026-05-04 00:00 UTC: trying"
    assert said["deploying"].startswith("airflow (redeploy) since ")
    assert said["drift"].endswith("see ./scripts/pipeline flow drift")
    assert any(text.endswith("by airflow: failed: no thread") for text in said.values())
    assert told["deployed"]["version"] == told["unfinished"]["version"] == known.version
    assert (told["held"]["who"], told["deploying"]) == ("ann", "airflow (redeploy)")
    assert told["drift"] and [event["ok"] for event in told["history"]] == [True, False]


def test_the_status_says_why_drift_is_not_known(
    deployed: World, printed: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(context: object) -> None:
        raise TransientError("NiFi is away")

    monkeypatch.setattr(local_nifi, "of", away)
    telling.status()
    assert "drift     not known: NiFi is away" in _lines(printed)
    telling.status(Output.json)
    assert json.loads(printed.readouterr().out)["drift"] is None


def test_drift_exits_with_1(deployed: World, printed: pytest.CaptureFixture[str]) -> None:
    telling.drift()
    assert _lines(printed) == ["no drift: what runs is what was deployed"]
    telling.drift(Output.json)
    assert json.loads(printed.readouterr().out) == []
    deployed.canvas.running = set()
    with pytest.raises(typer.Exit) as ended:
        telling.drift()
    assert ended.value.exit_code == 1
    assert _lines(printed)[0] == "processor 'Check' is stopped"


def test_hold_and_release_name_the_flow(world: World, printed: pytest.CaptureFixture[str]) -> None:
    holding.hold("another page size")
    held = holds.read(world.context.hold)
    assert held
    since = f"since {held.since:%Y-%m-%d %H:%M} UTC: another page size"
    holding.release()
    holding.release()
    assert _lines(printed) == [
        f"me holds the flow users {since}",
        "Release it with ./scripts/pipeline flow release",
        f"Released the flow users, held by me {since}",
        "Nobody holds the flow users",
    ]


def test_an_export_is_what_is_on_the_canvas(
    deployed: World, printed: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    exporting.export(output=tmp_path / "flow.json")
    printed.readouterr()
    differing.diff("nifi", str(tmp_path / "flow.json"))
    assert _lines(printed) == ["No difference."]
