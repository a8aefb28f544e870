"""Small files that several processes share."""

import stat
from pathlib import Path

import pytest

from nifi_flows.files import write_private


def test_a_private_file_replaces_an_open_one_at_once(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("old")
    file.chmod(0o644)
    with file.open() as reading:
        write_private(file, "new €")
        assert reading.read() == "old", "whoever reads the old file goes on reading the old file"
    assert file.read_text() == "new €"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    write_private(file, b"\x00\xff")
    assert file.read_bytes() == b"\x00\xff"


def test_what_cannot_be_written_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "file"
    write_private(file, "old")
    with pytest.raises(UnicodeEncodeError):
        write_private(file, "half a character: \ud800")
    assert file.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
