"""What shall run: a version with the values of its parameters, out of a source tree or out of the ledger."""

from collections.abc import Mapping
from dataclasses import replace

from nifi_flows import environments, hold, lint, version
from nifi_flows.definition import parameters
from nifi_flows.desired_state import DesiredState
from nifi_flows.errors import TerminalError
from nifi_flows.ledger import Deployed, now
from nifi_flows.pipeline import Pipeline
from nifi_flows.version import Version
from scripts.deployment import seals, state
from scripts.deployment.checks import refuse_findings
from scripts.deployment.context import Context
from scripts.stack.engines import kafka, registry, source

_VERSION = "flow.version"  # the parameter that names the version on the canvas and in every row


def from_files(
    context: Context, files: Pipeline, candidate: Version, overrides: Mapping[str, str | None], commit: str
) -> DesiredState:
    """A version with its environment's values, after lint. Raises TerminalError before anything is touched.

    files: the pipeline as the source tree declares it that the candidate was made of. overrides: see `service.deploy`.
    commit: what is deployed, for people.
    """
    refuse_findings(lint.lint(candidate.flow, lint.load_config(files.lint), processors=candidate.processors))
    declared = parameters(candidate.flow)
    given = _given(context, declared, overrides)
    environment = environments.resolve(
        environments.load(files.environments),
        context.settings.environment,
        _places(context),
        declared,
        given=(_VERSION, *given),
        secrets=context.parameters,
    )
    values = {**environment.values, **given, _VERSION: candidate.name}
    secret = {name: value for name, value in values.items() if declared[name].get("sensitive")}
    record = Deployed(
        version=candidate.name,
        code=candidate.code,
        environment=context.settings.environment,
        values={name: value for name, value in values.items() if name not in secret},
        overrides=given,
        sealed=seals.sealed(context.settings, secret),
        source=commit,
        commit=_head(context.pipeline),
        by=hold.whoever(),
        at=now(),
    )
    return DesiredState(candidate, values, record, seals.renewed(context.ledger.state(), record))


def from_ledger(context: Context, entry: Deployed, stored: Version, overrides: Mapping[str, str]) -> DesiredState:
    """What an entry of the ledger says, with these overrides. Raises TerminalError when a sensitive value is missing.

    stored: its version. overrides: those for parameters that the version does not declare are left out.
    """
    declared = parameters(stored.flow)
    secret = environments.sensitive_values(declared, context.parameters)
    given = {name: value for name, value in overrides.items() if name in declared}
    values = {**entry.values, **given}
    record = replace(
        entry,
        values=values,
        overrides=given,
        sealed=seals.sealed(context.settings, secret),
        by=hold.whoever(),
        at=now(),
    )
    return DesiredState(stored, {**values, **secret}, record, seals.renewed(context.ledger.state(), record))


def _given(
    context: Context, declared: Mapping[str, Mapping[str, object]], overrides: Mapping[str, str | None]
) -> dict[str, str]:
    """The values that were given by hand, by now or before."""
    known = state.deployed(context)
    merged = {**(known.overrides if known else {}), **overrides}
    given = {name: value for name, value in merged.items() if value is not None}
    unknown = sorted(set(given) - set(declared))
    if unknown:
        raise TerminalError(f"the flow has no parameter {', '.join(unknown)}", f"it has {', '.join(sorted(declared))}")
    if hidden := sorted(name for name in given if declared[name].get("sensitive")):
        raise TerminalError(
            f"{', '.join(hidden)} is sensitive, and not to be given by hand",
            f"set {environments.variable(hidden[0])}, or {context.parameters}",
        )
    return given


def _places(context: Context) -> dict[str, str]:
    """What {name} in a value of an environment stands for."""
    settings, pipeline = context.settings, context.pipeline
    return {
        "kafka": kafka.address(settings),
        "registry": registry.address(settings),
        "source": source.address(settings),
        "topic": pipeline.topic,
        "dead_letters": pipeline.dead_letters,
    }


def _head(pipeline: Pipeline) -> str | None:
    try:
        return version.commit(pipeline.tree, "HEAD")
    except TerminalError:
        return None
