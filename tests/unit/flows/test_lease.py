"""One deploy at a time, with real processes: killed ones, stopped ones, and many that want the same lease at once."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from nifi_flows.errors import TerminalError, TransientError
from nifi_flows.lease import ended, hold_lease, read
from scripts.bootstrap import ROOT

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
HOLDER = """
import sys
from pathlib import Path
from nifi_flows.errors import TransientError
from nifi_flows.lease import hold_lease
path, seconds = Path(sys.argv[1]), float(sys.argv[2])
print("ready", flush=True)
sys.stdin.readline()
try:
    with hold_lease(path, "bob", "deploy 12ab", seconds) as lease:
        print("held", flush=True)
        sys.stdin.readline()
        lease.check()
        print("kept", flush=True)
except TransientError as error:
    print(error, flush=True)
"""
Child = subprocess.Popen[str]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "flows" / "lock.json"


@pytest.fixture
def child(path: Path) -> Iterator[Callable[..., Child]]:
    """Start a process that waits for a line, takes the lease, waits for another and gives it back."""
    with ExitStack() as stack:

        def start(seconds: float = 60) -> Child:
            made = stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", HOLDER, str(path), str(seconds)],
                    cwd=ROOT,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            stack.callback(made.kill)
            return made

        yield start


def _say(child: Child) -> None:
    assert child.stdin
    child.stdin.write("\n")
    child.stdin.flush()


def _heard(child: Child) -> str:
    assert child.stdout
    return child.stdout.readline().strip()


def _holding(child: Child) -> None:
    assert _heard(child) == "ready"
    _say(child)
    assert _heard(child) == "held"


def _until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class Clock:
    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now


def test_a_lease_says_who_holds_it_for_what_and_ends_with_its_block(path: Path) -> None:
    with hold_lease(path, "alice", "deploy", clock=Clock()) as lease:
        found = read(path)
        assert found and (found.owner, found.purpose, found.pid) == ("alice", "deploy", os.getpid())
        assert (found.since, found.until) == (NOON, NOON + timedelta(seconds=60))
        assert ended(found, NOON) is None
        assert lease.took_over is None
        lease.check()
        assert set(json.loads(path.read_text())) >= {"owner", "purpose", "pid", "boot", "started", "since", "until"}
    assert read(path) is None
    assert not path.exists()


def test_a_lease_ends_with_a_block_that_fails(path: Path) -> None:
    with pytest.raises(ZeroDivisionError), hold_lease(path, "alice", "deploy"):
        raise ZeroDivisionError
    assert not path.exists()


def test_somebody_elses_living_lease_is_refused_by_name(path: Path, child: Callable[..., Child]) -> None:
    other = child()
    _holding(other)
    before = path.read_bytes()
    with pytest.raises(TransientError) as refused, hold_lease(path, "alice", "deploy"):
        pass
    found = read(path)
    assert found and path.read_bytes() == before
    said = str(refused.value)
    assert said.startswith("bob (deploy 12ab) holds the lease since ")
    assert all(f"{moment:%H:%M:%S}" in said for moment in (found.since, found.until))
    assert str(other.pid) in refused.value.remedy
    _say(other)
    assert _heard(other) == "kept"
    other.wait()
    with hold_lease(path, "alice", "deploy") as lease:
        assert lease.took_over is None


@pytest.mark.parametrize("reaped", [True, False])
def test_the_lease_of_a_killed_process_is_taken_over(path: Path, child: Callable[..., Child], reaped: bool) -> None:
    other = child()
    _holding(other)
    other.kill()
    if reaped:
        other.wait()
    else:
        os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)  # dead, and a zombie
    with hold_lease(path, "alice", "deploy") as lease:
        assert lease.took_over == f"bob (deploy 12ab): its process {other.pid} is gone"
        found = read(path)
        assert found and found.owner == "alice"


def test_a_living_process_of_the_same_number_is_another_one(path: Path, child: Callable[..., Child]) -> None:
    other = child()
    _holding(other)
    other.kill()
    other.wait()
    path.write_text(json.dumps(json.loads(path.read_text()) | {"pid": os.getppid()}))
    with hold_lease(path, "alice", "deploy") as lease:
        assert lease.took_over and f"its process {os.getppid()} is gone" in lease.took_over


def test_of_another_boot_only_the_time_counts(path: Path, child: Callable[..., Child]) -> None:
    other = child()
    _holding(other)
    other.kill()
    other.wait()
    clock = Clock()
    text = json.dumps(json.loads(path.read_text()) | {"boot": "another", "until": "2026-01-01T12:00:30Z"})
    path.write_text(text)
    with pytest.raises(TransientError), hold_lease(path, "alice", "deploy", clock=clock):
        pass
    assert path.read_text() == text
    clock.now += timedelta(seconds=30)
    with hold_lease(path, "alice", "deploy", clock=clock) as lease:
        assert lease.took_over == "bob (deploy 12ab): its lease ran out at 2026-01-01 12:00:30+00:00"


def test_a_lease_is_renewed_as_long_as_it_is_held(path: Path) -> None:
    with hold_lease(path, "alice", "deploy", seconds=0.2):
        first = read(path)
        assert first

        def renewed() -> bool:
            found = read(path)
            return found is not None and found.since == first.since and found.until > first.until

        _until(renewed)
        time.sleep(0.3)
        with pytest.raises(TransientError), hold_lease(path, "bob", "deploy"):
            pass


def test_a_process_that_slept_too_long_learns_that_it_lost_the_lease(path: Path, child: Callable[..., Child]) -> None:
    other = child(0.4)
    _holding(other)
    other.send_signal(signal.SIGSTOP)
    try:
        _until(lambda: bool((found := read(path)) and ended(found, datetime.now(UTC))))
        with hold_lease(path, "alice", "roll back") as lease:
            assert lease.took_over and lease.took_over.startswith("bob (deploy 12ab): its lease ran out at ")
            other.send_signal(signal.SIGCONT)
            _say(other)
            assert _heard(other) == "the lease for deploy 12ab was lost: alice (roll back) has it"
            other.wait()
            lease.check()  # it did not release what is no longer its own
    finally:
        other.send_signal(signal.SIGCONT)
    assert not path.exists()


def test_a_lease_whose_file_was_removed_is_lost(path: Path) -> None:
    with hold_lease(path, "alice", "deploy") as lease:
        path.unlink()
        with pytest.raises(TransientError, match="was lost"):
            lease.check()
        assert not path.exists()
        with hold_lease(path, "bob", "deploy"), pytest.raises(TransientError, match=r"bob \(deploy\) has it"):
            lease.check()
    assert not path.exists()


def test_a_lease_that_ran_out_and_nobody_took_goes_on(path: Path) -> None:
    clock = Clock()
    with hold_lease(path, "alice", "deploy", clock=clock) as lease:
        clock.now += timedelta(seconds=100)
        found = read(path)
        assert found and ended(found, clock.now)
        lease.check()
        found = read(path)
        assert found and found.until == clock.now + timedelta(seconds=60)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff", b"[]", b"{}", b"[" * 100_000, b'{"owner": "x"}'],
)
def test_what_is_no_lease_is_told_and_taken_over(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    assert read(path) is None
    with hold_lease(path, "alice", "deploy") as lease:
        assert lease.took_over == f"nobody: {path} held no lease"
    assert not path.exists()


@pytest.mark.parametrize(
    "change",
    [{"pid": -1}, {"pid": 2**80}, {"pid": True}, {"since": "2026-01-01T12:00:00"}, {"until": 5}, {"started": None}],
)
def test_a_lease_with_senseless_values_is_none(path: Path, change: dict[str, Any]) -> None:
    with hold_lease(path, "alice", "deploy"):
        path.write_text(json.dumps(json.loads(path.read_text()) | change))
        assert read(path) is None


def test_a_message_is_one_line_whatever_the_file_says(path: Path) -> None:
    with hold_lease(path, "a\nb", "\x1b[2J", clock=Clock()):
        edges = {"since": "0001-01-01T00:00:00+14:00", "until": "9999-12-31T23:59:59-14:00"}
        path.write_text(json.dumps(json.loads(path.read_text()) | edges))
        with pytest.raises(TransientError) as refused, hold_lease(path, "bob", "deploy", clock=Clock()):
            pass
    assert str(refused.value).isprintable()


def test_a_lock_file_that_cannot_be_read_is_not_taken_over(path: Path) -> None:
    path.mkdir(parents=True)
    with pytest.raises(TerminalError, match=f"{path} cannot be read"), hold_lease(path, "alice", "deploy"):
        pass


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "flows").touch()
    with pytest.raises(TerminalError, match="cannot be written"), hold_lease(tmp_path / "flows/l", "alice", "deploy"):
        pass


def test_of_many_threads_exactly_one_wins(path: Path) -> None:
    threads = 8
    for _ in range(10):
        start, tried = threading.Barrier(threads), threading.Barrier(threads)

        def one(name: int, start: threading.Barrier = start, tried: threading.Barrier = tried) -> bool:
            start.wait(10)
            try:
                with hold_lease(path, str(name), "deploy") as lease:
                    tried.wait(10)
                    lease.check()
                    return True
            except TransientError:
                tried.wait(10)
                return False

        with ThreadPoolExecutor(threads) as pool:
            assert sum(pool.map(one, range(threads))) == 1


def test_of_many_processes_exactly_one_takes_over_from_a_dead_one(path: Path, child: Callable[..., Child]) -> None:
    dead, *racing = [child() for _ in range(5)]
    _holding(dead)
    dead.kill()
    dead.wait()
    for one in racing:
        assert _heard(one) == "ready"
    for one in racing:
        _say(one)
    heard = [_heard(one) for one in racing]
    assert heard.count("held") == 1
    assert sum(said.startswith("bob (deploy 12ab) holds the lease") for said in heard) == len(racing) - 1
