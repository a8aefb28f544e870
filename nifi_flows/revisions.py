"""A flow definition by what a command line calls it: a file, a revision in git, or what is on the canvas."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nifi_flows import definition, version
from nifi_flows.errors import TerminalError
from nifi_flows.pipeline import Pipeline

CANVAS = "nifi"


def read(reference: str, pipeline: Pipeline, canvas: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Read the flow definition that a reference names.

    reference: `nifi`; else a file; else a git revision of the pipeline's tree such as HEAD~1, of which the pipeline's
    own flow is meant, or REV:PATH for another file in it, from the root of the repository. canvas: gives the definition
    that is on NiFi's canvas. Raises TerminalError when the reference names nothing, or nothing that is a flow
    definition.
    """
    if reference == CANVAS:
        return canvas()
    if _is_file(Path(reference)):
        return definition.load(Path(reference))
    revision, colon, path = reference.partition(":")
    where = path if colon else pipeline.flow_in_tree
    return definition.parse(_at(pipeline, reference, revision, where), f"{where} at {revision}")


def _is_file(path: Path) -> bool:
    """Also a pipe, as a shell makes one of <(command)."""
    try:
        return path.exists() and not path.is_dir()
    except OSError:  # a name that is too long for a file
        return False


def _at(pipeline: Pipeline, reference: str, revision: str, path: str) -> str:
    """The text of a file in a revision."""
    repository = pipeline.tree
    try:
        commit = version.commit(repository, revision)
    except TerminalError as error:
        why = error if (repository / ".git").exists() else f"{repository} is no git repository"
        raise TerminalError(
            f"{reference!r} is no file, and as a revision it cannot be read: {why}",
            f"name a file, a git revision such as HEAD or HEAD~1:{pipeline.flow_in_tree}, "
            f"or {CANVAS} for what is on the canvas",
        ) from error
    shown = subprocess.run(
        ["git", "-C", str(repository), "cat-file", "blob", f"{commit}:{path}"], capture_output=True, check=False
    )
    if shown.returncode:
        raise TerminalError(
            f"there is no file {path} in revision {revision}",
            f"git ls-tree -r --name-only {revision} lists what there is",
        )
    try:
        return shown.stdout.decode()
    except UnicodeDecodeError as error:
        raise TerminalError(
            f"{path} at {revision} is no flow definition: {error}", "name a flow definition, a JSON file"
        ) from error
