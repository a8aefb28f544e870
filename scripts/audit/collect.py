"""Read from the engines of one stack what the audit holds against each other."""

import time

from nifi_flows.connection import NiFi
from nifi_flows.errors import TransientError
from nifi_flows.pipeline import Pipeline
from scripts.audit.judge import Audit, audit
from scripts.observe import consumer, pull_run, records, rows
from scripts.stack import credentials
from scripts.stack.engines import cassandra
from scripts.stack.settings import Settings
from scripts.stack.stack import nifi_of
from scripts.stack.supervise import Supervisor

_SETTLE = 60  # seconds that records under way get to arrive


def collect(settings: Settings, pipeline: Pipeline) -> Audit:
    """Audit the pipeline. Raises TransientError when an engine does not answer or records stay under way."""
    Supervisor(settings).require()
    login = credentials.require(settings.secrets)
    nifi = nifi_of(settings, login)
    with cassandra.session(settings, login) as session:
        settle(settings, nifi, pipeline)
        return audit(
            pull_run.read(nifi, pipeline),
            records.receipts(settings, pipeline),
            records.frames(settings, pipeline),
            records.dead_letters(settings, pipeline),
            rows.keys(session, pipeline),
        )


def settle(settings: Settings, nifi: NiFi, pipeline: Pipeline) -> None:
    """Wait until nothing is under way. Raises TransientError when something stays so, or an engine does not answer."""
    deadline = time.monotonic() + _SETTLE
    while True:
        run, lag = pull_run.read(nifi, pipeline), consumer.unfinished(settings, pipeline)
        if pull_run.at_rest(run) and lag == 0:
            return
        if time.monotonic() > deadline:
            state = f"{pull_run.describe(run)}, {lag} frames not yet consumed"
            raise TransientError(
                f"records are still under way after {_SETTLE} s: {state}",
                "wait for the run to end, then audit again; ./scripts/pipeline status shows what holds it up",
            )
        time.sleep(1)
