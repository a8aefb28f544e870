"""What an engine takes of the machine: the processes of its process group, summed."""

from collections.abc import Iterator

import psutil

from scripts.stack.launch import members


def memory(group: int) -> int:
    """Resident bytes of a process group; 0 for group 0, which is no engine's."""
    return sum(int(process.memory_info().rss) for process in _processes(group))


def cpu_seconds(group: int) -> float:
    """CPU seconds, user and system, of a process group so far, with those of its children that have ended."""
    return sum(sum(process.cpu_times()[:4]) for process in _processes(group))


def _processes(group: int) -> Iterator[psutil.Process]:
    for pid in members(group) if group else []:
        try:
            process = psutil.Process(pid)
            process.cpu_times()
        except psutil.Error:
            continue
        yield process
