"""Start one engine: end what a killed predecessor left of its process group, then become the engine.

Run by the supervisor as `python -m scripts.stack.launch LAUNCH_FILE`. A launch file is JSON (mode 600) with the
keys command, environment, folder and first; the process group goes into a file of the same name ending in .group.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path


def main() -> None:
    launch_file = Path(sys.argv[1])
    plan = json.loads(launch_file.read_text())
    group_file = launch_file.with_suffix(".group")
    end_group(group_file)
    group_file.write_text(f"{os.getpgrp()} {boot_id()}")
    os.chdir(plan["folder"])
    environment = dict(os.environ, **plan["environment"])
    for path, command in plan["first"]:
        if not os.path.exists(path):
            subprocess.run(command, env=environment, check=True)
    os.execve(plan["command"][0], plan["command"], environment)


def boot_id() -> str:
    """Names this boot of the machine: after another one, an old process group number means nothing."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def end_group(group_file: Path, patience: float = 5) -> bool:
    """End every process of the group that `group_file` names, if it is still ours. Returns whether there was one.

    The kernel gives no new process the number of a group that has members, so a living group is the one we made;
    a number that was free in between is told apart by the launch file's folder in its members' environment.
    """
    try:
        number, boot = group_file.read_text().split()
    except (OSError, ValueError):
        return False
    group = int(number)
    if boot != boot_id() or group == os.getpgrp() or not _ours(group, group_file):
        group_file.unlink(missing_ok=True)
        return False
    deadline = time.monotonic() + patience
    os.killpg(group, signal.SIGTERM)
    while members(group):
        if time.monotonic() > deadline:
            os.killpg(group, signal.SIGKILL)
            deadline += patience
        time.sleep(0.05)
    group_file.unlink(missing_ok=True)
    return True


def members(group: int) -> list[int]:
    """The living processes of a process group."""
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            state, _, pgrp = Path("/proc", entry, "stat").read_text().rpartition(")")[2].split()[:3]
        except (OSError, ValueError):
            continue
        if int(pgrp) == group and state != "Z":
            found.append(int(entry))
    return found


def _ours(group: int, group_file: Path) -> bool:
    """Whether a member carries the marker that the supervisor puts into the environment of all that it starts."""
    marker = f"PIPELINE_RUN={group_file.parent}".encode()
    for pid in members(group):
        try:
            if marker in Path("/proc", str(pid), "environ").read_bytes().split(b"\0"):
                return True
        except OSError:
            continue
    return False


if __name__ == "__main__":
    main()
