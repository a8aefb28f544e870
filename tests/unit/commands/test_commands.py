"""The command line without a stack: exit codes, one line for what was wrong and one for what to do."""

import errno
import json
import os
import pty
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import scripts.commands.test as all_tests
from nifi_flows.errors import TerminalError, TransientError
from scripts.audit.judge import Audit
from scripts.bootstrap import ROOT
from scripts.commands import audit, down, status
from scripts.commands.flow import export
from scripts.stack import configuration, flows, install, settings, stack
from scripts.stack.engine import Engine

COMMANDS = ["run", "status", "logs", "cqlsh", "audit", "source", "canvas", "doctor", "bench", "down", "test"]
NEEDED = {"logs": ["kafka"]}  # arguments that a command does not do without


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str

    @property
    def error(self) -> tuple[str, str]:
        """What was wrong and what to do next, when that is all that was said."""
        assert self.out == ""
        error, remedy = self.err.splitlines()
        assert error.startswith("error: "), error
        assert remedy.startswith("  next: "), remedy
        return error[7:], remedy[8:]


Pipeline = Callable[..., Ended]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home of a stack that is not there, on ports where nothing listens."""
    for name in list(os.environ):
        if name.startswith("PIPELINE_"):
            monkeypatch.delenv(name)
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(len(settings.Settings.model_fields))]
    for field, opened in zip(settings.Settings.model_fields, sockets, strict=True):
        if field.endswith("_port"):
            monkeypatch.setenv(f"PIPELINE_{field}".upper(), str(opened.getsockname()[1]))
        opened.close()
    monkeypatch.setenv("PIPELINE_HOME", str(tmp_path / "h"))
    monkeypatch.setenv("PIPELINE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path / "h"


@pytest.fixture
def pipeline(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Pipeline]:
    """Run `./scripts/pipeline ARGUMENTS` in this process."""
    before = {number: signal.signal(number, signal.SIG_DFL) for number in (signal.SIGTERM, signal.SIGHUP)}

    def pipeline(*arguments: str) -> Ended:
        monkeypatch.setattr(sys, "argv", ["pipeline", *arguments])
        with pytest.raises(SystemExit) as ended:
            runpy.run_module("scripts.commands", run_name="__main__")
        captured = capsys.readouterr()
        assert "Traceback" not in captured.out + captured.err
        return Ended(int(ended.value.code or 0), captured.out, captured.err)

    yield pipeline
    for number, handler in before.items():
        signal.signal(number, handler)


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


@pytest.mark.parametrize("command", [name for name in COMMANDS if name not in ("test", "doctor")])
def test_a_setting_that_is_wrong_is_named(
    pipeline: Pipeline, home: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv("PIPELINE_KAFKA_PORT", "abc")
    ended = pipeline(command, *NEEDED.get(command, []))
    assert ended.code == 1
    error, remedy = ended.error
    assert error.startswith("PIPELINE_KAFKA_PORT: ")
    assert error.endswith("got 'abc'")
    assert remedy == "correct or unset PIPELINE_KAFKA_PORT"
    assert not home.exists()


@pytest.mark.parametrize("value", ["0", "-1", "65536", "9092.5", "9092 "])
def test_only_a_port_is_a_port(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("PIPELINE_NIFI_PORT", value)
    if value.strip().isdigit() and 0 < int(value) < 65536:
        assert configuration.load().nifi_port == 9092
        return
    with pytest.raises(TerminalError, match=r"^PIPELINE_NIFI_PORT: "):
        configuration.load()


def test_one_port_for_two_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPELINE_KAFKA_PORT", "20001")
    monkeypatch.setenv("PIPELINE_SPARK_MASTER_PORT", "20001")
    with pytest.raises(TerminalError) as refused:
        configuration.load()
    assert str(refused.value) == "PIPELINE_KAFKA_PORT and PIPELINE_SPARK_MASTER_PORT are both 20001"


def test_the_ports_that_are_not_set_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    for field in settings.Settings.model_fields:
        monkeypatch.delenv(f"PIPELINE_{field}".upper(), raising=False)
    assert configuration.load().home == Path(ROOT) / ".pipeline"


def test_a_relative_home_is_one_folder_from_wherever_an_engine_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PIPELINE_HOME", "here/../there")
    monkeypatch.setenv("PIPELINE_CACHE", "kept")
    configured = configuration.load()
    assert (configured.home, configured.cache) == (tmp_path / "there", tmp_path / "kept")


def test_an_empty_setting_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPELINE_HOME", "")
    monkeypatch.setenv("PIPELINE_KAFKA_PORT", "")
    configured = configuration.load()
    assert (configured.home, configured.kafka_port) == (Path(ROOT) / ".pipeline", 9092)


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


def _raising(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Make `down` a command that ends in this error."""

    def failing() -> None:
        raise error

    failing.__name__ = "down"
    monkeypatch.setattr(down, "down", failing)


