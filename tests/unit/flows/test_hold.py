"""Holding the flow: one person at a time, with a reason in one line, and safe against a damaged file."""

import errno
import getpass
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from nifi_flows.errors import TerminalError
from nifi_flows.hold import Hold, hold, read, release
from scripts.commands.flow import hold as command

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "flows" / "users" / "hold.json"


def test_a_hold_is_read_as_it_was_made_and_ends_with_its_release(path: Path) -> None:
    assert read(path) is None
    assert release(path) is None
    assert not path.parent.exists()
    made = hold(path, "alice", "  trying Zoë's retry ", NOON.astimezone(timezone(timedelta(hours=2))))
    assert made == Hold("alice", "trying Zoë's retry", NOON)
    assert read(path) == made
    assert read(path).since.utcoffset() == timedelta(0)  # type: ignore[union-attr]
    assert release(path) == made
    assert read(path) is None
    assert release(path) is None


def test_only_its_owner_can_read_it_and_no_other_file_is_left(path: Path) -> None:
    hold(path, "alice", "a", NOON)
    hold(path, "alice", "b", NOON)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert {file.name for file in path.parent.iterdir()} == {"hold.json", "hold.json.guard"}


def test_somebody_elses_hold_is_refused_by_name(path: Path) -> None:
    made = hold(path, "alice", "trying", NOON)
    with pytest.raises(TerminalError) as refused:
        hold(path, "bob", "deploying", NOON + timedelta(hours=1))
    assert str(refused.value) == "alice holds the flow since 2026-01-01 12:00 UTC: trying"
    assert "alice" in refused.value.remedy and "flow release" in refused.value.remedy
    assert read(path) == made


def test_who_holds_may_say_another_reason(path: Path) -> None:
    hold(path, "alice", "trying", NOON)
    assert hold(path, "alice", "still trying", NOON + timedelta(hours=1)) == Hold("alice", "still trying", NOON)


@pytest.mark.parametrize(
    "why", ["", " \n", "x" * 201, "a\nb", "a\rb", "a\tb", "\x1b[2J", "a\x00", "a\x85b", "a\u2028b", "a\udc80"]
)
def test_a_reason_that_is_no_line_of_text_is_refused(path: Path, why: str) -> None:
    with pytest.raises(TerminalError) as refused:
        hold(path, "alice", why, NOON)
    assert refused.value.remedy
    assert read(path) is None


@pytest.mark.parametrize("why", ["x" * 200, "東京\u3000ok", "Problème\xa0: 👩‍💻", "it's [red]\\"])
def test_a_reason_may_be_in_any_script(path: Path, why: str) -> None:
    hold(path, "alice", why, NOON)
    assert read(path) == Hold("alice", why, NOON)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff",
        b"[]",
        b'{"who": "alice", "why": "x"}',
        b'{"who": "alice", "why": "x", "since": "2026-01-01T12:00:00"}',
        b'{"who": "alice", "why": "x", "since": "0001-01-01T00:00:00+14:00"}',
        b"[" * 100_000,
    ],
)
def test_a_damaged_file_still_holds_and_can_be_released(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    os.utime(path, (NOON.timestamp(), NOON.timestamp()))
    found = read(path)
    assert found == Hold("somebody", f"{path} does not say who and why", NOON)
    with pytest.raises(TerminalError, match="somebody holds the flow"):
        hold(path, "alice", "trying", NOON)
    assert release(path) == found
    assert read(path) is None


def test_what_was_written_by_hand_is_shown_without_control_characters(path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.write_text(r'{"who": "a\nb", "why": "\u001b[2J", "since": "2026-01-01T12:00:00Z"}')
    assert read(path) == Hold("a b", " [2J", NOON)


def test_a_file_that_cannot_be_read_or_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(TerminalError, match=f"{tmp_path} cannot be read"):
        read(tmp_path)
    (tmp_path / "flows").touch()
    with pytest.raises(TerminalError, match="cannot be written"):
        hold(tmp_path / "flows" / "hold.json", "alice", "trying", NOON)


def test_a_full_disk_is_told_and_leaves_the_hold_as_it_was(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = hold(path, "alice", "trying", NOON)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(TerminalError, match=f"{path} cannot be written: No space left"):
        hold(path, "alice", "still trying", NOON)
    assert read(path) == made
    assert {file.name for file in path.parent.iterdir()} == {"hold.json", "hold.json.guard"}


def test_of_many_people_exactly_one_holds(path: Path) -> None:
    def one(who: int) -> bool:
        try:
            hold(path, str(who), "trying", NOON)
        except TerminalError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(one, range(50))) == 1


def test_the_commands_hold_and_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPELINE_HOME", str(tmp_path))
    app = typer.Typer()
    app.command()(command.hold)
    app.command()(command.release)
    runner = CliRunner()
    assert "Nobody" in runner.invoke(app, ["release"], catch_exceptions=False).output
    assert runner.invoke(app, ["hold"]).exit_code == 2
    runner.invoke(app, ["hold", "--why", "trying [bold]"], catch_exceptions=False)
    found = read(tmp_path / "flows" / "users" / "hold.json")
    assert found and (found.who, found.why) == (getpass.getuser(), "trying [bold]")
    assert datetime.now(UTC) - found.since < timedelta(minutes=1)
    runner.invoke(app, ["release"], catch_exceptions=False)
    assert read(tmp_path / "flows" / "users" / "hold.json") is None
