"""What a process may use of the machine: the limits of its control groups."""

from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from nifi_flows.errors import TerminalError
from scripts.stack import machine as resources
from scripts.stack import preflight
from scripts.stack.machine import Memory

GIB = 1024**3
MIB = 1024**2


def control_groups(tmp_path: Path, memberships: str, mounts: dict[str, str], written: dict[str, str]) -> Path:
    """A process's folder in /proc. mounts: name of a mounted folder -> "kind options"; written: file -> text."""
    process = tmp_path / "self"
    process.mkdir()
    (process / "cgroup").write_text(memberships)
    lines = [
        f"1 0 0:1 / {tmp_path / name} rw - {kind.split()[0]} none {kind.split()[1]}" for name, kind in mounts.items()
    ]
    (process / "mountinfo").write_text("9 0 0:2 / / rw shared:1 - ext4 /dev/sda rw\n" + "\n".join(lines) + "\n")
    for name, text in written.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return process


def test_limits_of_control_groups_version_2_hold_for_all_below_them(tmp_path: Path) -> None:
    process = control_groups(
        tmp_path,
        "0::/outer/inner\n",
        {"c": "cgroup2 rw"},
        {
            "c/outer/memory.max": f"{4 * GIB}\n",
            "c/outer/memory.current": f"{3 * GIB}\n",
            "c/outer/memory.stat": f"anon 5\nactive_file {GIB}\ninactive_file {GIB}\n",
            "c/outer/inner/memory.max": "max\n",
            "c/outer/inner/memory.current": "5\n",
            "c/outer/inner/memory.stat": "anon 5\n",
            "c/outer/inner/cpu.max": "150000 100000\n",
            "c/outer/cpu.max": "max 100000\n",
        },
    )
    assert resources.memory_limits(process) == [3 * GIB]
    assert resources.cpu_limits(process) == [1.5]


def test_limits_of_control_groups_version_1(tmp_path: Path) -> None:
    """As in a container that sees its path on the host, while its own group is what is mounted."""
    process = control_groups(
        tmp_path,
        "4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n0::/\n",
        {"m": "cgroup rw,memory", "c": "cgroup rw,cpu,cpuacct", "u": "cgroup2 rw"},
        {
            "m/memory.limit_in_bytes": f"{2 * GIB}\n",
            "m/memory.usage_in_bytes": f"{GIB}\n",
            "m/memory.stat": f"active_file 7\ntotal_active_file 0\ntotal_inactive_file {MIB}\n",
            "c/cpu.cfs_quota_us": "50000\n",
            "c/cpu.cfs_period_us": "100000\n",
        },
    )
    assert resources.memory_limits(process) == [GIB + MIB]
    assert resources.cpu_limits(process) == [0.5]


def test_without_limits_the_machine_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert resources.memory_limits(tmp_path) == resources.cpu_limits(tmp_path) == []
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=8 * GIB))
    for limits, expected in (
        ([], Memory(8 * GIB, False)),
        ([9 * GIB], Memory(8 * GIB, False)),
        ([GIB], Memory(GIB, True)),
    ):
        monkeypatch.setattr(resources, "memory_limits", lambda limits=limits: limits)
        assert resources.memory() == expected
    with pytest.raises(TerminalError, match=r"its container's limit leaves 1\.0 GiB"):
        preflight.check_memory()
