"""What a command line calls a flow: a file, a revision of a real git repository, or what is on the canvas."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from nifi_flows import revisions
from nifi_flows.errors import TerminalError
from nifi_flows.pipeline import USERS


def _flow(name: str) -> dict[str, Any]:
    return {"flowContents": {"identifier": "root", "name": name}}


def _no_canvas() -> dict[str, Any]:
    raise AssertionError("NiFi was asked")


def _read(reference: str, repository: Path) -> str:
    return str(revisions.read(reference, USERS.within(repository), _no_canvas)["flowContents"]["name"])


def _git(repository: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=somebody", "-c", "user.email=somebody@example.org", "-c", "commit.gpgsign=false"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", "-C", str(repository), *identity, *arguments]
    subprocess.run(command, check=True, capture_output=True, env=environment)


@pytest.fixture(scope="module")
def committed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two commits of the flow, first and second; a third version is in the working tree."""
    made = tmp_path_factory.mktemp("repository")
    flow = made / USERS.flow_in_tree
    flow.parent.mkdir(parents=True)
    _git(made, "init", "--initial-branch", "main")
    for name in ("first", "second"):
        flow.write_text(json.dumps(_flow(name)))
        (made / "other.json").write_text(json.dumps(_flow(f"other {name}")))
        (made / "broken.json").write_text("{}")
        (made / "latin.json").write_bytes("{'ä'}".encode("latin-1"))
        _git(made, "add", ".")
        _git(made, "commit", "-m", name)
    _git(made, "tag", "-a", "-m", "first", "v1", "HEAD~1")
    flow.write_text(json.dumps(_flow("third")))
    return made


@pytest.fixture
def repository(committed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The repository, seen from an empty folder elsewhere."""
    for name in list(os.environ):
        if name.startswith("GIT_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return committed


@pytest.mark.parametrize(
    ("reference", "name"),
    [
        ("HEAD", "second"),
        ("main", "second"),
        ("HEAD~1", "first"),
        ("v1", "first"),
        ("v1:other.json", "other first"),
        ("HEAD:nifi_flows/users/flow.json", "second"),
    ],
)
def test_a_revision_is_read_from_git(repository: Path, reference: str, name: str) -> None:
    assert _read(reference, repository) == name


def test_a_file_goes_before_a_revision_of_that_name(repository: Path) -> None:
    Path("main").write_text(json.dumps(_flow("a file")))
    assert _read("main", repository) == "a file"
    assert _read(str(repository / USERS.flow_in_tree), repository) == "third"


def test_a_folder_is_no_file_and_may_be_a_revision(repository: Path) -> None:
    Path("main").mkdir()
    assert _read("main", repository) == "second"


def test_nifi_is_what_is_on_the_canvas(repository: Path) -> None:
    Path("nifi").write_text(json.dumps(_flow("a file")))
    assert revisions.read("nifi", USERS.within(repository), lambda: _flow("canvas")) == _flow("canvas")
    assert _read("./nifi", repository) == "a file"


@pytest.mark.parametrize(
    "reference",
    [
        "nowhere",
        "nowhere.json",
        "HEAD~9",
        "HEAD..main",
        "",
        ":other.json",
        "--help",
        "-p:other.json",
        "a" * 5000,
    ],
)
def test_neither_file_nor_revision_says_both_readings(repository: Path, reference: str) -> None:
    with pytest.raises(TerminalError, match="is no file, and as a revision it cannot be read") as raised:
        _read(reference, repository)
    assert "\n" not in str(raised.value)
    assert "HEAD" in raised.value.remedy


def test_an_option_of_git_is_no_way_to_write_a_file(repository: Path) -> None:
    with pytest.raises(TerminalError):
        _read("--output=written", repository)
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize("reference", ["HEAD:nowhere.json", "HEAD:nifi_flows", "HEAD:", "HEAD:../../etc/passwd"])
def test_a_file_that_is_not_in_the_revision_is_named(repository: Path, reference: str) -> None:
    with pytest.raises(TerminalError, match=f"there is no file {reference[5:]} in revision HEAD"):
        _read(reference, repository)


@pytest.mark.parametrize("path", ["broken.json", "latin.json"])
def test_what_is_no_flow_definition_is_refused_with_its_place(repository: Path, path: str) -> None:
    for reference, place in ((f"HEAD:{path}", f"{path} at HEAD"), (str(repository / path), path)):
        with pytest.raises(TerminalError, match=place):
            _read(reference, repository)


def test_without_a_repository_it_says_so(repository: Path, tmp_path: Path) -> None:
    with pytest.raises(TerminalError, match=f"{tmp_path} is no git repository"):
        _read("HEAD", tmp_path)


def test_without_git_it_says_so(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(TerminalError, match="git cannot be run"):
        _read("HEAD", repository)
