"""Ask the engines of one stack for what the audit holds against each other."""

import time

from nifi_flows import connection
from nifi_flows.errors import TransientError
from nifi_flows.pipeline import USERS
from scripts.stack import audit as sums
from scripts.stack import credentials, hops
from scripts.stack.engines import cassandra
from scripts.stack.settings import Settings
from scripts.stack.stack import nifi_of
from scripts.stack.supervise import Supervisor

_SETTLE = 60  # seconds that records under way get to arrive


def collect(configured: Settings) -> sums.Audit:
    """Ask the engines of one stack. Raises TransientError when one does not answer or records stay under way."""
    Supervisor(configured).require()
    made = credentials.require(configured.secrets)
    with (
        connection.connected(nifi_of(configured, made)),
        cassandra.session(configured, made) as session,
    ):
        settle(configured)
        return sums.audit(
            hops.flow(USERS.name),
            hops.receipts(configured),
            hops.frames(configured),
            hops.dead_letters(configured),
            hops.row_keys(session),
        )


def settle(configured: Settings) -> None:
    """Wait until nothing is under way. Needs `connection.connected`; raises TransientError when something stays so."""
    deadline = time.monotonic() + _SETTLE
    while True:
        flow, lag = hops.flow(USERS.name), hops.lag(configured)
        if hops.at_rest(flow) and lag == 0:
            return
        if time.monotonic() > deadline:
            raise TransientError(
                f"records are still under way after {_SETTLE} s: {hops.describe(flow)}, {lag} frames not yet consumed",
                "wait for the run to end, then audit again; ./scripts/pipeline status shows what holds it up",
            )
        time.sleep(1)
