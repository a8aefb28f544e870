"""Every way in which a command may end badly: its exit code, its lines, and that it cleans up."""

import errno
import os
import pty
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from nifi_flows.errors import TerminalError, TransientError
from scripts.bootstrap import ROOT
from scripts.commands import down
from tests.unit.commands.command_line import Ended, Pipeline


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
