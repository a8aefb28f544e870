"""flow lint, as somebody calls it."""

import copy
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from nifi_flows import inventory as inventories
from nifi_flows import lint
from nifi_flows.errors import TerminalError
from nifi_flows.lint import RULES
from nifi_flows.pipeline import USERS
from scripts.bootstrap import ROOT
from scripts.commands.console import Output
from scripts.commands.flow import lint as command
from tests.unit.flows.lint.linting import CONFIG, OURS, STANDARD, connection, setting, target


def test_the_command_says_where_and_what_next(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flow = copy.deepcopy(OURS)
    connection("stamped", flowFileExpiration="1 min")(flow)
    path = tmp_path / "flow.json"
    path.write_text(json.dumps(flow))
    shutil.copy(USERS.lint, tmp_path)
    with pytest.raises(typer.Exit) as ended:
        command.lint(path, output=Output.json)
    assert ended.value.exit_code == 1
    told = json.loads(capsys.readouterr().out)
    assert [(one["code"], one["where"]) for one in told] == [("NF012", "users / stamped")]
    command.lint()
    assert capsys.readouterr().out == "no errors\nno warnings\n"


def test_a_name_stays_on_its_line_and_steers_no_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flow = copy.deepcopy(OURS)
    connection("stamped", flowFileExpiration="1 min", name="a\x1b[31m\nno errors\u202e\ud800")(flow)
    path = tmp_path / "flow.json"
    path.write_text(json.dumps(flow))
    with pytest.raises(typer.Exit):
        command.lint(path)
    said = r"users / a\x1b[31m\nno errors\u202e\ud800: drops what waits longer than 1 min"
    assert said in capsys.readouterr().out.splitlines()[0]
    assert said in str(next(one for one in lint.lint_file(path, CONFIG) if one.code == "NF012"))


def test_the_command_needs_a_flow_definition_before_and_one_inventory(tmp_path: Path) -> None:
    with pytest.raises(TerminalError, match="contradict"):
        command.lint(nifi=True, inventory=tmp_path)
    with pytest.raises(TerminalError, match="as a revision it cannot be read"):
        command.lint(previous=str(tmp_path / "none.json"))
    (tmp_path / "broken.json").write_text('{"flowContents": {"name": "x", "identifier": "x", "processors": [1]}}')
    with pytest.raises(TerminalError, match="flowContents / processors 0: it is not an object"):
        command.lint(previous=str(tmp_path / "broken.json"))


def test_the_definition_before_may_be_whatever_flow_diff_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "on_canvas", lambda: OURS)
    flow = copy.deepcopy(OURS)
    setting("Fetch page", type=f"{STANDARD}.GetHTTP")(flow)
    path = tmp_path / "flow.json"
    path.write_text(json.dumps(flow))
    with pytest.raises(typer.Exit):
        command.lint(path, previous="nifi", output=Output.json)
    assert "NF003" in [one["code"] for one in json.loads(capsys.readouterr().out)]


def test_an_inventory_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "_ask", lambda _: target(OURS))
    with pytest.raises(TerminalError, match="cannot be written"):
        command.lint(nifi=True, write_inventory=tmp_path / "none" / "inventory.json")
    command.lint(nifi=True, write_inventory=tmp_path / "inventory.json")
    assert inventories.load(tmp_path / "inventory.json") == target(OURS)


def test_linting_a_file_does_not_load_nifis_client() -> None:
    script = "import sys, scripts.commands.flow.lint; sys.exit('nipyapi' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False).returncode == 0


def test_the_command_lists_its_rules(capsys: pytest.CaptureFixture[str]) -> None:
    command.lint(rules=True)
    told = capsys.readouterr().out
    assert all(rule.code in told for rule in RULES)
