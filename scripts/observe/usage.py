"""What an engine takes of the machine: the processes of its process group, summed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from scripts.stack.launch import members

if TYPE_CHECKING:
    import psutil


def memory(group: int) -> int:
    """Resident bytes of a process group; 0 for group 0, which is no engine's."""
    return round(_summed(group, lambda process: process.memory_info().rss))


def cpu_seconds(group: int) -> float:
    """CPU seconds, user and system, of a process group so far, with those of its children that have ended."""
    return _summed(group, lambda process: sum(process.cpu_times()[:4]))


def _summed(group: int, read: Callable[[psutil.Process], float]) -> float:
    import psutil  # takes a while, which --help need not wait

    total = 0.0
    for pid in members(group) if group else []:
        try:
            total += read(psutil.Process(pid))
        except psutil.Error:  # it has just ended
            continue
    return total
