"""One deploy at a time, and none without a trace."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from nifi_flows import hold
from nifi_flows.deploy import may_pass
from nifi_flows.errors import PipelineError
from nifi_flows.lease import Lease, LeaseLost, hold_lease
from scripts.deployment.checks import refuse_held
from scripts.deployment.context import Context


@dataclass
class Attempt:
    """One deploy, redeploy or rollback, alone. version: the name of what it brings, as soon as that is known."""

    what: str
    lease: Lease
    version: str = "none"


@contextmanager
def attempt(context: Context, what: str) -> Iterator[Attempt]:
    """Nobody else holds the flow, and nobody else deploys it. Raises Held, or TransientError when somebody deploys.

    What fails is noted, also what was refused before anything was begun: a guard has to know what was tried.
    """
    refuse_held(context)
    with hold_lease(context.lease, hold.whoever(), what) as lease:
        if lease.took_over:
            context.report(f"took the lock over from {lease.took_over}")
        under_way, ledger = Attempt(what, lease), context.ledger
        before = ledger.history()
        try:
            yield under_way
        except LeaseLost:
            raise
        except PipelineError as error:
            if ledger.history() == before:
                ledger.note_failed(what, hold.whoever(), under_way.version, str(error), passing=may_pass(error))
            raise
