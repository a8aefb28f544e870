"""What keeps a flow from being deployed: somebody holds it, it is lost on the canvas, or lint finds errors."""

from collections.abc import Iterable

from nifi_flows import canonical, canvas, hold, inventory, lint
from nifi_flows.diff import compare
from nifi_flows.errors import TerminalError
from nifi_flows.hold import Held
from nifi_flows.version import Version
from scripts.deployment import local_nifi, state
from scripts.deployment.context import Context


def refuse_held(context: Context) -> None:
    """Raises Held when somebody else holds the flow."""
    holder = state.held(context)
    if holder is not None and holder.who != hold.whoever():
        raise Held(str(holder), "ask them, or end it: ./scripts/pipeline flow release")


def refuse_lost(context: Context) -> None:
    """A group that somebody renamed or moved is still there, with its queues: importing would make a second one.

    Raises TerminalError.
    """
    known, wanted = state.deployed(context), context.pipeline.name
    if known is None or not known.group:
        return
    with local_nifi.of(context).connected():
        if canvas.find_group(wanted) is None and (name := canvas.name_of(known.group)) is not None:
            raise TerminalError(
                f"the flow's process group is called {name!r} now, or is in another group",
                f"call it {wanted!r} again, on the outermost canvas, or delete it",
            )


def refuse_unfit(context: Context, candidate: Version) -> None:
    """Lint a flow that differs from the canvas against what is on it, and against what this NiFi offers.

    Raises TerminalError for an error that is found.
    """
    with local_nifi.of(context).connected():
        group = canvas.find_group(context.pipeline.name)
        previous = canvas.export(group) if group else None
        if previous and compare(canonical.structure(previous), canonical.structure(candidate.flow)).empty:
            return
        offered = inventory.read(candidate.flow)
    config = lint.load_config(context.pipeline.lint)
    found = lint.lint(candidate.flow, config, previous=previous, inventory=offered, processors=candidate.processors)
    refuse_findings(found)


def refuse_findings(findings: Iterable[lint.Finding]) -> None:
    """Raises TerminalError naming the first error that lint has found, if any."""
    errors = [finding for finding in findings if finding.severity is lint.Severity.error]
    if errors:
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        raise TerminalError(f"lint refuses the flow: {errors[0]}{more}", errors[0].remedy)
