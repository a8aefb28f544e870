"""NiFi's rules for a Python processor, read from its syntax as NiFi does: what breaks one is silent there.

Modelled on the behaviour of NiFi 2.3's ExtensionManager and ProcessorInspection.
"""

import ast
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from nifi_flows.inventory import FORBIDDEN, REQUIRED, Definition, Property

_PACKAGE = "org.apache.nifi.python.processor."
# Interface -> what it asks of its input, and the relationships that NiFi adds to the class's own.
_KINDS = {
    f"{_PACKAGE}FlowFileTransform": (REQUIRED, ("failure", "original")),
    f"{_PACKAGE}RecordTransform": (REQUIRED, ("failure", "original")),
    f"{_PACKAGE}FlowFileSource": (FORBIDDEN, ("success",)),
}
INTERFACES = set(_KINDS)
_DETAILS = {"version": str, "description": str, "tags": list}
_BUNDLED = Path("NAR-INF", "bundled-dependencies")


@dataclass(frozen=True)
class Discovered:
    """One processor class. file: its name. complaints: what NiFi would stumble over. version: "" where it is none."""

    file: str
    version: str
    complaints: tuple[str, ...]
    definition: Definition


def read(folder: Path) -> dict[str, Discovered]:
    """Class -> what its file says, of the files in a folder that NiFi loads, or that is made into one.

    A file without exactly one processor class is found under its own name.
    """
    importable = _importable(folder)
    found = {}
    for path in sorted(folder.glob("[!_]*.py")):
        try:
            tree = ast.parse(path.read_text(encoding="utf-8"))
        except (SyntaxError, ValueError) as error:
            found[path.name] = Discovered(path.name, "", (f"it is no Python: {error}",), Definition((), dynamic=True))
            continue
        classes = _classes(tree)
        name = classes[0].name if len(classes) == 1 else path.name
        complaints = tuple(_complaints(tree, importable))
        if len(classes) == 1:
            version = _values(_inner(classes[0], "ProcessorDetails")).get("version")
            shown = version if isinstance(version, str) else ""
            found[name] = Discovered(path.name, shown, complaints, _definition(classes[0]))
        else:
            found[name] = Discovered(path.name, "", complaints, Definition((), dynamic=True))
    return found


def _importable(folder: Path) -> set[str]:
    """Top-level modules that are there for the processors: those bundled, or in the sources the package around them."""
    bundled = folder / _BUNDLED
    if bundled.is_dir():
        return {path.name.partition(".")[0] for path in bundled.iterdir()}
    return {folder.parent.name}


def _definition(node: ast.ClassDef) -> Definition:
    told = [n.value for n in node.body if isinstance(n, ast.Assign) and _is_descriptor(n.value)]
    properties = tuple(_property(call) for call in told if isinstance(call, ast.Call))
    kinds = [_KINDS[name] for name in _interfaces(node) or [] if isinstance(name, str) and name in _KINDS]
    own = _relationships(node)
    return Definition(
        properties,
        dynamic=any(isinstance(n, ast.FunctionDef) and n.name == "getDynamicPropertyDescriptor" for n in node.body),
        relationships=(*own, *(name for _, added in kinds for name in added)) if own is not None and kinds else None,
        input=kinds[0][0] if kinds else None,
    )


def _property(call: ast.Call) -> Property:
    given = {key.arg: _literal(key.value) for key in call.keywords}
    allowed = given.get("allowable_values")
    default = given.get("default_value")
    return Property(
        names=(str(given.get("name")),),
        allowed=tuple(map(str, allowed)) if isinstance(allowed, list) else (),
        required=given.get("required") is True,
        default=None if default is None else str(default),
        conditional="dependencies" in given,
        service="controller_service_definition" in given,
    )


def _relationships(node: ast.ClassDef) -> tuple[str, ...] | None:
    """Names of the class's own relationships; None where they are not all literals."""
    defined = [n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == "getRelationships"]
    calls = [
        call
        for call in ast.walk(node)
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "Relationship"
    ]
    if not calls:  # NiFi's base class then brings success
        return None if defined else ("success",)
    names = [_literal(_name_argument(call)) for call in calls]
    return tuple(map(str, names)) if all(isinstance(name, str) for name in names) else None


