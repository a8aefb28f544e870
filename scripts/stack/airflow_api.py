"""Airflow's REST API, as the administrator of this stack."""

import shutil
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlencode

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from nifi_flows.errors import TransientError
from scripts.stack import credentials
from scripts.stack.engines import airflow
from scripts.stack.settings import Settings

_NOTE = 1000  # characters that Airflow takes
_PATIENCE = 10  # seconds
_AGAIN = Retry(
    total=2, connect=0, read=0, status_forcelist=[500], allowed_methods=None, backoff_factor=1, raise_on_status=False
)


def token(settings: Settings) -> str:
    """A bearer token, good for a day. Raises TransientError when Airflow does not give one."""
    login = credentials.load(settings.secrets)
    password = login.airflow_password if login else ""
    body = {"username": airflow.USER, "password": password}
    return str(call(settings, "POST", "/auth/token", body)["access_token"])


def annotate(settings: Settings, dag: str, run: str, note: str) -> None:
    """Put a note on a DAG's run, cut to what Airflow takes. Raises TransientError when Airflow does not take it."""
    text = note if len(note) <= _NOTE else note[: _NOTE - 1] + "…"
    call(settings, "PATCH", f"/api/v2/dags/{dag}/dagRuns/{quote(run, safe='')}", {"note": text}, token(settings))


def forget(settings: Settings, dag: str, before: datetime) -> int:
    """Delete the five oldest of a DAG's ended runs from before a moment, with their logs; returns how many there were.

    before: with a time zone. Raises TransientError when Airflow does not answer.
    """
    bearer, runs = token(settings), f"/api/v2/dags/{dag}/dagRuns"
    asked = {"run_after_lt": before.isoformat(), "state": ["success", "failed"], "order_by": "run_after", "limit": 5}
    found = call(settings, "GET", f"{runs}?{urlencode(asked, doseq=True)}", None, bearer)["dag_runs"]
    for run in found:
        call(settings, "DELETE", f"{runs}/{quote(run['dag_run_id'], safe='')}", None, bearer)
        shutil.rmtree(airflow.logs(settings) / f"dag_id={dag}" / f"run_id={run['dag_run_id']}", ignore_errors=True)
    return len(found)


def call(settings: Settings, method: str, path: str, body: dict[str, Any] | None, bearer: str = "") -> Any:
    """Ask Airflow for a path on its server; returns the JSON of the answer, None when there is none.

    Asks up to three times where Airflow has an error of its own: it writes down who asks before it does anything, and
    gives that up when the database is taken. Raises TransientError when Airflow does not answer, or refuses.
    """
    headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
    try:
        with requests.Session() as session:
            session.mount("http://", HTTPAdapter(max_retries=_AGAIN))
            response = session.request(
                method, airflow.url(settings) + path, json=body, headers=headers, timeout=_PATIENCE
            )
        response.raise_for_status()
    except requests.RequestException as error:
        raise TransientError(
            f"Airflow does not answer {method} {path}: {error}", "see ./scripts/pipeline logs airflow-api"
        ) from error
    return response.json() if response.content else None
