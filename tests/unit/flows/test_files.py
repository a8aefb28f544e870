"""Small files that several processes share."""

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nifi_flows.files import new_folder, write_private


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


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """(what was done, name of the file or folder) in the order in which it was done."""
    done: list[tuple[str, str]] = []

    def noting(name: str, real: Callable[..., Any], path_of: Callable[..., str]) -> None:
        def note(*arguments: Any) -> Any:
            done.append((name, Path(path_of(*arguments)).name))
            return real(*arguments)

        monkeypatch.setattr(os, name, note)

    noting("fsync", os.fsync, lambda handle: os.readlink(f"/proc/self/fd/{handle}"))
    noting("replace", os.replace, lambda _, to: str(to))
    noting("rename", os.rename, lambda _, to: str(to))
    return done


def test_a_file_is_on_disk_before_it_has_its_name_and_its_name_before_the_caller_goes_on(
    tmp_path: Path, steps: list[tuple[str, str]]
) -> None:
    write_private(tmp_path / "file", "content")
    (first, part), *rest = steps
    assert (first, part.startswith("file.")) == ("fsync", True)
    assert rest == [("replace", "file"), ("fsync", tmp_path.name)]


def test_a_folder_is_on_disk_with_all_in_it_before_it_has_its_name(
    tmp_path: Path, steps: list[tuple[str, str]]
) -> None:
    with new_folder(tmp_path / "place") as made:
        (made / "inner").mkdir()
        (made / "inner" / "file").write_text("content")
        (made / "link").symlink_to("nowhere")
    before, after = steps[:-2], steps[-2:]
    assert sorted(before) == [("fsync", "file"), ("fsync", "inner"), ("fsync", "made")]
    assert after == [("rename", "place"), ("fsync", tmp_path.name)]
    assert (tmp_path / "place" / "inner" / "file").read_text() == "content"
    assert [path.name for path in tmp_path.iterdir()] == ["place"]


def test_of_a_folder_that_fails_nothing_is_left(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="full"), new_folder(tmp_path / "place") as made:
        (made / "file").write_text("content")
        raise OSError("full")
    assert list(tmp_path.iterdir()) == []
