"""Make Airflow's database, or bring it to this Airflow's version: `python -m scripts.stack.airflow_database MARKER`.

Each of Airflow's processes runs this before it starts: the first one works, the others wait for it.
"""

import fcntl
import subprocess
import sys
from pathlib import Path


def main(marker: Path) -> None:
    """Migrate, then leave the marker; it names the version, so another Airflow migrates again."""
    with open(marker.with_name("migration.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not marker.exists():
            subprocess.run([sys.executable, "-m", "airflow", "db", "migrate"], check=True)
            marker.touch()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
