import subprocess
import sys
from pathlib import Path

from scripts.bootstrap import ROOT

BEGUN = b"\0\0\0\7" + bytes(4092) + bytes(8192)


def remove(folder: Path) -> str:
    command = [sys.executable, "-m", "scripts.stack.commit_log", str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout


def test_a_segment_that_cassandra_could_not_begin_is_removed_and_no_other_file(tmp_path: Path) -> None:
    kept = {"CommitLog-7-1.log": BEGUN, "CommitLog-7-4.log": BEGUN[:10], "other": bytes(9)}
    for name, content in {**kept, "CommitLog-7-2.log": bytes(8192), "CommitLog-7-3.log": b""}.items():
        (tmp_path / name).write_bytes(content)
    said = remove(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == kept
    assert said.splitlines() == [
        f"CommitLog-7-{n}.log was made when the disk was full, and holds nothing: removed" for n in (2, 3)
    ]
    assert not remove(tmp_path)


def test_there_is_no_commit_log_before_the_first_start(tmp_path: Path) -> None:
    assert not remove(tmp_path / "commitlog")
