"""Airflow's REST API, as the administrator of this stack."""

import shutil
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlencode

import requests

from nifi_flows.errors import TransientError
from scripts.stack import credentials
from scripts.stack.engines import airflow
from scripts.stack.settings import Settings

_NOTE = 1000  # characters that Airflow takes
_PATIENCE = 10  # seconds


def token(settings: Settings) -> str:
    """A bearer token, good for a day. Raises TransientError when Airflow does not give one."""
    made = credentials.load(settings.secrets)
    password = made.airflow_password if made else ""
    body = {"username": airflow.USER, "password": password}
    return str(_call(settings, "POST", "/auth/token", body)["access_token"])


def annotate(settings: Settings, dag: str, run: str, note: str) -> None:
    """Put a note on a DAG's run, cut to what Airflow takes. Raises TransientError when Airflow does not take it."""
    text = note if len(note) <= _NOTE else note[: _NOTE - 1] + "…"
    _call(settings, "PATCH", f"/api/v2/dags/{dag}/dagRuns/{quote(run, safe='')}", {"note": text}, token(settings))


def forget(settings: Settings, dag: str, before: datetime) -> int:
    """Delete the five oldest of a DAG's ended runs from before a moment, with their logs; returns how many there were.

    before: with a time zone. Raises TransientError when Airflow does not answer.
    """
    bearer, runs = token(settings), f"/api/v2/dags/{dag}/dagRuns"
    asked = {"run_after_lt": before.isoformat(), "state": ["success", "failed"], "order_by": "run_after", "limit": 5}
    found = _call(settings, "GET", f"{runs}?{urlencode(asked, doseq=True)}", None, bearer)["dag_runs"]
    for run in found:
        _call(settings, "DELETE", f"{runs}/{quote(run['dag_run_id'], safe='')}", None, bearer)
        shutil.rmtree(airflow.logs(settings) / f"dag_id={dag}" / f"run_id={run['dag_run_id']}", ignore_errors=True)
    return len(found)


def _call(settings: Settings, method: str, path: str, body: dict[str, Any] | None, bearer: str = "") -> Any:
    headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
    try:
        response = requests.request(method, airflow.url(settings) + path, json=body, headers=headers, timeout=_PATIENCE)
        response.raise_for_status()
    except requests.RequestException as error:
        raise TransientError(
            f"Airflow does not answer {method} {path}: {error}", "see ./scripts/pipeline logs airflow-api"
        ) from error
    return response.json() if response.content else None
