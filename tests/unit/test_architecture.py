"""The floors of ARCHITECTURE.md: nobody imports from above, and no two modules import each other."""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from scripts.bootstrap import ROOT

FLOORS = (
    {"nifi_processors", "spark_consumer"},
    {"nifi_flows"},
    {"scripts.source"},
    {"scripts.stack", "scripts.canvas"},
    {"scripts.observe"},
    {"scripts.audit", "scripts.deployment"},
    {"scripts.doctor", "scripts.bench"},
    {"scripts.monitor"},
    {"scripts.commands", "airflow.dags"},
)
BESIDE = {"scripts.bootstrap"}


def modules() -> dict[str, Path]:
    """Name of each module of the product -> its file."""
    found = {}
    for package in ("nifi_processors", "spark_consumer", "nifi_flows", "scripts", "airflow"):
        for path in Path(ROOT, package).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def imports(name: str, path: Path) -> Iterator[str]:
    """The modules of the product that a module imports, also inside of functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            asked = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            parents = [*name.split("."), *(["__init__"] if path.name == "__init__.py" else [])]
            base = ".".join(filter(None, [*(parents[: -node.level] if node.level else []), node.module]))
            asked = [f"{base}.{alias.name}" for alias in node.names]
        else:
            continue
        for full in asked:
            found = full if full in MODULES else full.rpartition(".")[0]
            if found in MODULES and found != name:
                yield found
            assert not full.startswith("tests."), f"{name} imports {full}"


GRAPH = {name: set(imports(name, path)) for name, path in MODULES.items()}


def floor(name: str) -> int | None:
    """From 0, the lowest; None for what is beside the floors."""
    for number, packages in enumerate(FLOORS):
        if any(name == package or name.startswith(f"{package}.") for package in packages):
            return number
    return None


def package(name: str) -> str:
    return next(one for packages in FLOORS for one in packages if name == one or name.startswith(f"{one}."))


def test_every_module_has_its_floor() -> None:
    without = {name for name in MODULES if floor(name) is None}
    assert without <= {*BESIDE, "scripts", "airflow.config.airflow_local_settings"}


@pytest.mark.parametrize("name", sorted(MODULES))
def test_nobody_imports_from_above(name: str) -> None:
    own = floor(name)
    for asked in GRAPH[name]:
        other = floor(asked)
        if own is not None and other is not None:
            assert other <= own, f"{name} imports {asked}, which is on a floor above it"


def test_the_data_path_imports_nothing_of_the_rest() -> None:
    for name, asked in GRAPH.items():
        if floor(name) == 0:
            assert all(package(other) == package(name) for other in asked if floor(other) is not None), name


def test_no_two_modules_import_each_other() -> None:
    try:
        tuple(TopologicalSorter(GRAPH).static_order())
    except CycleError as error:
        pytest.fail(" > ".join(error.args[1]))
