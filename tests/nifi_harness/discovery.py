"""NiFi's rules for a Python processor, read from its syntax as NiFi does: what breaks one is silent there.

Modelled on the behaviour of NiFi 2.3's ExtensionManager and ProcessorInspection.
"""

import ast
import sys
from pathlib import Path

INTERFACES = {
    f"org.apache.nifi.python.processor.{name}" for name in ("FlowFileTransform", "RecordTransform", "FlowFileSource")
}
_DETAILS = {"version": str, "description": str, "tags": list}


def check_discovery(path: Path, importable: set[str]) -> list[str]:
    """What NiFi would stumble over in a processor's file; empty when it would load.

    importable: top-level modules that the bundle brings, besides the standard library and nifiapi.
    """
    tree = ast.parse(path.read_text())
    found = [*_imports(tree, importable)]
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef) and _interfaces(node) is not None]
    if len(classes) != 1:
        return [*found, f"{len(classes)} processor classes; NiFi loads one a file"]
    return [*found, *_class(classes[0])]


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
