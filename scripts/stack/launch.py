"""Start one engine: end what a killed predecessor left of its process group, then become the engine.

Run by the supervisor as `python -m scripts.stack.launch LAUNCH_FILE`. A launch file is JSON (mode 600) with the
keys command, environment, folder, first and secrets, see `Launch`; the process group goes into a file of the same name
ending in .group.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

_OTHERS = ("AIRFLOW", "SPARK_", "PYSPARK_", "HADOOP_")
_SECRETS = ("PIPELINE_PARAMETER_", "PIPELINE_ALERT_WEBHOOK")


def main() -> None:
    launch_file = Path(sys.argv[1])
    plan = json.loads(launch_file.read_text())
    group_file = launch_file.with_suffix(".group")
    end_group(group_file)
    group_file.write_text(f"{os.getpgrp()} {boot_id()}")
    os.chdir(plan["folder"])
    environment = inherited(os.environ, secrets=plan.get("secrets", False)) | plan["environment"]
    for path, command in plan["first"]:
        if path is None or not os.path.exists(path):
            subprocess.run(command, env=environment, check=True)
    os.execve(plan["command"][0], plan["command"], environment)


def inherited(environment: Mapping[str, str], *, secrets: bool) -> dict[str, str]:
    """The user's variables without those of an installation of their own, and without secrets unless they are needed.

    Airflow, for one, obeys AIRFLOW__… before any file: it would work on the user's database instead of ours.
    """
    left_out = _OTHERS if secrets else (*_OTHERS, *_SECRETS)
    return {name: value for name, value in environment.items() if not name.startswith(left_out)}


def boot_id() -> str:
    """Names this boot of the machine: after another one, an old process group number means nothing."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def end_group(group_file: Path, patience: float = 5) -> bool:
    """End every process of the group that `group_file` names, if it is still ours. Returns whether there was one."""
    group = living_group(group_file)
    if group is None or group == os.getpgrp():
        group_file.unlink(missing_ok=True)
        return False
    deadline = time.monotonic() + patience
    with contextlib.suppress(ProcessLookupError):  # its last member has just ended
        os.killpg(group, signal.SIGTERM)
        os.killpg(group, signal.SIGCONT)  # whoever has been stopped gets no other signal
        while members(group):
            if time.monotonic() > deadline:
                os.killpg(group, signal.SIGKILL)
                deadline += patience
            time.sleep(0.05)
    group_file.unlink(missing_ok=True)
    return True


def living_group(group_file: Path) -> int | None:
    """The process group that `group_file` names, if it still has members and is ours; else None.

    The kernel gives no new process the number of a group that has members, so a living group is the one we made;
    a number that was free in between is told apart by the launch file's folder in its members' environment.
    """
    try:
        number, boot = group_file.read_text().split()
        group = int(number)
    except (OSError, ValueError):
        return None
    return group if boot == boot_id() and _ours(group, group_file) else None


def members(group: int) -> list[int]:
    """The living processes of a process group."""
    return [pid for entry in os.listdir("/proc") if entry.isdigit() and _group(pid := int(entry)) == group]


def living(pid: int) -> bool:
    """Whether a process still runs. A zombie does not: it only waits for a parent that may never ask for it."""
    return _group(pid) is not None


def _group(pid: int) -> int | None:
    """The process group of a living process, else None."""
    try:
        state, _, group = Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()[:3]
    except (OSError, ValueError):
        return None
    return None if state in "ZX" else int(group)


def _ours(group: int, group_file: Path) -> bool:
    """Whether a member carries the marker that the supervisor puts into the environment of all that it starts."""
    return any(of_stack(pid, group_file.parent) for pid in members(group))


def of_stack(pid: int, run: Path) -> bool:
    """Whether a process was started by the supervisor of the stack whose folder `run` this is, or is that itself."""
    try:
        return f"PIPELINE_RUN={run}".encode() in Path("/proc", str(pid), "environ").read_bytes().split(b"\0")
    except OSError:
        return False


if __name__ == "__main__":
    main()
