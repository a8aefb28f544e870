"""monitor_pipeline: every minute, what of the pipeline is ill, and since when.

One task reads everything, since starting up costs more than a check. A task an area then shows its verdict: red is ill,
green is well or a first strike, skipped is unknown. None of them waits for another one, so the run is red when any is.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import Asset, AsyncCallback, DeadlineAlert, DeadlineReference, dag, task
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from scripts.monitor import callbacks
from scripts.monitor.areas import AREAS

PIPELINE_HEALTH = Asset("pipeline_health")
PIPELINE_ILL = Asset("pipeline_ill")
_KEPT = timedelta(days=1)  # of runs: a day of them is some 160 MB of logs and database


@task(execution_timeout=timedelta(minutes=2))
def look() -> dict[str, Any]:
    """Read and judge everything. record: what was seen; decision: whether to redeploy, why, and which revision."""
    from dataclasses import asdict

    from nifi_flows.errors import PipelineError
    from nifi_flows.pipeline import USERS
    from scripts.deployment.context import Context
    from scripts.monitor import guard, monitor
    from scripts.stack import configuration

    configured = configuration.load()
    try:
        record = monitor.look(configured, USERS).as_json()
    except PipelineError as error:
        raise AirflowFailException(f"{error}; next: {error.remedy}") from error
    try:
        decision = asdict(guard.decide(Context(configured, USERS), record))
    except PipelineError as error:
        decision = {"go": False, "why": f"undecided: {error}", "revision": None, "save": False}
    print(f"{record['verdict']}; redeploy: {'yes' if decision['go'] else 'no'}, {decision['why']}")
    return {"record": record, "decision": decision}


@task
def show(area: str, seen: dict[str, Any]) -> None:
    """Print one area's verdict and figures; fails in its words when it is ill, is skipped when nothing is known."""
    check = seen["record"]["checks"][area]
    says = "; ".join(check["says"]) or "nothing to say"
    print(f"{check['verdict']} since {check['since']}, strikes: {check['strikes']}")
    print(says)
    for name, figure in check["figures"].items():
        print(f"  {name}: {figure}")
    if check["verdict"] == "ill":
        raise AirflowFailException(f"ill since {check['since']}: {says}")
    if check["verdict"] == "unknown":
        raise AirflowSkipException(says)


@task(outlets=[PIPELINE_HEALTH], trigger_rule="all_done")
def report(seen: dict[str, Any] | None, run_id: str | None = None, outlet_events: Any = None) -> None:
    """Print the report, put it on the run as a note and emit it as an asset event; then tidy up.

    That is: send what could not be delivered before, and forget what is of days gone by.
    """
    from nifi_flows.errors import PipelineError
    from scripts.monitor import alerts
    from scripts.monitor.report import brief, markdown
    from scripts.stack import airflow_api, airflow_database, configuration

    if seen is None:
        record: dict[str, Any] = {"verdict": "unknown", "checks": {}}
        note = "The monitor could not look; the log of look says why."
        print(note)
    else:
        record, decision = seen["record"], seen["decision"]
        said = f"redeploy: {'yes' if decision['go'] else 'no'}, {decision['why']}"
        verdict, _, rest = brief(record).partition("\n")
        note = f"{verdict}; {said}\n{rest}"  # the UI shows its first line, and Airflow cuts off its end
        print(f"{markdown(record)}\n{said}")
    outlet_events[PIPELINE_HEALTH].extra = record
    configured = configuration.load()
    for step in (
        lambda: airflow_api.annotate(configured, "monitor_pipeline", str(run_id), note),
        lambda: alerts.catch_up(configured),
        lambda: airflow_api.forget(configured, "monitor_pipeline", datetime.now(UTC) - _KEPT),
        lambda: airflow_database.forget(configured),
    ):
        try:
            step()
        except PipelineError as error:  # the log and the event have the report; the rest can wait
            print(error)


# It is skipped whenever all is well, so doing its work is no recovery.
@task(outlets=[PIPELINE_ILL], on_failure_callback=callbacks.tell_failure, on_success_callback=None)
def redeploy(seen: dict[str, Any], outlet_events: Any = None) -> None:
    """Ask for a redeploy, or to save an edit, by an asset event; skipped, with the reason, when there is no need."""
    decision = seen["decision"]
    if not (decision["go"] or decision["save"]):
        raise AirflowSkipException(decision["why"])
    print(decision["why"])
    outlet_events[PIPELINE_ILL].extra = {**decision, "record": seen["record"]}


@dag(
    schedule="* * * * *",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(minutes=4),
    deadline=DeadlineAlert(
        reference=DeadlineReference.DAGRUN_QUEUED_AT,
        interval=timedelta(minutes=2),
        callback=AsyncCallback(callbacks.tell_late, {"minutes": 2}),
    ),
    default_args={
        "retries": 0,
        "on_failure_callback": callbacks.tell_illness,
        "on_success_callback": callbacks.tell_recovery,
    },
    tags=["monitoring"],
    doc_md=__doc__,
)
def monitor_pipeline() -> None:
    seen = look()
    for area in AREAS:
        show.override(task_id=area)(area, seen)
    report(seen)
    redeploy(seen)


monitor_pipeline()
