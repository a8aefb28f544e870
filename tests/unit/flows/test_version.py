"""A version is named by what is in it, is stored once, whole, and can be taken from any commit."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from nifi_flows import version
from nifi_flows.errors import TerminalError
from nifi_flows.pipeline import USERS
from nifi_flows.version import Version

ROOT = Path(version.__file__).parents[1]
pipeline = USERS.within
LIBRARY = "msgspec"  # the smallest of those that the processors need


@pytest.fixture(autouse=True)
def _no_git_around(monkeypatch: pytest.MonkeyPatch) -> None:
    """Within a git hook, git would take its repository from the environment."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """What a version is made of, copied from the project, with one library."""
    made = tmp_path / "tree"
    ignored = shutil.ignore_patterns("__pycache__", "*.png")
    shutil.copytree(ROOT / "nifi_flows" / "users", made / "nifi_flows" / "users", ignore=ignored)
    shutil.copytree(ROOT / "nifi_processors", made / "nifi_processors", ignore=ignored)
    (made / "nifi_processors" / "requirements.txt").write_text(f"{LIBRARY}\n")
    shutil.copy(ROOT / "requirements.lock", made / "requirements.lock")
    return made


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store"


def _append(path: Path, text: str = "\n") -> None:
    path.write_text(path.read_text() + text)


def _flow(tree: Path) -> Path:
    return tree / "nifi_flows" / "users" / "flow.json"


def _change_code(tree: Path) -> None:
    _append(tree / "nifi_processors" / "lazy.py")


def _change_schema(tree: Path) -> None:
    _append(tree / "nifi_flows" / "users" / "user.avsc")


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# -- make and name ------------------------------------------------------------------------------------------------


def test_what_is_stored_is_what_the_tree_holds(tree: Path, store: Path) -> None:
    made = version.make(pipeline(tree), store)
    assert len(made.name) == len(made.code) == 12
    assert (made.folder / "flow.json").read_bytes() == _flow(tree).read_bytes()
    assert made.flow == json.loads(_flow(tree).read_text())
    assert made.schemas == {p.stem: p.read_text() for p in (tree / "nifi_flows" / "users").glob("*.avsc")}
    assert {"user", "dead_letter", "page_receipt"} == made.schemas.keys()
    assert (made.processors / "pull_run.py").is_file()
    assert (made.processors / "NAR-INF" / "bundled-dependencies" / LIBRARY).is_dir()
    assert version.changed_files(made) == []


def test_nothing_half_made_is_left(tree: Path, store: Path) -> None:
    made = version.make(pipeline(tree), store)
    assert sorted(store.iterdir()) == [store / "processors", store / "versions"]
    assert [*store.glob("*/*")] and {*store.glob("*/*")} == {made.folder, made.processors}


def test_it_is_named_without_being_stored(tree: Path, store: Path) -> None:
    name = version.name_of(pipeline(tree))
    assert not store.exists()
    assert version.make(pipeline(tree), store).name == name


def test_the_same_content_elsewhere_has_the_same_name(tree: Path, tmp_path: Path) -> None:
    other = shutil.copytree(tree, tmp_path / "elsewhere" / "tree")
    (other / "README.md").write_text("not part of it")
    assert version.name_of(pipeline(other)) == version.name_of(pipeline(tree))


def test_versions_that_differ_in_the_flow_alone_share_the_code(tree: Path, store: Path) -> None:
    first = version.make(pipeline(tree), store)
    _append(_flow(tree))
    second = version.make(pipeline(tree), store)
    assert (first.name == second.name, first.code == second.code) == (False, True)
    assert len([*store.glob("versions/*")]) == 2 and len([*store.glob("processors/*")]) == 1


@pytest.mark.parametrize("change", [_change_code, _change_schema])
def test_other_code_and_other_schemas_are_other_code(tree: Path, store: Path, change: Callable[[Path], None]) -> None:
    first = version.make(pipeline(tree), store)
    change(tree)
    second = version.make(pipeline(tree), store)
    assert first.name != second.name and first.code != second.code
    assert first.processors.is_dir() and second.processors.is_dir()


def test_what_is_stored_is_not_made_again(tree: Path, store: Path) -> None:
    made = version.make(pipeline(tree), store)
    before = made.processors.stat().st_ino, made.folder.stat().st_ino
    again = version.make(pipeline(tree), store)
    assert (again.processors.stat().st_ino, again.folder.stat().st_ino) == before


@pytest.mark.parametrize(
    "missing", ["nifi_flows/users/flow.json", "nifi_processors/requirements.txt", "requirements.lock"]
)
def test_a_tree_that_holds_no_version_is_told(tree: Path, store: Path, missing: str) -> None:
    (tree / missing).unlink()
    for asked in (lambda: version.make(pipeline(tree), store), lambda: version.name_of(pipeline(tree))):
        with pytest.raises(TerminalError, match=f"there is no {missing} in what shall be deployed"):
            asked()
    assert not store.exists()


def test_another_release_of_a_library_than_the_one_here_is_told(tree: Path, store: Path) -> None:
    (tree / "requirements.lock").write_text(f"{LIBRARY}==0.0.1\n")
    with pytest.raises(TerminalError, match=r"msgspec is .* here, but 0\.0\.1 in the lock") as told:
        version.make(pipeline(tree), store)
    assert told.value.remedy
    assert [*store.glob("*/*")] == []


# -- the processors' folder ---------------------------------------------------------------------------------------


def _edit(folder: Path) -> None:
    _append(folder / "pull_run.py", "# by hand\n")


def _add(folder: Path) -> None:
    (folder / "NAR-INF" / "new.py").write_text("")


def _remove(folder: Path) -> None:
    (folder / "publish_users.py").unlink()


@pytest.mark.parametrize(
    ("change", "told"), [(_edit, "pull_run.py"), (_add, "NAR-INF/new.py"), (_remove, "publish_users.py")]
)
def test_a_changed_folder_is_told_and_made_anew(
    tree: Path, store: Path, change: Callable[[Path], None], told: str
) -> None:
    made = version.make(pipeline(tree), store)
    before = _files(made.processors)
    change(made.processors)
    assert version.changed_files(made) == [told]
    version.make(pipeline(tree), store)
    assert _files(made.processors) == before
    assert [*store.glob("*/*")] and {*store.glob("*/*")} == {made.folder, made.processors}


def test_what_python_compiles_there_is_no_change(tree: Path, store: Path) -> None:
    made = version.make(pipeline(tree), store)
    (made.processors / "__pycache__").mkdir()
    (made.processors / "__pycache__" / "pull_run.cpython-311.pyc").write_bytes(b"\0")
    assert version.changed_files(made) == []


@pytest.mark.parametrize(
    "manifest",
    [
        None,
        "{",
        "{}",
        "[]",
    ],
)
def test_a_folder_without_a_manifest_of_ours_is_made_anew(tree: Path, store: Path, manifest: str | None) -> None:
    made = version.make(pipeline(tree), store)
    before = _files(made.processors)
    path = made.processors / "manifest.json"
    path.unlink() if manifest is None else path.write_text(manifest)
    assert version.changed_files(made)
    version.make(pipeline(tree), store)
    assert _files(made.processors) == before and version.changed_files(made) == []


def test_a_folder_that_is_gone_is_made_anew(tree: Path, store: Path) -> None:
    made = version.make(pipeline(tree), store)
    shutil.rmtree(made.processors)
    assert version.changed_files(made) == ["manifest.json"]
    version.make(pipeline(tree), store)
    assert version.changed_files(made) == []


# -- stored and prune ---------------------------------------------------------------------------------------------


def _put(store: Path, name: str, code: str) -> Version:
    made = Version(name, code, store)
    for folder in (made.folder, made.processors):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "file").write_text("")
    return made


def test_a_stored_version_comes_back(tree: Path, store: Path) -> None:
    made = version.make(pipeline(tree), store)
    again = version.stored(store, made.name, made.code)
    assert again == made and again.flow == made.flow


@pytest.mark.parametrize("gone", ["folder", "processors"])
def test_a_version_of_which_a_part_is_gone_is_told(store: Path, gone: str) -> None:
    made = _put(store, "v1", "c1")
    shutil.rmtree(getattr(made, gone))
    with pytest.raises(TerminalError, match="version v1 is no longer stored"):
        version.stored(store, "v1", "c1")


def test_prune_keeps_what_a_kept_version_needs(store: Path) -> None:
    kept, shared = _put(store, "v1", "c1"), _put(store, "v2", "c1")
    other, gone = _put(store, "v3", "c3"), _put(store, "v4", "c4")
    version.prune(store, iter([kept, other]))
    assert {*store.glob("*/*")} == {kept.folder, other.folder, kept.processors, other.processors}
    assert not gone.folder.exists() and not shared.folder.exists()


def test_prune_leaves_what_is_being_made(store: Path) -> None:
    _put(store, "v1", "c1")
    being_made = store / "processors" / ".made-x"
    being_made.mkdir()
    version.prune(store, [])
    assert [*store.glob("*/*")] == [being_made]


def test_there_is_nothing_to_prune_without_a_store(store: Path) -> None:
    version.prune(store, [])
    assert not store.exists()


# -- git ----------------------------------------------------------------------------------------------------------


def _git(repository: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=somebody", "-c", "user.email=somebody@example.org", "-c", "commit.gpgsign=false"]
    command = ["git", "-C", str(repository), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def _commit(repository: Path) -> str:
    _git(repository, "add", ".")
    _git(repository, "commit", "--allow-empty", "-m", "change")
    return _git(repository, "rev-parse", "HEAD")


@pytest.fixture
def repository(tree: Path) -> Path:
    _git(tree, "init", "--initial-branch", "main")
    (tree / "README.md").write_text("read me")
    _commit(tree)
    return tree


def test_a_revision_is_its_commit(repository: Path) -> None:
    first = _git(repository, "rev-parse", "HEAD")
    _git(repository, "tag", "-a", "-m", "first", "v1")
    second = _commit(repository)
    found = [version.commit(repository, name) for name in ("v1", "HEAD~1", first[:10], "main", "HEAD")]
    assert found == [first, first, first, second, second]


@pytest.mark.parametrize("revision", ["nowhere", "", "--all", "-h", "HEAD:README.md", "main README"])
def test_what_is_no_revision_is_told(repository: Path, revision: str) -> None:
    with pytest.raises(TerminalError, match="git has no revision"):
        version.commit(repository, revision)
    with pytest.raises(TerminalError, match="git has no revision"), version.at_revision(repository, revision):
        pytest.fail("there is no such tree")


def test_without_git_it_is_told(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(TerminalError, match="git cannot be run") as told:
        version.commit(repository, "HEAD")
    assert "working tree" in told.value.remedy
    assert version.source_of(repository, None) == ""


def test_an_old_version_is_made_from_its_commit(repository: Path, store: Path) -> None:
    old, flow = version.name_of(pipeline(repository)), _flow(repository).read_bytes()
    _append(_flow(repository))
    _change_code(repository)
    _commit(repository)
    new = version.name_of(pipeline(repository))
    with version.at_revision(repository, "HEAD~1") as tree:
        assert {path.name for path in tree.iterdir()} == {"nifi_flows", "nifi_processors", "requirements.lock"}
        made = version.make(pipeline(tree), store)
    assert not tree.exists()
    assert made.name == old != new
    assert (made.folder / "flow.json").read_bytes() == flow


def test_a_revision_is_taken_without_what_is_changed_in_the_working_tree(repository: Path) -> None:
    before = version.name_of(pipeline(repository))
    _append(_flow(repository))
    with version.at_revision(repository, "HEAD") as tree:
        assert version.name_of(pipeline(tree)) == before


def test_a_revision_from_before_there_was_a_flow_is_told(repository: Path) -> None:
    _git(repository, "rm", "-r", "-q", "nifi_processors")
    _commit(repository)
    with (
        pytest.raises(TerminalError, match="git cannot give the files of main"),
        version.at_revision(repository, "main"),
    ):
        pytest.fail("there is no such tree")


def test_the_source_is_the_commit_and_says_what_is_changed(repository: Path) -> None:
    head = _git(repository, "rev-parse", "HEAD")
    assert version.source_of(repository, None) == head
    (repository / "README.md").write_text("no part of a version")
    assert version.source_of(repository, None) == head
    (repository / "nifi_flows" / "users" / "new.avsc").write_text("{}")
    assert version.source_of(repository, None) == f"{head} and changes to it"
    assert version.source_of(repository, "HEAD") == head


def test_the_source_is_empty_where_there_is_no_repository(tmp_path: Path) -> None:
    assert version.source_of(tmp_path, None) == "" == version.source_of(tmp_path, "HEAD")
