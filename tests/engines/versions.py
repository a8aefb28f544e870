"""Versions of the pipeline to deploy: source trees that differ from this one in one thing."""

import json
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nifi_flows.host import Report
from nifi_flows.pipeline import USERS
from scripts.bootstrap import ROOT
from scripts.deployment.context import Context
from tests.engines.conftest import LocalStack

FLOW = USERS.flow_in_tree
_PROCESSOR = """
from nifiapi.flowfiletransform import FlowFileTransform, FlowFileTransformResult


class {name}(FlowFileTransform):
    class Java:
        implements = ["org.apache.nifi.python.processor.FlowFileTransform"]

    class ProcessorDetails:
        version = "0.1.0"
        description = "Of a test."
        tags = ["users"]

    def __init__(self, **kwargs):
        {init}

    def transform(self, context, flowFile):
        raise RuntimeError("this processor takes nothing")
"""


def context(stack: LocalStack, tree: Path = Path(ROOT), report: Report = print) -> Context:
    """To deploy a source tree on a stack."""
    return Context(stack.settings, USERS.within(tree), report)


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
    path = tree / "nifi_flows" / "users" / "dead_letter.avsc"
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
    _with_processor(tree, "NeverValid", 'raise RuntimeError("this processor never comes up")', "published")


def takes_nothing(tree: Path) -> None:
    """A new processor that is valid and runs, and fails with every FlowFile, before the publishing of users."""
    _with_processor(tree, "TakesNothing", "pass", "stamped")


def _with_processor(tree: Path, name: str, init: str, connection: str) -> None:
    """A new Python processor in a connection; what it fails with comes to it again."""
    path = tree / "nifi_processors" / "processors" / f"{name.lower()}.py"
    path.write_text(_PROCESSOR.format(name=name, init=init))

    def insert(contents: dict[str, Any]) -> None:
        before = _processor(contents, "Publish users")
        added = {
            **before,
            "identifier": str(uuid.uuid4()),
            "name": name,
            "type": name,
            "properties": {},
            "comments": "",
            "autoTerminatedRelationships": ["original"],
            "position": {"x": before["position"]["x"], "y": before["position"]["y"] + 400},
        }
        contents["processors"].append(added)
        cut = next(c for c in contents["connections"] if c["name"] == connection)
        end = {"groupId": added["groupIdentifier"], "id": added["identifier"], "name": name, "type": "PROCESSOR"}
        onward = {**cut, "source": end, "selectedRelationships": ["success"]}
        contents["connections"] += [
            {**onward, "identifier": str(uuid.uuid4()), "name": "onward"},
            {
                **onward,
                "identifier": str(uuid.uuid4()),
                "name": "failed",
                "selectedRelationships": ["failure"],
                "destination": end,
            },
        ]
        cut["destination"] = end

    with_flow(tree, insert)


def with_service(tree: Path) -> None:
    """A flow with a controller service."""

    def add(contents: dict[str, Any]) -> None:
        bundle = {
            "group": "org.apache.nifi",
            "artifact": "nifi-record-serialization-services-nar",
            "version": "2.3.0",
        }
        api = {**bundle, "artifact": "nifi-standard-services-api-nar"}
        service = {
            "identifier": str(uuid.uuid4()),
            "name": "Users as JSON",
            "type": "org.apache.nifi.json.JsonTreeReader",
            "bundle": bundle,
            "properties": {
                "Allow Comments": "false",
                "Max String Length": "20 MB",
                "schema-access-strategy": "infer-schema",
                "schema-application-strategy": "SELECTED_PART",
                "schema-name": "${schema.name}",
                "schema-text": "${avro.schema}",
                "starting-field-strategy": "ROOT_NODE",
            },
            "propertyDescriptors": {},
            "controllerServiceApis": [{"type": "org.apache.nifi.serialization.RecordReaderFactory", "bundle": api}],
            "scheduledState": "DISABLED",
            "bulletinLevel": "WARN",
            "comments": "",
            "componentType": "CONTROLLER_SERVICE",
            "groupIdentifier": contents["identifier"],
        }
        contents["controllerServices"].append(service)

    with_flow(tree, add)


def other_queue(tree: Path) -> None:
    """The same flow with another queue in the place of one, which has to run empty before it goes."""

    def exchange(contents: dict[str, Any]) -> None:
        queue = next(c for c in contents["connections"] if c["name"] == "published")
        queue["identifier"] = str(uuid.uuid4())

    with_flow(tree, exchange)


def with_parameter(tree: Path, name: str, sensitive: bool) -> None:
    """Another flow that declares a parameter more."""
    flow = json.loads((tree / FLOW).read_text())
    declared = flow["parameterContexts"]["users"]["parameters"]
    declared.append({**declared[0], "name": name, "description": "of a test", "sensitive": sensitive})
    (tree / FLOW).write_text(json.dumps(flow, indent=2))


def with_password(tree: Path) -> None:
    """Another flow that logs in at its source, with a password from a sensitive parameter."""
    with_parameter(tree, "source.token", sensitive=True)

    def log_in(contents: dict[str, Any]) -> None:
        group = next(g for g in contents["processGroups"] if g["name"] == "Fetch pages")
        login = {"Request Username": "pipeline", "Request Password": "#{source.token}"}
        _processor(group, "Fetch page")["properties"].update(login)

    with_flow(tree, log_in)


def with_flow(tree: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    flow = json.loads((tree / FLOW).read_text())
    change(flow["flowContents"])
    (tree / FLOW).write_text(json.dumps(flow, indent=2))


def _processor(contents: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(p for p in contents["processors"] if p["name"] == name)
    return found
