"""`test`: what is handed to pytest, and how its result is told."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import scripts.commands.test as all_tests
from scripts.bootstrap import ROOT
from scripts.stack import install
from scripts.stack.layout import Installed
from tests import conftest
from tests.unit.commands.command_line import Pipeline


@pytest.fixture
def pytest_runs(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Instead of pytest: `called` gets the arguments of each run, `seeds` its hash seed, `codes` says how it ends."""
    runs: dict[str, Any] = {"called": [], "seeds": [], "codes": [0, 0, 0]}

    def run(command: list[str], env: dict[str, str], **options: Any) -> SimpleNamespace:
        assert command[1:3] == ["-m", "pytest"]
        runs["called"].append(command[3:])
        runs["seeds"].append(env["PYTHONHASHSEED"])
        return SimpleNamespace(returncode=runs["codes"].pop(0))

    installed = Installed(Path("/installed"))
    monkeypatch.setattr(install, "ensure", lambda cache, maven: installed)
    monkeypatch.setattr(all_tests, "subprocess", SimpleNamespace(run=run))
    return runs


def test_all_tests_run_those_without_engines_first(pipeline: Pipeline, pytest_runs: dict[str, Any]) -> None:
    assert pipeline("test").code == 0
    assert pytest_runs["called"] == [
        ["tests/unit", "--cov", "--numprocesses=logical", "--maxprocesses=4"],
        ["tests/engines", "tests/faults", "--ignore=tests/faults/kills", "--exitfirst"],
        ["tests/faults/kills"],
    ]


def test_a_test_has_the_marker_of_its_folder(request: pytest.FixtureRequest) -> None:
    assert [marker.name for marker in request.node.iter_markers()] == ["unit"]


def test_long_tests_run_only_when_they_are_asked_for(pytestconfig: pytest.Config) -> None:
    addopts = " ".join(pytestconfig.getini("addopts"))
    assert "not long" in addopts
    added: dict[str, list[str]] = {"quick": [], "long": []}

    def item(name: str) -> Any:
        marked = (lambda marker: marker) if name == "long" else (lambda marker: None)
        path = Path(ROOT, "tests", "faults", "test_it.py")
        return SimpleNamespace(path=path, get_closest_marker=marked, add_marker=added[name].append)

    conftest.pytest_collection_modifyitems([item("quick"), item("long")])
    assert added == {"quick": ["faults"], "long": []}


@pytest.mark.parametrize("given", [None, "", "random"])
def test_each_run_has_a_hash_seed_of_its_own_and_says_how_to_repeat_it(
    pipeline: Pipeline, pytest_runs: dict[str, Any], monkeypatch: pytest.MonkeyPatch, given: str | None
) -> None:
    monkeypatch.delenv("PYTHONHASHSEED", raising=False)
    if given is not None:
        monkeypatch.setenv("PYTHONHASHSEED", given)
    shown = pipeline("test")
    seed, *same = pytest_runs["seeds"]
    assert same == [seed, seed]
    assert 0 <= int(seed) < 2**32
    assert f"PYTHONHASHSEED={seed} pytest tests/unit --cov --numprocesses=logical" in shown.err
    pytest_runs["codes"] = [0]
    pipeline("test", "tests/unit")
    assert pytest_runs["seeds"][3] != seed


def test_a_hash_seed_that_is_given_is_taken(
    pipeline: Pipeline, pytest_runs: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONHASHSEED", "7")
    assert "PYTHONHASHSEED=7 pytest tests/unit -x\n" in pipeline("test", "tests/unit", "-x").err
    assert pytest_runs["seeds"] == ["7"]


@pytest.mark.parametrize(("codes", "code", "runs"), [([1, 0], 1, 1), ([0, 5], 5, 2)])
def test_tests_that_fail_are_a_failure(
    pipeline: Pipeline, pytest_runs: dict[str, Any], codes: list[int], code: int, runs: int
) -> None:
    pytest_runs["codes"] = codes
    assert pipeline("test").code == code
    assert len(pytest_runs["called"]) == runs


def test_arguments_are_for_pytest(pipeline: Pipeline, pytest_runs: dict[str, Any]) -> None:
    assert pipeline("test", "tests/unit", "-k", "name", "--maxfail=1").code == 0
    assert pytest_runs["called"] == [["tests/unit", "-k", "name", "--maxfail=1"]]