def _name_argument(call: ast.Call) -> ast.expr:
    named: Sequence[ast.expr] = [key.value for key in call.keywords if key.arg == "name"]
    return next(iter((*call.args, *named)), ast.Constant(None))


def check_discovery(path: Path, importable: set[str]) -> list[str]:
    """What NiFi would stumble over in a processor's file; empty when it would load.

    importable: top-level modules that the bundle brings, besides the standard library and nifiapi.
    """
    return list(_complaints(ast.parse(path.read_text(encoding="utf-8")), importable))


def _complaints(tree: ast.Module, importable: set[str]) -> Iterator[str]:
    yield from _imports(tree, importable)
    classes = _classes(tree)
    if len(classes) == 1:
        yield from _class(classes[0])
    else:
        yield f"{len(classes)} processor classes; NiFi loads one a file"


def _classes(tree: ast.Module) -> list[ast.ClassDef]:
    return [node for node in tree.body if isinstance(node, ast.ClassDef) and _interfaces(node) is not None]


def _class(node: ast.ClassDef) -> list[str]:
    found = []
    if not set(_interfaces(node) or []) & INTERFACES:
        found.append(f"{node.name}.Java.implements names no processor interface as a literal list")
    details = _values(_inner(node, "ProcessorDetails"))
    for name, kind in _DETAILS.items():
        if not isinstance(details.get(name), kind):
            found.append(f"{node.name}.ProcessorDetails.{name} is not a literal {kind.__name__}")
    described = {}
    for statement in node.body:
        if isinstance(statement, ast.AnnAssign) and _is_descriptor(statement.value):
            found.append(f"{node.name}: an annotated PropertyDescriptor is not seen")
        if isinstance(statement, ast.Assign) and _is_descriptor(statement.value):
            assert isinstance(statement.value, ast.Call)
            given = {key.arg: _literal(key.value) for key in statement.value.keywords}
            described[str(ast.unparse(statement.targets[0]))] = given
            if statement.value.args:
                found.append(f"{node.name}: PropertyDescriptor needs keyword arguments")
            for name in ("name", "description"):
                if not isinstance(given.get(name), str):
                    found.append(f"{node.name}.{ast.unparse(statement.targets[0])}.{name} is not a literal text")
    for child in ast.walk(node):
        if isinstance(child, ast.FunctionDef) and any(_is_descriptor(part) for part in ast.walk(child)):
            found.append(f"{node.name}.{child.name} makes a PropertyDescriptor; it belongs into the class body")
    names = [given.get("name") for given in described.values()]
    if len(set(names)) != len(names):
        found.append(f"{node.name}: two properties of one name")
    constructor = next((n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"), None)
    if constructor is None or constructor.args.kwarg is None:
        found.append(f"{node.name}.__init__ does not take **kwargs; NiFi gives it jvm=")
    return found


def _imports(tree: ast.Module, importable: set[str]) -> list[str]:
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names.append("." if node.level else node.module or "")
    known = importable | set(sys.stdlib_module_names) | {"nifiapi"}
    return [f"import of {name}, which NiFi's process has not" for name in names if name.partition(".")[0] not in known]


def _inner(node: ast.ClassDef, name: str) -> ast.ClassDef | None:
    return next((child for child in node.body if isinstance(child, ast.ClassDef) and child.name == name), None)


def _interfaces(node: ast.ClassDef) -> list[object] | None:
    java = _inner(node, "Java")
    if java is None:
        return None
    value = _values(java).get("implements")
    return value if isinstance(value, list) else []


def _values(node: ast.ClassDef | None) -> dict[str, object]:
    """Plain assignments of literals; annotated ones are invisible to NiFi."""
    if node is None:
        return {}
    assigned = [child for child in node.body if isinstance(child, ast.Assign)]
    return {ast.unparse(child.targets[0]): _literal(child.value) for child in assigned}


def _literal(node: ast.expr) -> object:
    try:
        value: object = ast.literal_eval(node)
        return value
    except ValueError:
        return None


def _is_descriptor(node: ast.AST | None) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "PropertyDescriptor"
