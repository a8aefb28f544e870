"""redeploy_flows: bring what runs back to what git says, saving first what somebody changed by hand.

Started by an event of pipeline_ill, which the monitor emits for an illness that a redeploy heals, for a change by hand
that is to be saved and for a new version in git; or by hand. A flow that somebody holds is left alone in either case.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import Asset, AsyncCallback, DeadlineAlert, DeadlineReference, Param, dag, task
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from scripts.monitor import callbacks

PIPELINE_ILL = Asset("pipeline_ill")


@task
def decide(
    params: dict[str, Any] | None = None, triggering_asset_events: Any = None, run_id: str | None = None
) -> dict[str, Any]:
    """What to deploy and why; skips the rest when nothing shall be done, and puts the reason on the run as a note.

    By hand, whether the environment heals by itself does not matter; a hold always does.
    """
    from dataclasses import asdict

    from nifi_flows.errors import PipelineError
    from nifi_flows.pipeline import USERS
    from scripts.deployment import state
    from scripts.deployment.context import Context
    from scripts.monitor import guard
    from scripts.stack import airflow_api, configuration

    configured = configuration.load()
    events = triggering_asset_events[PIPELINE_ILL] if triggering_asset_events else []
    context = Context(configured, USERS)
    hold, by = state.held(context), guard.ACTOR if events else "somebody in Airflow"
    if hold is not None:
        decision = guard.Decision(go=False, why=str(hold))
    elif events:
        decision = guard.decide(context, events[-1].extra["record"])
    else:
        assert params is not None
        decision = guard.Decision(
            go=True, why=f"by hand: {params['reason'] or 'no reason given'}", revision=params["revision"] or None
        )
    try:
        airflow_api.annotate(configured, "redeploy_flows", str(run_id), decision.why)
    except PipelineError as error:  # the log has it
        print(f"no note on the run: {error}")
    if not (decision.go or decision.save):
        raise AirflowSkipException(decision.why)
    print(f"deploy: {(decision.revision or 'what was deployed, as it was') if decision.go else 'no'}; {decision.why}")
    return {**asdict(decision), "by": by}


@task
def save_edit(decided: dict[str, Any]) -> None:
    """Save what was changed by hand as an export and a diff, and tell it, before anything replaces it."""
    from nifi_flows.errors import PipelineError, TransientError
    from nifi_flows.pipeline import USERS
    from scripts.deployment import edits
    from scripts.deployment.context import Context
    from scripts.monitor import alerts
    from scripts.stack import configuration

    configured = configuration.load()
    try:
        folder = edits.save_edit(Context(configured, USERS))
    except TransientError as error:  # such as a NiFi that a deploy left stopped; the next one starts it, and saves then
        if not decided["go"]:
            raise
        print(f"the deploy saves what was changed by hand, if anything was: {error}")
        return
    if folder is None:
        print("nothing was changed by hand")
        return
    print(f"saved in {folder}\n\n{(folder / 'diff.md').read_text()}")
    try:
        alerts.send(
            configured,
            f"The flow was changed by hand; it is {'about to be' if decided['go'] else 'not'} redeployed",
            (folder / "diff.md").read_text(),
            {"saved in": str(folder), "redeployed because" if decided["go"] else "not because": decided["why"]},
        )
    except PipelineError as error:  # seen by the monitor; what was saved is safe
        print(f"the alert was not delivered: {error}")


@task(execution_timeout=timedelta(minutes=15))
def deploy(decided: dict[str, Any]) -> dict[str, Any]:
    """Through the one deploy engine: the revision, or without one what was deployed, as it was.

    What may pass by itself is tried again when the monitor still asks for it, as often as the guard allows.
    """
    import os
    from dataclasses import asdict

    from nifi_flows.errors import PipelineError
    from nifi_flows.pipeline import USERS
    from scripts.deployment import service
    from scripts.deployment.context import Context
    from scripts.stack import configuration

    if not decided["go"]:
        raise AirflowSkipException(decided["why"])
    context, revision = Context(configuration.load(), USERS, print), decided["revision"]
    os.environ["PIPELINE_ACTOR"] = decided["by"]  # this process is the task's own
    try:
        done = service.redeploy(context) if revision is None else service.deploy(context, revision=revision)
    except PipelineError as error:
        raise AirflowFailException(f"{error}; next: {error.remedy}") from error
    for change in done.changes:
        print(f"  {change}")
    print(f"version {done.version} runs after {done.seconds:.1f} s; the flow stood still for {done.stopped:.1f} s")
    return asdict(done)


@task(on_success_callback=callbacks.tell_redeployed)
def verify(decided: dict[str, Any], deployed: dict[str, Any]) -> dict[str, Any]:
    """Fail unless what runs is what was deployed."""
    from nifi_flows.pipeline import USERS
    from scripts.deployment import state
    from scripts.deployment.context import Context
    from scripts.stack import configuration

    drift = state.drift(Context(configuration.load(), USERS))
    if drift:
        raise AirflowFailException(f"version {deployed['version']} runs, but: {'; '.join(drift)}")
    return {**deployed, "why": decided["why"]}


@dag(
    schedule=[PIPELINE_ILL],
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(minutes=20),
    deadline=DeadlineAlert(
        reference=DeadlineReference.DAGRUN_QUEUED_AT,
        interval=timedelta(minutes=5),
        callback=AsyncCallback(callbacks.tell_late, {"minutes": 5}),
    ),
    default_args={"retries": 0, "on_failure_callback": callbacks.tell_failure},
    params={
        "revision": Param(None, type=["null", "string"], description="git revision; empty for what was deployed"),
        "reason": Param("", type="string", description="shown in the log and in alerts"),
    },
    tags=["deploying"],
    doc_md=__doc__,
)
def redeploy_flows() -> None:
    decided = decide()
    deployed = deploy(decided)
    save_edit(decided) >> deployed >> verify(decided, deployed)


redeploy_flows()
