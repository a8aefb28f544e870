"""`source`: misbehave, behave and what it counts."""

import json
import socket
from pathlib import Path

import pytest

from nifi_flows.errors import PipelineError, TerminalError, TransientError
from scripts.source import invalid
from scripts.source.behaviour import Behaviour
from scripts.source.faults import FAULTS
from scripts.source.server import HOST
from scripts.stack.engines import source as embedded
from scripts.stack.settings import Settings
from tests.unit.source.served import ASKED, Served, call


def test_misbehaving_is_set_shown_counted_and_ended(home: Path, served: Served) -> None:
    said = call("misbehave", "500=1", "invalid=0.02", "invalid:uuid_null=0.01", "html=0")
    assert said == "The source now does wrong: 500=1 invalid=0.02 invalid:uuid_null=0.01\n"
    assert served.page(ASKED)[0] == 500
    shown = json.loads(call("--output", "json"))
    assert (shown["running"], shown["pages"], shown["users"]) == (True, 0, 0)
    assert shown["faults"]["500"] == {"rate": 1.0, "given": 1, "answer": "500"}
    assert shown["faults"]["html"] == {"rate": 0.0, "given": 0, "answer": "200 and a login page in HTML"}
    assert shown["invalid_share"] == 0.02
    assert shown["invalid"]["uuid_null"] == {"rate": 0.01, "reasons": ["missing:id"]}
    assert (list(shown["faults"]), list(shown["invalid"])) == (list(FAULTS), list(invalid.KINDS))
    lines = [line.split() for line in call().splitlines()]
    assert ["500", "100", "%", "1", "500"] in lines
    assert ["invalid:uuid_null", "1", "%", "missing:id"] in lines
    assert call("behave") == "The source now does nothing wrong\n"
    assert served.page(ASKED)[0] == 200


def test_to_misbehave_anew_ends_what_was_set_before(home: Path) -> None:
    call("misbehave", "500=0.1", "invalid=0.1", "invalid:uuid_null=0.1")
    call("misbehave", "429=0.2")
    assert embedded.behaviour(Settings(home=home)) == Behaviour(faults={"429": 0.2})


def test_a_source_that_does_not_run_is_told_all_the_same(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "stats", lambda _: None)
    assert call("misbehave", "500=0.1").endswith("500=0.1; it is not running and will begin when it starts\n")
    shown = json.loads(call("--output", "json"))
    assert (shown["running"], shown["pages"], shown["faults"]["500"]["given"]) == (False, None, None)
    assert "not running" in call()


def test_without_a_listener_there_are_no_counts(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server((HOST, 0)) as opened:
        port = opened.getsockname()[1]
    assert embedded.stats(Settings(home=home, ports={"source": port})) is None


@pytest.mark.parametrize(
    ("assignments", "said"),
    [
        (["418=0.1"], "no fault is called '418'; there is 429, 429-bare, 500, "),
        (["429=0.1", "invalid:nose=0.1"], "no kind of invalid user is called 'nose'; there is record_null, "),
        (["=0.1"], "no fault is called ''"),
        (["500=1.1"], "the rate of 500 is not between 0 and 1: 1.1"),
        (["500=-0.1"], "the rate of 500 is not between 0 and 1: -0.1"),
        (["500=inf"], "the rate of 500 is not between 0 and 1: inf"),
        (["500=nan"], "the rate of 500 is not between 0 and 1: nan"),
        (["500=0.6", "slow=0.5"], "the rates of faults come to 1.1, more than 1"),
        (["invalid=0.6", "invalid:uuid_null=0.5"], "the rates of invalid users come to 1.1, more than 1"),
        (["500"], "'500' names no rate"),
        (["500="], "the rate of 500 is no number: ''"),
        (["500=0,1"], "the rate of 500 is no number: '0,1'"),
        (["500=0.1", "500=0.2"], "'500' is given twice"),
    ],
)
def test_what_it_cannot_do_is_told_in_a_line_and_nothing_changes(home: Path, assignments: list[str], said: str) -> None:
    call("misbehave", "reset=0.1")
    before = (home / "conf" / "source.json").read_bytes()
    with pytest.raises(TerminalError) as refused:
        call("misbehave", *assignments)
    assert str(refused.value).startswith(said)
    assert "\n" not in str(refused.value)
    assert refused.value.remedy
    assert (home / "conf" / "source.json").read_bytes() == before


@pytest.mark.parametrize("arguments", [[], ["--output", "json"], ["misbehave", "500=0.1"], ["behave"]])
def test_without_a_stack_it_says_so_and_makes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    monkeypatch.setenv("PIPELINE_HOME", str(tmp_path / "h"))
    with pytest.raises(TransientError, match="no stack has been set up yet") as refused:
        call(*arguments)
    assert "./scripts/run" in refused.value.remedy
    assert not (tmp_path / "h").exists()


def test_a_damaged_file_is_named_and_behaving_mends_it(home: Path) -> None:
    (home / "conf" / "source.json").write_text("rubbish")
    with pytest.raises(PipelineError, match=r"source\.json is not read: ") as refused:
        call()
    assert "source behave" in refused.value.remedy
    call("behave")
    assert embedded.behaviour(Settings(home=home)) == Behaviour()


def test_the_file_is_its_owners_alone(home: Path) -> None:
    call("misbehave", "500=0.1")
    assert (home / "conf" / "source.json").stat().st_mode & 0o777 == 0o600
