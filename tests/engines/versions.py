"""Versions of the pipeline to deploy: source trees that differ from this one in one thing."""

import json
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from scripts.bootstrap import ROOT

FLOW = Path("nifi_flows", "users", "flow.json")
_NEVER = """
class NeverValid(FlowFileTransform):
    class Java:
        implements = ["org.apache.nifi.python.processor.FlowFileTransform"]

    class ProcessorDetails:
        version = "0.1.0"
        description = "Cannot be loaded."
        tags = ["users"]

    def __init__(self, **kwargs):
        raise RuntimeError("this processor never comes up")

    def transform(self, context, flowFile):
        return FlowFileTransformResult("success")
"""


def tree(folder: Path, *changes: Callable[[Path], None]) -> Path:
    """A source tree in `folder`, as this one with the changes made to it."""
    for name in ("nifi_flows", "nifi_processors"):
        shutil.copytree(Path(ROOT, name), folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(Path(ROOT, "requirements.lock"), folder)
    for change in changes:
        change(folder)
    return folder


def other_comment(tree: Path) -> None:
    """Another flow with the same processors."""
    with_flow(tree, lambda contents: _processor(contents, "Publish users").update(comments=f"{uuid.uuid4()}"))


def other_code(tree: Path) -> None:
    """The same flow with other processors."""
    module = tree / "nifi_processors" / "validate.py"
    module.write_text(f"{module.read_text()}\n# {uuid.uuid4()}\n")


def optional_field(tree: Path) -> None:
    """Another schema, backward compatible."""
    _optional_field(tree / "nifi_flows" / "users" / "dead_letter.avsc")


def unwritten_field(tree: Path) -> None:
    """Another schema, backward compatible, whose field the processors never give: they fail with each page."""
    _optional_field(tree / "nifi_flows" / "users" / "page_receipt.avsc")


def _optional_field(path: Path) -> None:
    schema = json.loads(path.read_text())
    schema["fields"].append({"name": f"note_{uuid.uuid4().hex[:8]}", "type": ["null", "string"], "default": None})
    path.write_text(json.dumps(schema, indent=2))


def required_field(tree: Path) -> None:
    """Another schema, not backward compatible."""
    path = tree / "nifi_flows" / "users" / "user.avsc"
    schema = json.loads(path.read_text())
    schema["fields"].append({"name": "shoe_size", "type": "int"})
    path.write_text(json.dumps(schema, indent=2))


def never_valid(tree: Path) -> None:
    """A new processor that cannot be loaded, between the publishing of users and the routing of the rest."""
    text = "from nifiapi.flowfiletransform import FlowFileTransform, FlowFileTransformResult\n\n" + _NEVER
    (tree / "nifi_processors" / "processors" / "never_valid.py").write_text(text)

    def insert(contents: dict[str, Any]) -> None:
        before = _processor(contents, "Publish users")
        added = {
            **before,
            "identifier": str(uuid.uuid4()),
            "name": "Never valid",
            "type": "NeverValid",
            "properties": {},
            "comments": "",
            "autoTerminatedRelationships": ["original"],
            "position": {"x": before["position"]["x"], "y": before["position"]["y"] + 400},
        }
        contents["processors"].append(added)
        published = next(c for c in contents["connections"] if c["name"] == "published")
        end = {"groupId": added["groupIdentifier"], "id": added["identifier"], "type": "PROCESSOR"}
        onward = {**published, "identifier": str(uuid.uuid4()), "name": "onward", "source": end}
        published["destination"] = end
        again = {**onward, "identifier": str(uuid.uuid4()), "name": "failed", "selectedRelationships": ["failure"]}
        contents["connections"] += [onward, {**again, "destination": end}]

    with_flow(tree, insert)


def without_dead_letters(tree: Path) -> None:
    """A flow in which the path of the invalid users is cut: two of its queues go."""

    def cut(contents: dict[str, Any]) -> None:
        gone = _processor(contents, "Any invalid?")["identifier"]
        contents["connections"] = [c for c in contents["connections"] if c["source"]["id"] != gone]
        route = _processor(contents, "Any invalid?")
        route["autoTerminatedRelationships"] = [*route["autoTerminatedRelationships"], "invalid"]

    with_flow(tree, cut)


def with_parameter(tree: Path, name: str, sensitive: bool) -> None:
    """Another flow that declares a parameter more."""
    flow = json.loads((tree / FLOW).read_text())
    declared = flow["parameterContexts"]["users"]["parameters"]
    declared.append({**declared[0], "name": name, "description": "of a test", "sensitive": sensitive})
    (tree / FLOW).write_text(json.dumps(flow, indent=2))


def with_flow(tree: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    flow = json.loads((tree / FLOW).read_text())
    change(flow["flowContents"])
    (tree / FLOW).write_text(json.dumps(flow, indent=2))


def _processor(contents: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(p for p in contents["processors"] if p["name"] == name)
    return found
