"""Sensitive parameters without their values: whether one has changed, and what it was before."""

import hashlib
import hmac
import json
from collections.abc import Mapping

from nifi_flows.desired_state import DesiredState
from nifi_flows.files import write_private
from nifi_flows.ledger import Deployed, State
from scripts.deployment.context import Context
from scripts.stack import credentials
from scripts.stack.settings import Settings


def sealed(settings: Settings, secret: Mapping[str, str]) -> dict[str, str]:
    """What tells whether a sensitive value is another one, and nothing of the value."""
    key = credentials.require(settings.secrets).nifi_sensitive_key.encode()
    return {
        name: hmac.new(key, f"{name}={value}".encode(), hashlib.sha256).hexdigest() for name, value in secret.items()
    }


def renewed(state: State, record: Deployed) -> list[str]:
    """The sensitive parameters whose values are not known to be those that NiFi has."""
    if state.unfinished is not None:  # which of them NiFi has is not known then
        return list(record.sealed)
    before = state.deployed.sealed if state.deployed else {}
    return [name for name, seal in record.sealed.items() if before.get(name) != seal]


def keep(context: Context, desired: DesiredState) -> dict[str, str]:
    """The sensitive parameters of what is deployed, for the way back to it; those of the desired are kept beside them.

    NiFi gives none of them back, and where they come from may have others by now. What no version that is kept needs
    any more is dropped.
    """
    known = _kept(context)
    state = context.ledger.state()
    entries = [entry for entry in (state.deployed, state.previous, state.unfinished) if entry is not None]
    seals = {seal for entry in entries for seal in entry.sealed.values()}
    kept = {seal: value for seal, value in known.items() if seal in seals}
    kept |= {seal: desired.values[name] for name, seal in desired.record.sealed.items()}
    if kept != known:
        write_private(context.deployed_parameters, json.dumps(kept))
    before = state.deployed.sealed if state.deployed else {}
    return {name: kept[seal] for name, seal in before.items() if seal in kept}


def _kept(context: Context) -> dict[str, str]:
    """Seal -> value; {} when nothing was kept, or nothing that can be read."""
    try:
        told = json.loads(context.deployed_parameters.read_text(encoding="utf-8"))
        return {str(seal): str(value) for seal, value in told.items()}
    except (OSError, ValueError, AttributeError):
        return {}
