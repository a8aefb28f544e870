"""Lint a flow definition: rules with a code and a reason, configured and excused in a file beside the flow."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from nifi_flows import definition as definitions
from nifi_flows.errors import TerminalError
from nifi_flows.inventory import Inventory
from nifi_flows.lint import config as configs
from nifi_flows.lint import identity, layout, parameters, python_processors, target, values, wiring
from nifi_flows.lint.config import Config
from nifi_flows.lint.finding import Finding, Severity
from nifi_flows.lint.rule import Rule, Violation
from nifi_flows.lint.subject import Subject

__all__ = ["RULES", "Config", "Finding", "Severity", "lint", "lint_file", "load_config"]


def _never(_: Subject) -> Iterator[Violation]:
    """What reading the file or the excuses finds, before or after the rules."""
    return iter(())


_UNREADABLE = Rule("NF001", "unreadable", "A definition that NiFi did not write is taken wrong, or not at all.", _never)
_STALE = Rule(
    "NF090", "stale-excuse", "An excuse for nothing hides what comes to stand there.", _never, Severity.warning
)
RULES = (
    _UNREADABLE,
    *identity.RULES,
    *wiring.RULES,
    *layout.RULES,
    *values.RULES,
    *parameters.RULES,
    *target.RULES,
    _STALE,
)


def lint(
    definition: Mapping[str, Any],
    config: Config,
    *,
    previous: Mapping[str, Any] | None = None,
    inventory: Inventory | None = None,
    processors: Path | None = None,
    environments_values: Mapping[str, str | None] | None = None,
) -> list[Finding]:
    """What the rules find in a flow definition, excuses taken off, by code and place.

    previous: the definition that runs now. inventory: of the NiFi that the flow shall run on. processors: folder of the
    Python processors' files. environments_values: those of an environment's parameters, None for one without. Rules
    that need what is not given do not run. A definition of another shape than NiFi's has findings of that alone.
    """
    if broken := list(definitions.malformed(definition)):
        return [_finding(_UNREADABLE, Violation(where, complaint, definitions.AGAIN)) for where, complaint in broken]
    read = python_processors.read(processors) if processors is not None else None
    subject = Subject(definition, config.options, previous, inventory, read, environments_values)
    rules = [rule for rule in RULES if rule.code not in config.off and rule.runs(subject)]
    found = [_finding(rule, violation) for rule in rules for violation in rule.check(subject)]
    kept = [finding for finding in found if not any(excuse.covers(finding) for excuse in config.excuses)]
    if _STALE in rules:
        kept += _stale(config, found, {rule.code for rule in rules})
    return sorted(kept, key=lambda finding: (finding.code, finding.where))


def lint_file(path: Path, config: Config, **given: Any) -> list[Finding]:
    """As `lint`, of a file; that it holds no flow definition is a finding. given: what `lint` takes by name."""
    try:
        definition = definitions.outline(definitions.text(path), str(path))
    except TerminalError as error:
        return [_finding(_UNREADABLE, Violation(path.name, str(error), error.remedy))]
    return lint(definition, config, **given)


def load_config(path: Path) -> Config:
    """Read a configuration. Raises TerminalError naming what is wrong in the file."""
    return configs.load(path, [rule.code for rule in RULES])


def _stale(config: Config, found: list[Finding], ran: set[str]) -> Iterator[Finding]:
    for excuse in config.excuses:
        if excuse.code in ran and not any(excuse.covers(finding) for finding in found):
            message = f"the excuse of {excuse.code} at {excuse.where!r} fits nothing"
            yield _finding(_STALE, Violation(config.where, message, "remove it, or correct where it counts"))


def _finding(rule: Rule, violation: Violation) -> Finding:
    return Finding(rule.code, rule.name, violation.where, violation.message, violation.remedy, rule.severity)
