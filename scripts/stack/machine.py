"""What this process may use of the machine: the machine's own resources and the limits of its control groups."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Memory:
    """available: bytes that can still be taken. limited: a control group's limit leaves less than the machine has."""

    available: int
    limited: bool


def memory() -> Memory:
    import psutil  # takes a while, which --help need not wait

    machine = psutil.virtual_memory().available
    left = min(memory_limits(), default=machine)
    return Memory(max(0, min(machine, left)), left < machine)


def cores() -> float:
    """CPUs that this process may use, as its affinity and its control groups allow."""
    return min([float(len(os.sched_getaffinity(0))), *cpu_limits()])


def memory_limits(process: Path = Path("/proc/self")) -> list[int]:
    """Bytes that each memory limit over a process leaves; page cache counts as free, since it gives way."""
    left = []
    for folder, version in _groups("memory", process):
        limit, used, prefix = (
            ("memory.max", "memory.current", "")
            if version == 2
            else ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_")
        )
        try:
            statistics = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
            cached = sum(int(statistics.get(f"{prefix}{kind}_file", 0)) for kind in ("active", "inactive"))
            left.append(int((folder / limit).read_text()) - int((folder / used).read_text()) + cached)
        except (OSError, ValueError):  # no limit: version 2 says "max", its topmost group has no such file
            continue
    return left


def cpu_limits(process: Path = Path("/proc/self")) -> list[float]:
    """CPUs that each quota over a process allows."""
    allowed = []
    for folder, version in _groups("cpu", process):
        names = ("cpu.max",) if version == 2 else ("cpu.cfs_quota_us", "cpu.cfs_period_us")
        try:
            quota, period = (int(word) for name in names for word in (folder / name).read_text().split())
        except (OSError, ValueError):
            continue
        if quota > 0 and period > 0:
            allowed.append(quota / period)
    return allowed


def _groups(controller: str, process: Path) -> Iterator[tuple[Path, int]]:
    """The folders of a process's control groups up to the mounted root, each with its version of the interface."""
    try:
        memberships = [line.split(":", 2) for line in (process / "cgroup").read_text().splitlines()]
        mounts = [line.split() for line in (process / "mountinfo").read_text().splitlines()]
    except OSError:
        return
    for fields in mounts:
        kind, _, options = fields[fields.index("-") + 1 :][:3]
        root, mounted = fields[3], Path(fields[4])
        if kind == "cgroup2":
            version, own = 2, [path for number, _, path in memberships if number == "0"]
        elif kind == "cgroup" and controller in options.split(","):
            version, own = 1, [path for _, names, path in memberships if controller in names.split(",")]
        else:
            continue
        for path in own:
            # A container may see its group's path on the host, although its own group is what is mounted.
            inside = path.removeprefix(root.rstrip("/")).strip("/") if path.startswith(root) else ""
            folder = mounted / inside
            while folder != mounted and ".." not in inside:
                yield folder, version
                folder = folder.parent
            yield mounted, version
