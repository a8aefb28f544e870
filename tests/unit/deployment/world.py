"""A source tree in git, a stack's home and a NiFi in memory: all that the deploy service works on."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from nifi_flows import version
from nifi_flows.ledger import Event, State
from nifi_flows.pipeline import Pipeline
from scripts.bootstrap import ROOT
from scripts.deployment.context import Context
from tests.unit.flows.fake_nifi import Canvas, Host, Steps
from tests.unit.flows.small_flows import FlowDefinition, flow

_ENVIRONMENTS = """
[local]
heal = true
[local.parameters]
"rate" = "1"
"topic" = "{topic}"
"""
_DECLARED = ("flow.version", "rate", "topic")


def small(*connections: str, parameters: Iterable[str] = (), secret: str = "") -> FlowDefinition:
    """A flow that declares what a deploy gives a value. parameters: more of them. secret: a sensitive one."""
    declared = [*_DECLARED, *parameters, *([secret] if secret else [])]
    made = flow(*(connections or ("Pull success Check", "Check valid Publish")), parameters=declared)
    for parameter in made["parameterContexts"]["users"]["parameters"]:
        parameter["sensitive"] = parameter["name"] == secret
    return made


def git(repository: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=somebody", "-c", "user.email=somebody@example.org", "-c", "commit.gpgsign=false"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", "-C", str(repository), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout.strip()


class SharedHost(Host):
    """May be connected to more than once, as when a deploy asks whether it may go on."""

    @contextmanager
    def connected(self) -> Iterator[None]:
        yield


@dataclass(frozen=True)
class World:
    """context: to deploy the source tree with. said: what was reported."""

    context: Context
    canvas: Canvas
    host: Host
    step: Steps
    said: list[str]

    @property
    def pipeline(self) -> Pipeline:
        return self.context.pipeline

    @property
    def state(self) -> State:
        return self.context.ledger.state()

    @property
    def history(self) -> list[Event]:
        return self.context.ledger.history()

    @property
    def name(self) -> str:
        """The version that the source tree holds."""
        return version.name_of(self.pipeline)

    def edit_flow(self, definition: FlowDefinition) -> None:
        """Another flow in the source tree."""
        self.pipeline.flow.write_text(json.dumps(definition))

    def edit_code(self) -> None:
        """Other processors in the source tree."""
        module = self.pipeline.tree / "nifi_processors" / "lazy.py"
        module.write_text(module.read_text() + "\n")

    def environment(self, **parameters: str) -> None:
        """More values in the source tree's environment."""
        lines = "".join(f'"{name}" = "{value}"\n' for name, value in parameters.items())
        self.pipeline.environments.write_text(_ENVIRONMENTS + lines)

    def secrets(self, **values: str) -> None:
        """The values of sensitive parameters that somebody gives."""
        self.context.parameters.write_text("".join(f'"{name}" = "{value}"\n' for name, value in values.items()))
        self.context.parameters.chmod(0o600)

    def kept_secrets(self) -> set[str]:
        """The values of sensitive parameters that were kept."""
        path = self.context.deployed_parameters
        return set(json.loads(path.read_text()).values()) if path.exists() else set()

    def commit(self) -> str:
        tree = self.pipeline.tree
        git(tree, "add", ".")
        git(tree, "commit", "--allow-empty", "-m", "change")
        return git(tree, "rev-parse", "HEAD")

    def by_hand(self, definition: FlowDefinition) -> None:
        """Somebody edits the canvas."""
        self.canvas.flow = definition

    def runs(self, name: str, values: Mapping[str, str] | None = None) -> bool:
        """Whether a version runs, as far as canvas, processors and ledger say, with these of its parameters' values."""
        deployed = self.state.deployed
        return (
            deployed is not None
            and deployed.version == name == self.canvas.values["flow.version"]
            and self.host.code == deployed.code
            and self.canvas.running == self.canvas.all()
            and self.state.unfinished is None
            and self.canvas.values.items() >= (values or {}).items()
        )


def plant(tree: Path, pipeline: Pipeline) -> Pipeline:
    """A source tree with a small flow, the project's processors and schemas, and one library; committed to git."""
    made = pipeline.within(tree)
    ignored = shutil.ignore_patterns("__pycache__", "*.png")
    shutil.copytree(pipeline.folder, made.folder, ignore=ignored)
    shutil.copytree(Path(ROOT, "nifi_processors"), tree / "nifi_processors", ignore=ignored)
    shutil.copy(Path(ROOT, "requirements.lock"), tree)
    (tree / "nifi_processors" / "requirements.txt").write_text("msgspec\n")
    made.flow.write_text(json.dumps(small()))
    made.environments.write_text(_ENVIRONMENTS)
    made.lint.write_text('off = ["NF011"]\n')  # the small flows have no limits of queues
    git(tree, "init", "--initial-branch", "main")
    return made


def elsewhere(world: World, tree: Path) -> Context:
    """The same stack, deployed to from another folder."""
    return replace(world.context, pipeline=world.pipeline.within(tree))