@pytest.mark.parametrize(
    ("error", "code", "lines"),
    [
        (
            TerminalError("a [red]port[/red]", "[free] it"),
            1,
            ["error: a [red]port[/red]", "  next: [free] it"],
        ),
        (TransientError("an engine starts", "wait"), 75, ["error: an engine starts", "  next: wait"]),
        (TransientError("an engine starts"), 75, ["error: an engine starts"]),
        (KeyboardInterrupt(), 130, ["interrupted"]),
    ],
    ids=["terminal", "transient", "no remedy", "Ctrl-C"],
)
def test_every_way_to_fail_has_its_code_and_its_lines(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, lines: list[str]
) -> None:
    _raising(monkeypatch, error)
    ended = pipeline("down")
    assert (ended.code, ended.out, ended.err.splitlines()) == (code, "", lines)


def test_a_long_error_stays_on_its_line(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    _raising(monkeypatch, TerminalError("far " * 100 + "end", "go on"))
    assert pipeline("down").error[0] == "far " * 100 + "end"


def test_a_defect_of_ours_keeps_its_trace_in_a_file(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _raising(monkeypatch, ZeroDivisionError("by zero\nand more"))
    ended = pipeline("down")
    assert ended.code == 1
    error, remedy = ended.error
    assert error == "unexpected ZeroDivisionError: by zero"
    (trace,) = tmp_path.glob("*.trace")
    assert remedy == f"report it with {trace}"
    assert "Traceback" in trace.read_text()


def test_whoever_reads_the_output_may_leave(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", sys.stdout)  # what is put there instead must not stay
    monkeypatch.setattr(sys, "stderr", sys.stderr)
    _raising(monkeypatch, BrokenPipeError(errno.EPIPE, "Broken pipe"))
    assert pipeline("down") == Ended(1, "", "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_termination_is_cleaned_up_after_as_ctrl_c_is(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    cleaned = []

    def terminated() -> None:
        try:
            os.kill(os.getpid(), number)
        finally:
            cleaned.append(True)

    terminated.__name__ = "down"
    monkeypatch.setattr(down, "down", terminated)
    assert pipeline("down").code == 130
    assert cleaned == [True]


def test_a_terminal_that_is_closed_does_not_stop_the_cleaning_up(tmp_path: Path) -> None:
    script = f"""
        import runpy, signal, sys, time
        from pathlib import Path
        from scripts.commands import console, down

        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # also where the tests run under nohup

        def closed():
            Path({str(tmp_path)!r}, "begun").touch()
            try:
                time.sleep(20)
            finally:
                for _ in range(3):
                    console.err.print("going back")
                Path({str(tmp_path)!r}, "cleaned").touch()

        closed.__name__, down.down, sys.argv = "down", closed, ["pipeline", "down"]
        runpy.run_module("scripts.commands", run_name="__main__")
    """
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", textwrap.dedent(script)]
    process = subprocess.Popen(command, cwd=ROOT, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    deadline = time.monotonic() + 15
    while not (tmp_path / "begun").exists():
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.05)
    os.close(ours)
    process.send_signal(signal.SIGHUP)
    assert process.wait(15) == 130
    assert (tmp_path / "cleaned").exists()


@pytest.mark.parametrize(("findings", "code"), [([], 0), (["page a/b/1/2: 3 invalid, but 2 dead letters"], 1)])
def test_an_audit_that_does_not_add_up_fails(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, findings: list[str], code: int
) -> None:
    found = Audit({"pages": 2, "rows": 12345}, {"no_at:email": 3}, findings)
    monkeypatch.setattr(audit, "collect", lambda settings, pipeline: found)
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


@pytest.mark.parametrize("ready", [True, False])
def test_a_status_fails_unless_every_engine_answers(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, ready: bool
) -> None:
    def ask() -> str:
        if not ready:
            raise RuntimeError("connection refused\nby the kernel")
        return "version 1"

    engines = [
        Engine("one", "One", ["true"], Path("/"), "http://127.0.0.1:1/with/a/long/address", {}, lambda: "fine"),
        Engine("two", "Two", ["true"], Path("/"), "127.0.0.1:2", {}, ask),
    ]
    running = SimpleNamespace(
        running=lambda: True, state=lambda name: "RUNNING", pid=lambda name: 0, uptime=lambda name: 7
    )
    monkeypatch.setattr(stack, "running", lambda configured: SimpleNamespace(supervisor=running, engines=engines))
    monkeypatch.setattr(status, "_flow", lambda made: {"summary": "3 of 10 pages handed out", "lag": 5})
    shown = pipeline("status")
    assert (shown.code, shown.err) == (0 if ready else 75, "")
    assert "http://127.0.0.1:1/with/a/long/address" in shown.out
    assert "flow users: 3 of 10 pages handed out; 5 frames not yet consumed\n" in shown.out
    read = pipeline("status", "--output", "json")
    assert read.code == shown.code
    answered: list[dict[str, Any]] = json.loads(read.out)["engines"]
    assert [(engine["engine"], engine["ready"], engine["detail"]) for engine in answered] == [
        ("one", True, "fine"),
        ("two", ready, "version 1" if ready else "connection refused"),
    ]


@pytest.fixture
def pytest_runs(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Instead of pytest: `called` gets the arguments of each run, `seeds` its hash seed, `codes` says how it ends."""
    runs: dict[str, Any] = {"called": [], "seeds": [], "codes": [0, 0]}

    def run(command: list[str], env: dict[str, str], **options: Any) -> SimpleNamespace:
        assert command[1:3] == ["-m", "pytest"]
        runs["called"].append(command[3:])
        runs["seeds"].append(env["PYTHONHASHSEED"])
        return SimpleNamespace(returncode=runs["codes"].pop(0))

    installed = SimpleNamespace(jdk17="/jdk17", nifi_python_api="/nifiapi", spark_jars=["/a.jar", "/b.jar"])
    monkeypatch.setattr(install, "ensure", lambda cache, maven: installed)
    monkeypatch.setattr(all_tests, "subprocess", SimpleNamespace(run=run))
    return runs


def test_all_tests_run_those_without_engines_first(pipeline: Pipeline, pytest_runs: dict[str, Any]) -> None:
    assert pipeline("test").code == 0
    assert pytest_runs["called"] == [["tests/unit", "--cov"], ["tests/engines", "tests/faults", "--exitfirst"]]


def test_a_test_has_the_marker_of_its_folder(request: pytest.FixtureRequest) -> None:
    assert [marker.name for marker in request.node.iter_markers()] == ["unit"]


@pytest.mark.parametrize("given", [None, "", "random"])
def test_each_run_has_a_hash_seed_of_its_own_and_says_how_to_repeat_it(
    pipeline: Pipeline, pytest_runs: dict[str, Any], monkeypatch: pytest.MonkeyPatch, given: str | None
) -> None:
    monkeypatch.delenv("PYTHONHASHSEED", raising=False)
    if given is not None:
        monkeypatch.setenv("PYTHONHASHSEED", given)
    shown = pipeline("test")
    seed, same = pytest_runs["seeds"]
    assert seed == same
    assert 0 <= int(seed) < 2**32
    assert f"PYTHONHASHSEED={seed} pytest tests/unit --cov\n" in shown.err
    pytest_runs["codes"] = [0]
    pipeline("test", "tests/unit")
    assert pytest_runs["seeds"][2] != seed


def test_a_hash_seed_that_is_given_is_taken(
    pipeline: Pipeline, pytest_runs: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONHASHSEED", "7")
    assert "PYTHONHASHSEED=7 pytest tests/unit -x\n" in pipeline("test", "tests/unit", "-x").err
    assert pytest_runs["seeds"] == ["7"]


@pytest.mark.parametrize(("codes", "code", "runs"), [([1, 0], 1, 1), ([0, 5], 5, 2)])
def test_tests_that_fail_are_a_failure(
    pipeline: Pipeline, pytest_runs: dict[str, Any], codes: list[int], code: int, runs: int
) -> None:
    pytest_runs["codes"] = codes
    assert pipeline("test").code == code
    assert len(pytest_runs["called"]) == runs


def test_arguments_are_for_pytest(pipeline: Pipeline, pytest_runs: dict[str, Any]) -> None:
    assert pipeline("test", "tests/unit", "-k", "name", "--maxfail=1").code == 0
    assert pytest_runs["called"] == [["tests/unit", "-k", "name", "--maxfail=1"]]


def test_an_export_into_a_place_that_is_none_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flows, "export", lambda _: "{}")
    for place in (tmp_path, tmp_path / "none" / "flow.json"):
        with pytest.raises(TerminalError, match=f"{place} cannot be written"):
            export.export(output=place)
    export.export(output=tmp_path / "flow.json")
    assert (tmp_path / "flow.json").read_text() == "{}"
