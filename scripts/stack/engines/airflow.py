"""Airflow, which monitors the pipeline and redeploys its flow: UI and API, scheduler, DAG processor, triggerer."""

from __future__ import annotations

import base64
import configparser
import datetime
import hashlib
import hmac
import io
import json
import os
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from nifi_flows.errors import TransientError
from scripts.bootstrap import ROOT
from scripts.stack.credentials import Credentials
from scripts.stack.engine import Configuration, Engine, Launch, Local
from scripts.stack.http import get_json
from scripts.stack.layout import Artifacts
from scripts.stack.settings import LOOPBACK, Port, Settings

NAME = "airflow"
PORT = Port("airflow", 8084, "Airflow API and UI")
PORTS = (PORT,)
ARTIFACTS: tuple[Artifacts, ...] = ()  # it is a Python package of requirements.lock

USER = "admin"
_FOLDER = Path(ROOT) / "airflow"
_PATIENCE = 240  # seconds; the first start makes the database before it

# engine's name -> (title, Airflow's subcommand, its name in the health report)
COMPONENTS = {
    "airflow-api": ("Airflow", ["api-server"], "metadatabase"),
    "airflow-scheduler": ("Airflow scheduler", ["scheduler", "--skip-serve-logs"], "scheduler"),
    "airflow-dag-processor": ("Airflow DAG processor", ["dag-processor"], "dag_processor"),
    "airflow-triggerer": ("Airflow triggerer", ["triggerer", "--skip-serve-logs"], "triggerer"),
}


def url(settings: Settings) -> str:
    """The UI, and the root of the REST API."""
    return f"http://{LOOPBACK}:{settings.port(PORT)}"


def passwords(settings: Settings) -> Path:
    """The file that Airflow compares passwords with: user -> password, as JSON."""
    return settings.secrets / "airflow.json"


def logs(settings: Settings) -> Path:
    """The tasks' logs: dag_id=/run_id=/task_id=/."""
    return settings.data / "airflow" / "logs"


def describe(settings: Settings) -> list[Engine]:
    """The four components, in the order in which they need each other."""
    return [
        Engine(
            name=name,
            title=title,
            address=url(settings),
            ports={settings.port(PORT): PORT.purpose} if name == "airflow-api" else {},
            ask=partial(_ask, settings, name, reported),
            patience=_PATIENCE,
            through=() if name == "airflow-api" else ("airflow-api",),
            optional=True,
        )
        for name, (title, _, reported) in COMPONENTS.items()
    ]


def configure(local: Local) -> Configuration:
    """Each of the components can make the database."""
    from importlib.metadata import version

    settings, credentials = local.settings, local.credentials
    conf, data = settings.conf / "airflow", settings.data / "airflow"
    environment = {
        **settings.variables,  # a task finds this stack by them
        "AIRFLOW_HOME": str(data),
        "AIRFLOW_CONFIG": str(conf / "airflow.cfg"),
        "PYTHONPATH": os.pathsep.join([ROOT, str(_FOLDER / "config")]),
        "SPT_NOENV": "1",  # a process that renames itself keeps the environment by which the stack knows its own
        "MALLOC_ARENA_MAX": "2",
    }
    migrated = data / f"migrated-{version('apache-airflow')}"
    launches = {
        name: Launch(
            command=[sys.executable, "-m", "airflow", *subcommand],
            folder=data,
            environment=environment,
            first=[(migrated, [sys.executable, "-m", "scripts.stack.airflow_database", str(migrated)])],
            whole_group=True,
            secrets=True,  # it deploys, with sensitive parameters, and alerts
        )
        for name, (_, subcommand, _) in COMPONENTS.items()
    }
    return Configuration(
        launches,
        {
            conf / "airflow.cfg": _ini(configuration(settings, credentials)).encode(),
            passwords(settings): json.dumps({USER: credentials.airflow_password}).encode(),
        },
    )


