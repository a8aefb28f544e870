"""flow diff, as somebody calls it."""

import copy
import json
from pathlib import Path

import pytest
import typer

from scripts.commands.flow import diff as command
from tests.unit.flows.diff.changes import FLOW, USERS_FLOW, change_property
from tests.unit.flows.small_flows import FlowDefinition


@pytest.fixture
def files(tmp_path: Path, after: FlowDefinition) -> tuple[str, str]:
    change_property(after)
    changed = tmp_path / "changed.json"
    changed.write_text(json.dumps(after))
    return str(FLOW), str(changed)


def test_the_command_exits_with_0_when_both_are_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    command.diff(str(FLOW), str(FLOW))
    assert capsys.readouterr().out == "No difference.\n"


@pytest.mark.parametrize(
    ("form", "words"), [("text", "-> 'others'\n"), ("markdown", "→ `others`\n"), ("json", '"after": "others"')]
)
def test_the_command_tells_a_difference_and_exits_with_1(
    files: tuple[str, str], capsys: pytest.CaptureFixture[str], form: str, words: str
) -> None:
    with pytest.raises(typer.Exit) as ended:
        command.diff(*files, output=command.Form(form))
    assert ended.value.exit_code == 1
    told = capsys.readouterr().out
    assert words in told
    if form == "json":
        assert json.loads(told)["same"] is False


def test_only_nifi_asks_for_the_canvas(files: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "on_canvas", lambda: copy.deepcopy(USERS_FLOW))
    command.diff(files[0], "nifi")
    monkeypatch.setattr(command, "on_canvas", _not_asked)
    with pytest.raises(typer.Exit):
        command.diff(*files)


def _not_asked() -> FlowDefinition:
    raise AssertionError("NiFi was asked")
