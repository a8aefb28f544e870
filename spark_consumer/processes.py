"""Processes of Linux as /proc shows them: who descends from whom, who says what its threads wait for, and their end."""

import contextlib
import ctypes
import os
import signal
import time
from collections.abc import Iterable
from pathlib import Path

DUMP = 2.0  # seconds in which a process writes down what its threads wait for
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36  # of <linux/prctl.h>

_libc = ctypes.CDLL(None)


def end_with_parent() -> None:
    """Have the kernel kill this process when the one that started it ends, however that ends."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def adopt_orphans() -> None:
    """Have this process become the parent of its descendants whose own has ended: a JVM outlives its Python so."""
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def descendants(pid: int) -> list[int]:
    """The living children of a process and theirs, at any depth."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (parent := _parent(int(entry))) is not None:
            children.setdefault(parent, []).append(int(entry))
    found, left = [], [pid]
    while left:
        left += children.get(left[0], [])
        found.append(left.pop(0))
    return found[1:]


def dump(pids: Iterable[int]) -> None:
    """Have each process that can write what its threads wait for onto its output, and wait for that.

    On SIGQUIT a JVM does, and so does a Python that has been told to; on SIGABRT a Python that runs with
    PYTHONFAULTHANDLER, which ends by it. Who would do neither is left alone. One that is stopped goes on, or it would
    get no signal.
    """
    pids = list(pids)
    quitting = [pid for pid in pids if _catches(pid, signal.SIGQUIT)]
    aborting = [pid for pid in pids if pid not in quitting and _catches(pid, signal.SIGABRT)]
    for pid in quitting:
        _send(pid, signal.SIGQUIT)
        _send(pid, signal.SIGCONT)
    if quitting:
        time.sleep(DUMP)
    for pid in aborting:
        _send(pid, signal.SIGABRT)
        _send(pid, signal.SIGCONT)
    deadline = time.monotonic() + DUMP
    while any(_parent(pid) is not None for pid in aborting) and time.monotonic() < deadline:
        time.sleep(0.02)


def go_on(pids: Iterable[int]) -> None:
    """Let those go on that have been stopped (SIGSTOP): they get no other signal before."""
    for pid in pids:
        _send(pid, signal.SIGCONT)


def kill(pids: Iterable[int]) -> None:
    for pid in pids:
        _send(pid, signal.SIGKILL)


def _send(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):  # it has just ended
        os.kill(pid, number)


def _parent(pid: int) -> int | None:
    """The parent of a living process, else None: a zombie only waits to be asked for."""
    try:
        state, parent = Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()[:2]
    except (OSError, ValueError):
        return None
    return None if state in "ZX" else int(parent)


def _catches(pid: int, number: signal.Signals) -> bool:
    """Whether a process has a handler of its own for a signal."""
    try:
        status = Path("/proc", str(pid), "status").read_text()
    except OSError:
        return False
    caught = next((line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:")), "0")
    return bool(int(caught, 16) >> (number - 1) & 1)