def configuration(settings: Settings, credentials: Credentials) -> dict[str, dict[str, object]]:
    """airflow.cfg as section -> option -> value. Holds secrets."""
    data = settings.data / "airflow"
    secret = credentials.airflow_secret
    return {
        "core": {
            "dags_folder": _FOLDER / "dags",
            "plugins_folder": data / "plugins",
            "load_examples": False,
            "dags_are_paused_at_creation": False,
            "executor": "LocalExecutor",
            # A monitor's areas run beside each other, and beside a deploy.
            "parallelism": 4,
            "hostname_callable": "socket.gethostname",
            "execution_api_server_url": f"{url(settings)}/execution/",
            "fernet_key": base64.urlsafe_b64encode(_derived(secret, "fernet")[:32]).decode(),
            "simple_auth_manager_users": f"{USER}:admin",
            "simple_auth_manager_passwords_file": passwords(settings),
        },
        "database": {"sql_alchemy_conn": f"sqlite:///{data / 'airflow.db'}"},
        "api": {
            "host": LOOPBACK,
            "port": settings.port(PORT),
            "base_url": url(settings),
            "workers": 1,
            "secret_key": _derived(secret, "api").hex(),
        },
        "api_auth": {"jwt_secret": _derived(secret, "jwt").hex(), "jwt_issuer": url(settings)},
        "logging": {
            "base_log_folder": logs(settings),
            "dag_processor_log_target": "stdout",
            "colored_console_log": False,
            # Each request, and each parse, of which there are some every second.
            "namespace_levels": "http.access=WARNING airflow.serialization.definitions.dag=WARNING",
        },
        "dag_processor": {"parsing_processes": 1, "min_file_process_interval": 60, "print_stats_interval": 0},
        "scheduler": {
            "scheduler_idle_sleep_time": 2,
            "job_heartbeat_sec": 10,
            # What ran when Airflow was killed is over for it after this, and the monitor goes on.
            "task_instance_heartbeat_timeout": 60,
            "orphaned_tasks_check_interval": 60,
        },
        # Also the longest time after which the end of a task is noticed.
        "workers": {"min_heartbeat_interval": 2},
        "triggerer": {"capacity": 10, "job_heartbeat_sec": 10},
    }


def _derived(secret: str, purpose: str) -> bytes:
    """A key of 64 bytes for one purpose; none of them gives away another one."""
    return hmac.digest(secret.encode(), purpose.encode(), hashlib.sha512)


def _ini(sections: Mapping[str, Mapping[str, object]]) -> str:
    parser = configparser.ConfigParser(interpolation=None)
    for section, options in sections.items():
        parser[section] = {option: str(value).replace("%", "%%") for option, value in options.items()}
    text = io.StringIO()
    parser.write(text)
    return text.getvalue()


def _ask(settings: Settings, name: str, reported: str, credentials: Credentials | None, patience: float) -> str:
    health = get_json(f"{url(settings)}/api/v2/monitor/health", patience)
    return component_health(health[reported], _started(settings, name))


def component_health(health: Mapping[str, str | None], started: datetime.datetime | None) -> str:
    """What Airflow reports of one component, in words. started: when the component was, None where it is not known.

    Raises TransientError unless it is healthy, and has been heard of since it was started: for half a minute, the
    heartbeat of a killed predecessor passes for its own.
    """
    if health["status"] != "healthy":
        raise TransientError(f"reported {health['status'] or 'never seen'}")
    heard = next((value for key, value in health.items() if key.endswith("_heartbeat") and value), None)
    if heard is not None and started is not None and datetime.datetime.fromisoformat(heard) < started:
        raise TransientError("not heard of since its start")
    return str(health["status"])


def _started(settings: Settings, name: str) -> datetime.datetime | None:
    """When this machine's supervisor last launched the engine, which writes the file of its process group then.

    None for one that somebody else has started.
    """
    try:
        written = (settings.run / f"{name}.group").stat().st_mtime
    except FileNotFoundError:
        return None
    return datetime.datetime.fromtimestamp(written, datetime.UTC)
