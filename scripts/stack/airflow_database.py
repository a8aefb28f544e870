"""Airflow's database: `python -m scripts.stack.airflow_database MARKER` makes it, or migrates it to this version.

Each of Airflow's processes runs that before it starts: the first one works, the others wait for it.
"""

import fcntl
import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from nifi_flows.errors import TransientError
from scripts.stack.settings import Settings

_KEPT = 24 * 3600  # seconds of what no deleted run takes with it: asset events, and the log of who did what
_PATIENCE = 60  # seconds
_AGAIN = "it is tried again in a day"
_HIDDEN = ("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "AIRFLOW__CORE__SQL_ALCHEMY_CONN")  # set so that tasks stay out of it


def forget(settings: Settings) -> None:
    """Remove old asset events and audit log, once a day. Raises TransientError when Airflow does not do it in time."""
    data = settings.data / "airflow"
    marker, now = data / "cleaned", time.time()
    if marker.exists() and now - marker.stat().st_mtime < _KEPT:
        return
    before = datetime.fromtimestamp(now - _KEPT, UTC).isoformat()
    clean = ["db", "clean", "--tables", "asset_event,log", "--clean-before-timestamp", before]
    environment = {name: value for name, value in os.environ.items() if name not in _HIDDEN}
    ours = {"AIRFLOW_HOME": str(data), "AIRFLOW_CONFIG": str(settings.conf / "airflow" / "airflow.cfg")}
    try:
        marker.touch()
        done = subprocess.run(
            [sys.executable, "-m", "airflow", *clean, "--skip-archive", "--yes"],
            env=environment | ours,
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise TransientError(f"Airflow's database was not cleaned: {error}", _AGAIN) from error
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise TransientError(f"Airflow's database was not cleaned: {' '.join(said)}", _AGAIN)


def main(marker: Path) -> None:
    """Migrate, then leave the marker; it names the version, so another Airflow migrates again."""
    with open(marker.with_name("migration.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not marker.exists():
            subprocess.run([sys.executable, "-m", "airflow", "db", "migrate"], check=True)
            marker.touch()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
