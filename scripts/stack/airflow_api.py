"""Airflow's REST API, as the administrator of this stack."""

from typing import Any
from urllib.parse import quote

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


def _call(settings: Settings, method: str, path: str, body: dict[str, Any], bearer: str = "") -> Any:
    headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
    try:
        response = requests.request(method, airflow.url(settings) + path, json=body, headers=headers, timeout=_PATIENCE)
        response.raise_for_status()
    except requests.RequestException as error:
        raise TransientError(
            f"Airflow does not answer {method} {path}: {error}", "see ./scripts/pipeline logs airflow-api"
        ) from error
    return response.json()
