"""What Airflow's callbacks tell the webhook: an illness once, its end, what failed and what is late."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from nifi_flows.errors import PipelineError

# What is heavy or reads the environment is imported where it is used: each DAG imports this module.


def tell_illness(context: Mapping[str, Any]) -> None:
    """A task that failed tells so, unless it has been failing since an earlier run."""
    if not _failing_before(context):
        _send(f"{_name(context)} is ill", _words(context), _fields(context))


def tell_recovery(context: Mapping[str, Any]) -> None:
    """A task that did well tells so when it had failed before."""
    if _failing_before(context):
        _send(f"{_name(context)} is well again", "", _fields(context))


def tell_failure(context: Mapping[str, Any]) -> None:
    """A task that failed tells so, each time."""
    _send(f"{_name(context)} failed", _words(context), _fields(context))


def tell_redeployed(context: Mapping[str, Any]) -> None:
    """Tell what was deployed; of the task whose result says it."""
    done = context["ti"].xcom_pull(task_ids=context["ti"].task_id)
    figures = {"changes": len(done["changes"]), "flow stopped": f"{done['stopped']:.1f} s"}
    _send(f"{context['ti'].dag_id}: {done['version']} runs", done["why"], {**figures, **_fields(context)})


async def tell_late(minutes: int, context: Mapping[str, Any]) -> None:
    """A run that is not done `minutes` after it was queued; in the triggerer, so also when no task gets to run."""
    run = context["dag_run"]
    ended, due = run["end_date"], context["deadline"]["deadline_time"]
    # Airflow forgets the deadline of a run that went well, not that of one that failed in time.
    if ended is not None and _moment(ended) <= _moment(due):
        return
    text = f"not done {minutes} minutes after it was queued, state: {run['state']}"
    await asyncio.to_thread(_send, f"{run['dag_id']} is late", text, {"run": run["dag_run_id"]})


def _failing_before(context: Mapping[str, Any]) -> bool:
    """Whether this task's last verdict of its own, in an earlier run, was a failure.

    Runs that were cut short in between count for nothing: the task did not get to say anything.
    """
    task = context["ti"]
    before = context.get("logical_date") or datetime.now(UTC)
    failed, well = (task.get_previous_ti(state=state, logical_date=before) for state in ("failed", "success"))
    return failed is not None and (well is None or failed.logical_date > well.logical_date)


def _moment(value: datetime | str) -> datetime:
    return value if isinstance(value, datetime) else datetime.fromisoformat(value)


def _words(context: Mapping[str, Any]) -> str:
    error = context.get("exception")
    remedy = f"; next: {error.remedy}" if isinstance(error, PipelineError) and error.remedy else ""
    return f"{error or 'Airflow lost the task, as when it is killed; its log may say more'}{remedy}"


def _name(context: Mapping[str, Any]) -> str:
    return f"{context['ti'].dag_id}: {context['ti'].task_id}"


def _fields(context: Mapping[str, Any]) -> dict[str, Any]:
    return {"run": context["ti"].run_id, "log": context["ti"].log_url}


def _send(title: str, text: str, fields: dict[str, Any]) -> None:
    from scripts.monitor import alerts
    from scripts.stack import configuration

    try:
        alerts.send(configuration.load(), title, text, fields)
    except PipelineError as error:  # the monitor's next run shows it
        print(f"the alert was not delivered: {error}")
