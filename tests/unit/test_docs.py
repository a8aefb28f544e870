"""The documents say what is so: their commands parse, their settings are the settings, their links lead somewhere."""

import re
import runpy
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.main import get_command

from scripts.bootstrap import ROOT
from scripts.stack import configuration

_FOLDERS = ("nifi_flows", "airflow", "scripts", "tests")
DOCUMENTS = sorted([*Path(ROOT).glob("*.md"), *(path for f in _FOLDERS for path in Path(ROOT, f).rglob("*.md"))])

# What each script hands to the command line before its own arguments.
SCRIPTS = {"./scripts/pipeline": [], "./scripts/run": ["run"], "./scripts/test": ["test"]}

_COMMAND = r"(?:[A-Z_]+=\S* )*(?:\./scripts/|\.venv/bin/|git )"
_FENCE = re.compile(r"^ *```.*?\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`([^`\n]+)`")


def _name(document: Path) -> str:
    return str(document.relative_to(ROOT))


def _prose(text: str) -> str:
    return _FENCE.sub("", text)


def commands(text: str) -> list[str]:
    """The commands of a document, as its reader would type them: in its fences a line, in its prose a `span`."""
    lines = [line for fence in _FENCE.findall(text) for line in map(str.strip, fence.splitlines())]
    return [line for line in [*lines, *_SPAN.findall(_prose(text))] if re.match(_COMMAND, line)]


COMMANDS = [
    pytest.param(command, id=f"{_name(document)}: {command}")
    for document in DOCUMENTS
    for command in dict.fromkeys(commands(document.read_text()))
]


@pytest.fixture(scope="module")
def pipeline() -> Any:
    """The command line's parser, caught when it would have begun to run."""
    caught: list[typer.Typer] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["pipeline"])
        patch.setattr(typer.Typer, "__call__", lambda app, **_: caught.append(app))
        patch.setattr("signal.signal", lambda *_: None)
        with pytest.raises(SystemExit):
            runpy.run_module("scripts.commands", run_name="__main__")
    (app,) = caught
    return get_command(app)


def parse(command: Any, name: str, arguments: list[str], parent: Any = None) -> None:
    """Parse as the command line does, without running anything; raises what it raises for what is wrong."""
    try:
        context = command.make_context(name, list(arguments), parent=parent)
    except typer.Exit:  # as --help ends
        return
    left = [*context._protected_args, *context.args]
    if hasattr(command, "resolve_command") and left:  # without more, a document names a group of commands
        chosen, inner, rest = command.resolve_command(context, left)
        parse(inner, chosen, rest, context)


def check_pytest(arguments: list[str], config: pytest.Config) -> None:
    """Options that pytest knows, files and tests that are there, markers that are registered."""
    known, unknown = config._parser.parse_known_and_unknown_args(arguments)
    assert not unknown, f"pytest has no {unknown}"
    for place in known.file_or_dir:
        path, _, test = place.partition("::")
        assert Path(ROOT, path).exists(), path
        assert not test or f"def {test.partition('[')[0]}(" in Path(ROOT, path).read_text(), test
    markers = {line.partition(":")[0] for line in config.getini("markers")}
    assert set(re.findall(r"\w+", known.markexpr)) - {"not", "and", "or"} <= markers, known.markexpr


def check(command: str, pipeline: Any, config: pytest.Config) -> None:
    words = shlex.split(command, comments=True)
    while re.match("[A-Z_]+=", words[0]):
        words.pop(0)
    program, *arguments = words
    if program == "git":
        return
    assert (
        Path(sys.prefix, "bin", Path(program).name) if program.startswith(".venv") else Path(ROOT, program)
    ).exists()
    if program in SCRIPTS:
        parse(pipeline, "pipeline", [*SCRIPTS[program], *arguments])
    if program == "./scripts/test" or program.endswith("/pytest"):
        check_pytest(arguments, config)
    for word in arguments:
        if re.match(r"(scripts|tests|nifi_flows|nifi_processors|spark_consumer|airflow)/", word):
            assert Path(ROOT, word.partition("::")[0]).exists(), word


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_documents_is_one(command: str, pipeline: Any, pytestconfig: pytest.Config) -> None:
    check(command, pipeline, pytestconfig)


@pytest.mark.parametrize(
    "command",
    [
        "./scripts/nonesuch",
        "./scripts/pipeline nonesuch",
        "./scripts/pipeline logs",
        "./scripts/pipeline status --output yaml",
        "./scripts/run --pagesize 5",
        "./scripts/run --page-size 5001  # too many",
        "./scripts/pipeline cqlsh -f scripts/nonesuch.cql",
        "./scripts/test tests/unit/test_nonesuch.py",
        "./scripts/test tests/unit/test_docs.py::test_nonesuch",
        "./scripts/test --nonesuch",
        "./scripts/test -m nonesuch",
        "A=1 .venv/bin/nonesuch",
    ],
)
def test_a_command_that_is_none_is_found(command: str, pipeline: Any, pytestconfig: pytest.Config) -> None:
    assert commands(f"```\n{command}\n```\n") == [command]
    with pytest.raises((AssertionError, typer.TyperException)):
        check(command, pipeline, pytestconfig)


def test_commands_are_found_in_fences_and_in_prose() -> None:
    fenced = "```\n$ no\n./scripts/test  # all\n rows: 7\n```\n1. So:\n\n   ```\n   git diff\n   ```"
    text = f"Run `./scripts/run` or `README.md`.\n\n{fenced}\n`git clone x`\n"
    assert commands(text) == ["./scripts/test  # all", "git diff", "./scripts/run", "git clone x"]


def _documented_settings() -> Iterator[tuple[str, str]]:
    """(variable, default) from the table of the README; a row may hold several of each."""
    for names, defaults in re.findall(
        r"^\| (`PIPELINE_.*?) \|.*\| (.*?) \|$", Path(ROOT, "README.md").read_text(), re.M
    ):
        variables, values = _SPAN.findall(names), defaults.split(", ")
        yield from zip(variables, values, strict=True)


def test_the_settings_are_those_of_the_readme(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PIPELINE_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    defaults = configuration.read({}).variables
    defaults["PIPELINE_HOME"] = f"`{Path(defaults['PIPELINE_HOME']).relative_to(ROOT)}` in the clone"
    defaults["PIPELINE_CACHE"] = f"`~/{Path(defaults['PIPELINE_CACHE']).relative_to(Path.home())}`"
    if "//repo.maven.apache.org/" in defaults["PIPELINE_MAVEN"]:
        defaults["PIPELINE_MAVEN"] = "Maven Central"
    assert dict(_documented_settings()) == defaults


@pytest.mark.parametrize("document", DOCUMENTS, ids=_name)
def test_what_a_document_points_to_is_there(document: Path) -> None:
    prose = _prose(document.read_text())
    for link in re.findall(r"\]\((?!https?://|#)([^)#\s]+)", prose):
        assert (document.parent / link).exists(), link
    for span in _SPAN.findall(prose):
        if re.fullmatch(r"(scripts|tests|nifi_flows|nifi_processors|spark_consumer|airflow)/[\w./*-]*", span):
            assert list(Path(ROOT).glob(span.rstrip("/"))), span


def test_tests_of_any_folder_can_be_asked_for_by_their_marker() -> None:
    """pytest takes two files of one name for one module where their folders are no packages, and reads neither."""
    tests = Path(ROOT, "tests").rglob("test_*.py")
    names = [path.name for path in tests if not path.with_name("__init__.py").exists()]
    assert len(names) == len(set(names))
