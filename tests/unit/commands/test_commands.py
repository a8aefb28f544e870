"""The command line without a stack: exit codes, one line for what was wrong and one for what to do."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from nifi_flows.errors import TerminalError
from scripts.audit import collect
from scripts.audit.judge import Audit
from scripts.bootstrap import ROOT
from scripts.commands.flow import export
from scripts.deployment import state
from tests.unit.commands.command_line import Ended, Pipeline

COMMANDS = ["run", "status", "logs", "cqlsh", "audit", "source", "canvas", "doctor", "bench", "down", "test"]


def test_as_a_process_it_ends_with_the_code_and_the_lines(home: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "scripts.commands", "status"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 75
    ended = Ended(done.returncode, done.stdout, done.stderr)
    assert ended.error == ("the stack is not running", "start it with ./scripts/run")
    assert not home.exists()


@pytest.mark.parametrize("command", [None, *COMMANDS])
def test_help_is_there(pipeline: Pipeline, home: Path, command: str | None) -> None:
    shown = pipeline(*([command] if command else []), "--help")
    assert (shown.code, shown.err) == (0, "")
    assert shown.out.startswith(f"Usage: pipeline {command or '[OPTIONS]'}")
    if command is None:
        for name in COMMANDS:
            assert f"\n  {name} " in shown.out
    assert not home.exists()


def test_a_peer_that_is_none_is_refused_before_the_stack_is_looked_at(
    pipeline: Pipeline, home: Path, tmp_path: Path
) -> None:
    text = tmp_path / "peer.txt"
    text.write_text("no program")
    refused = pipeline("bench", "--peer", str(text))
    assert refused.code == 1
    assert refused.error == (
        f"the peer {text} is no executable file",
        "give the path of a redpanda-connect or benthos binary",
    )
    assert not home.exists()


def test_without_a_command_the_help_is_shown(pipeline: Pipeline) -> None:
    shown = pipeline()
    assert shown.code == 2
    assert "Commands:" in shown.out + shown.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonesuch"],
        ["down", "--nonesuch"],
        ["status", "--output", "yaml"],
        ["logs"],
        ["logs", "kafka", "--lines", "0"],
        ["run", "--page-size", "5001"],
        ["run", "--page-size", "0"],
        ["run", "--pages", "-1"],
        ["run", "--interval", "-0.5"],
        ["run", "--invalid-share", "1.5"],
        ["cqlsh", "-f", "/not/there.cql"],
    ],
    ids=" ".join,
)
def test_a_wrong_argument_is_named_and_nothing_is_done(pipeline: Pipeline, home: Path, arguments: list[str]) -> None:
    refused = pipeline(*arguments)
    assert refused.code == 2
    assert refused.out == ""
    assert "Error: " in refused.err
    assert not home.exists()


@pytest.mark.parametrize("arguments", [["status"], ["status", "--output", "json"], ["audit"], ["cqlsh", "-e", "x"]])
def test_without_a_stack_it_says_so_and_makes_nothing(pipeline: Pipeline, home: Path, arguments: list[str]) -> None:
    ended = pipeline(*arguments)
    assert ended.code == 75
    _, remedy = ended.error
    assert "./scripts/run" in remedy
    assert not home.exists()


def test_to_stop_nothing_is_fine(pipeline: Pipeline, home: Path) -> None:
    assert pipeline("down") == Ended(0, "Nothing was running\n", "")
    assert not home.exists()


@pytest.fixture
def furnished(home: Path) -> Path:
    """A home as a stack leaves it."""
    for name in ("conf", "data/kafka", "logs", "run", "secrets", "flows/users/processors/abc", "monitor"):
        (home / name).mkdir(parents=True)
    (home / "nifi_extensions").symlink_to("flows/users/processors/abc")
    (home / "logs" / "kafka.log").write_text("".join(f"line {number}\n" for number in range(1, 101)))
    (home / "logs" / "nifi.log").write_bytes(b"caf\xe9 [bold]not markup[/bold]")
    (home / "secrets" / "words.log").write_text("nobody's business")
    (home / "data" / "kafka" / "meta.properties").touch()
    return home


def test_a_stop_keeps_everything(pipeline: Pipeline, furnished: Path) -> None:
    before = sorted(furnished.rglob("*"))
    assert pipeline("down").code == 0
    assert sorted(furnished.rglob("*")) == before


def test_wiping_removes_what_the_stack_has_made_but_the_cache(pipeline: Pipeline, furnished: Path) -> None:
    engine = furnished.parent / "cache" / "engine.jar"
    engine.parent.mkdir()
    engine.touch()
    assert pipeline("down", "--wipe") == Ended(0, "Nothing was running, data removed\n", "")
    assert not furnished.exists()
    assert engine.exists()


def test_wiping_removes_nothing_that_somebody_keeps_beside_it(pipeline: Pipeline, furnished: Path) -> None:
    """PIPELINE_HOME may name a folder that was there before."""
    (furnished / "thesis.tex").write_text("ten years of work")
    assert pipeline("down", "--wipe").code == 0
    assert [path.name for path in furnished.iterdir()] == ["thesis.tex"]


def test_the_end_of_a_log_is_printed(pipeline: Pipeline, furnished: Path) -> None:
    assert pipeline("logs", "kafka", "--lines", "2") == Ended(0, "line 99\nline 100\n", "")
    assert pipeline("logs", "kafka").out.splitlines() == [f"line {number}" for number in range(51, 101)]
    assert pipeline("logs", "nifi").out == "caf\ufffd [bold]not markup[/bold]\n"


@pytest.mark.parametrize("name", ["nonesuch", "../secrets/words", "kafka.log", ""])
def test_a_log_that_is_not_there_is_named_with_those_that_are(pipeline: Pipeline, furnished: Path, name: str) -> None:
    ended = pipeline("logs", name)
    assert ended.code == 1
    assert ended.error == (f"there is no log of {name!r}", "there is kafka, nifi")


def test_before_the_first_start_there_is_no_log(pipeline: Pipeline) -> None:
    assert pipeline("logs", "kafka").error == ("there is no log of 'kafka'", "start with ./scripts/run")


@pytest.mark.parametrize("source", ["nonsense", "ftp://example.org/x", "http://", "http://[::1/api", "/etc/passwd"])
def test_a_source_that_is_no_url_is_refused_before_anything_is_made(
    pipeline: Pipeline, home: Path, source: str
) -> None:
    ended = pipeline("run", "--source", source)
    assert ended.code == 1
    assert ended.error[0] == f"{source!r} is no HTTP URL"
    assert not home.exists()


def test_a_source_that_is_down_is_told_before_anything_is_made(pipeline: Pipeline, home: Path) -> None:
    source = f"http://127.0.0.1:{os.environ['PIPELINE_SOURCE_PORT']}/api/"
    ended = pipeline("run", "--source", source)
    assert ended.code == 75
    assert ended.error[0].startswith(f"the source {source} does not answer: ")
    assert not home.exists()


@pytest.mark.parametrize(("findings", "code"), [([], 0), (["page a/b/1/2: 3 invalid, but 2 dead letters"], 1)])
def test_an_audit_that_does_not_add_up_fails(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, findings: list[str], code: int
) -> None:
    found = Audit({"pages": 2, "rows": 12345}, {"no_at:email": 3}, findings)
    monkeypatch.setattr(collect, "collect", lambda settings, pipeline: found)
    shown = pipeline("audit")
    assert (shown.code, shown.err) == (code, "")
    assert "12,345" in shown.out
    assert "no_at:email" in shown.out
    assert ("It adds up" in shown.out) == (not findings)
    for finding in findings:
        assert f"wrong: {finding}\n" in shown.out
    read = pipeline("audit", "--output", "json")
    assert read.code == code
    assert json.loads(read.out) == {"counts": found.counts, "reasons": found.reasons, "findings": findings}


def test_an_export_into_a_place_that_is_none_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "export", lambda _: "{}")
    for place in (tmp_path, tmp_path / "none" / "flow.json"):
        with pytest.raises(TerminalError, match=f"{place} cannot be written"):
            export.export(output=place)
    export.export(output=tmp_path / "flow.json")
    assert (tmp_path / "flow.json").read_text() == "{}"
