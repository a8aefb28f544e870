"""What the monitor looks at: each file here is an area, found by being here. Each DAG file imports all of them."""

from collections.abc import Iterable
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from scripts.monitor.area import Area

AnyArea = Area[Any, Any, Any]


def ordered(areas: dict[str, AnyArea]) -> dict[str, AnyArea]:
    """Name -> area, in the order that they declare. Raises ValueError for one that is after none of those before it."""
    found: dict[str, AnyArea] = {}
    for name, area in sorted(areas.items(), key=lambda item: (item[1].order, item[0])):
        if area.after is not None and area.after not in found:
            raise ValueError(f"area {name} is after {area.after}, which is no area of a lower order")
        found[name] = area
    return found


def discovered(path: Iterable[str], package: str) -> dict[str, AnyArea]:
    """Name -> area of the modules of a package that is at this path."""
    names = [module.name for module in iter_modules(path)]
    return ordered({name: import_module(f"{package}.{name}").AREA for name in names})


AREAS = discovered(__path__, __name__)


def chains() -> list[list[str]]:
    """The areas to read one after the other: those that are after another, directly or not, in its chain."""
    of: dict[str, list[str]] = {}
    for name, area in AREAS.items():
        chain = of[area.after] if area.after is not None else []
        chain.append(name)
        of[name] = chain
    return [chain for name, chain in of.items() if chain[0] == name]
