"""Cassandra's commit log after a full disk: `python -m scripts.stack.commit_log FOLDER`, before Cassandra starts.

Cassandra makes a segment as a file of its full length and then writes the descriptor that it begins with. When the disk
is full (or the machine loses power) in between, the file stays, all zeros, and no Cassandra starts over it any more:
"Could not read commit log descriptor". Nothing is in such a segment, so it is removed.
"""

import sys
from pathlib import Path

_DESCRIPTOR = 4096  # bytes, at least: a segment that was begun has other bytes than zeros among them


def remove_unbegun(folder: Path) -> list[Path]:
    """Remove the segments in this folder that hold no descriptor; returns which. Raises OSError."""
    unbegun = [path for path in sorted(folder.glob("CommitLog-*.log")) if not _begun(path)]
    for path in unbegun:
        path.unlink()
    return unbegun


def _begun(path: Path) -> bool:
    with path.open("rb") as segment:
        return any(segment.read(_DESCRIPTOR))


if __name__ == "__main__":
    for removed in remove_unbegun(Path(sys.argv[1])):
        print(f"{removed.name} was made when the disk was full, and holds nothing: removed", flush=True)
