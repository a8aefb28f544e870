"""The DAGs: they load, are cheap to parse, run when they should, tell what went wrong once, and touch no record."""

import ast
import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib.util import resolve_name
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import scripts.monitor
from nifi_flows.errors import TransientError
from scripts.bootstrap import ROOT
from scripts.monitor import callbacks
from scripts.monitor.areas import AREAS

DAGS = Path(ROOT, "airflow", "dags")
HEAVY = ("nipyapi", "pyspark", "py4j", "kafka", "confluent_kafka", "cassandra", "fastavro", "requests")

# Run where Airflow can leave its traces, since importing it configures the whole process.
_PROBE = """
import json, sys
from airflow.sdk import Asset
before = set(sys.modules)
for file in sys.argv[2:]:
    exec(compile(open(file).read(), file, "exec"), {"__name__": file})
imported = sorted({name.split(".")[0] for name in set(sys.modules) - before})

from airflow.dag_processing.dagbag import DagBag

bag = DagBag(sys.argv[1])


def named(callbacks):
    return [callback.__name__ for callback in callbacks]


def schedule(dag):
    return dag.schedule if isinstance(dag.schedule, str) else [asset.name for asset in dag.schedule]


dags = {
    name: {
        "schedule": schedule(dag),
        "catchup": dag.catchup,
        "max_active_runs": dag.max_active_runs,
        "timeout": dag.dagrun_timeout.total_seconds(),
        "deadlines": [[alert.interval.total_seconds(), alert.callback.path] for alert in dag.deadline],
        "params": sorted(dag.params),
        "tasks": {
            task.task_id: {
                "retries": task.retries,
                "rule": task.trigger_rule.value,
                "upstream": sorted(task.upstream_task_ids),
                "outlets": [outlet.name for outlet in task.outlets if isinstance(outlet, Asset)],
                "failure": named(task.on_failure_callback),
                "success": named(task.on_success_callback),
            }
            for task in dag.tasks
        },
    }
    for name, dag in bag.dags.items()
}
print(json.dumps({"errors": bag.import_errors, "imported": imported, "dags": dags}))
"""


def called(home: Path, script: str, *arguments: str) -> Any:
    """What a script prints last, as JSON; with an Airflow of its own in `home`."""
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        env={
            **os.environ,
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
            "PYTHONPATH": ROOT,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return called(tmp_path_factory.mktemp("airflow"), _PROBE, str(DAGS), *map(str, sorted(DAGS.glob("*.py"))))


def test_each_dag_loads(loaded: Any) -> None:
    assert loaded["errors"] == {}
    assert sorted(loaded["dags"]) == ["monitor_pipeline", "redeploy_flows"]


def test_a_dag_imports_nothing_heavy(loaded: Any) -> None:
    """Each is parsed once a minute, and once for each of its tasks."""
    assert "scripts" in loaded["imported"], "the probe sees what is imported"
    assert [name for name in loaded["imported"] if name in HEAVY] == []


def test_the_monitor_runs_every_minute_and_never_beside_itself(loaded: Any) -> None:
    monitor = loaded["dags"]["monitor_pipeline"]
    assert (monitor["schedule"], monitor["catchup"], monitor["max_active_runs"]) == ("* * * * *", False, 1)
    assert monitor["deadlines"] == [[120, "scripts.monitor.callbacks.tell_late"]]
    assert monitor["timeout"] > 120


def test_the_grid_has_a_row_for_each_area_and_a_run_is_red_when_one_is(loaded: Any) -> None:
    tasks = loaded["dags"]["monitor_pipeline"]["tasks"]
    assert set(tasks) == {"look", "report", "redeploy", *AREAS}
    needed = {name for task in tasks.values() for name in task["upstream"]}
    assert needed == {"look"}, "a task that others wait for does not make a run red when it fails"
    assert {task["retries"] for task in tasks.values()} == {0}
    assert tasks["report"]["rule"] == "all_done", "it also reports that nothing could be read"
    for area in ("look", *AREAS):
        assert (tasks[area]["failure"], tasks[area]["success"]) == (["tell_illness"], ["tell_recovery"])


def test_an_illness_and_nothing_else_starts_a_redeploy(loaded: Any) -> None:
    monitor, redeploy = loaded["dags"]["monitor_pipeline"]["tasks"], loaded["dags"]["redeploy_flows"]
    outlets = {name: task["outlets"] for name, task in monitor.items() if task["outlets"]}
    assert outlets == {"report": ["pipeline_health"], "redeploy": ["pipeline_ill"]}
    assert redeploy["schedule"] == ["pipeline_ill"]


def test_a_redeploy_goes_step_by_step_and_alone(loaded: Any) -> None:
    redeploy = loaded["dags"]["redeploy_flows"]
    assert redeploy["max_active_runs"] == 1
    assert redeploy["params"] == ["reason", "revision"]
    assert redeploy["deadlines"] == [[300, "scripts.monitor.callbacks.tell_late"]]
    tasks = redeploy["tasks"]
    assert tasks["save_edit"]["upstream"] == ["decide"]
    assert "save_edit" in tasks["deploy"]["upstream"], "an edit is saved before it is replaced"
    assert "deploy" in tasks["verify"]["upstream"]
    assert {task["retries"] for task in tasks.values()} == {0}, "the monitor asks again, within what the guard allows"
    assert all(task["failure"] == ["tell_failure"] for task in tasks.values())
    assert tasks["verify"]["success"] == ["tell_redeployed"]


# Steps of redeploy_flows called with a decision, on flows and alerts that only write down what they are asked for.
_CALL = """
import json, sys
from pathlib import Path
from types import SimpleNamespace

import scripts.deployment, scripts.monitor
from airflow.dag_processing.dagbag import DagBag
from nifi_flows.errors import TransientError


def call(task, decision, edit):
    asked = []

    def save_edit(context):
        if edit == "away":
            raise TransientError("NiFi is away")
        return Path(edit) if edit else None

    def deploy(context, **given):
        asked.append("deploy")
        raise TransientError("the queue does not drain", "empty it")

    scripts.deployment.edits = SimpleNamespace(save_edit=save_edit)
    scripts.deployment.service = SimpleNamespace(redeploy=deploy, deploy=deploy)
    scripts.monitor.alerts = SimpleNamespace(send=lambda settings, title, text, fields: asked.append(title))
    try:
        dag.get_task(task).python_callable(decision)
    except Exception as error:
        return [f"{type(error).__name__}: {error}", *asked]
    return asked


dag = DagBag(sys.argv[1]).dags["redeploy_flows"]
print(json.dumps([call(*one) for one in json.loads(sys.argv[2])]))
"""


def test_what_the_steps_of_a_redeploy_do(tmp_path: Path) -> None:
    (tmp_path / "diff.md").write_text("## users")
    deploys = {"go": True, "why": "flow is ill", "revision": None, "save": False, "by": "airflow"}
    saves = {**deploys, "go": False, "save": True, "why": "nobody heals here"}
    expected = [
        ("save_edit", deploys, "", []),
        ("save_edit", deploys, "away", []),  # or the deploy, which starts NiFi, would never come
        ("save_edit", saves, "away", ["TransientError: NiFi is away"]),
        ("save_edit", deploys, str(tmp_path), ["The flow was changed by hand; it is about to be redeployed"]),
        ("save_edit", saves, str(tmp_path), ["The flow was changed by hand; it is not redeployed"]),
        ("deploy", saves, "", ["AirflowSkipException: nobody heals here"]),
        ("deploy", deploys, "", ["AirflowFailException: the queue does not drain; next: empty it", "deploy"]),
    ]
    done = called(tmp_path, _CALL, str(DAGS), json.dumps([one[:3] for one in expected]))
    assert done == [asked for *_, asked in expected]


AT = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, str, dict[str, Any]]]]:
    """What reached the webhook."""
    arrived: list[tuple[str, str, dict[str, Any]]] = []

    def send(settings: Any, title: str, text: str, fields: dict[str, Any]) -> None:
        arrived.append((title, text, fields))

    monkeypatch.setattr(scripts.monitor, "alerts", SimpleNamespace(send=send), raising=False)
    yield arrived


def context(history: str, exception: Exception | None = None) -> dict[str, Any]:
    """Of a run at AT. history: this task's states in the runs before, a minute each, the last one last.

    f: failed, s: success, u: upstream_failed.
    """
    states = {"f": "failed", "s": "success", "u": "upstream_failed"}
    runs = [
        SimpleNamespace(state=states[letter], logical_date=AT - timedelta(minutes=minutes))
        for minutes, letter in enumerate(reversed(history), 1)
    ]

    def get_previous_ti(state: str, logical_date: datetime) -> Any:
        assert logical_date == AT
        return next((run for run in runs if run.state == state), None)

    task = SimpleNamespace(
        dag_id="monitor_pipeline", task_id="flow", run_id="r", log_url="http://log", get_previous_ti=get_previous_ti
    )
    return {"ti": task, "logical_date": AT, "exception": exception}


@pytest.mark.parametrize(
    ("history", "told"), [("", True), ("s", True), ("sffs", True), ("f", False), ("sff", False), ("sfuu", False)]
)
def test_an_illness_is_told_once(history: str, told: bool, sent: list[Any]) -> None:
    callbacks.tell_illness(context(history, RuntimeError("stopped: Publish users")))
    fields = {"run": "r", "log": "http://log"}
    assert sent == ([("monitor_pipeline: flow is ill", "stopped: Publish users", fields)] if told else [])


@pytest.mark.parametrize(("history", "told"), [("", False), ("s", False), ("f", True), ("sfu", True), ("fs", False)])
def test_a_recovery_is_told_once(history: str, told: bool, sent: list[Any]) -> None:
    callbacks.tell_recovery(context(history))
    assert [title for title, _, _ in sent] == (["monitor_pipeline: flow is well again"] if told else [])


def test_a_failure_is_told_with_what_to_do_next(sent: list[Any]) -> None:
    callbacks.tell_failure(context("", TransientError("NiFi is away", "wait for it")))
    assert [text for _, text, _ in sent] == ["NiFi is away; next: wait for it"]


def test_a_failed_redeploy_is_told_each_time(sent: list[Any]) -> None:
    for _ in range(2):
        callbacks.tell_failure(context("fff", RuntimeError("lint says no")))
    assert [text for _, text, _ in sent] == ["lint says no"] * 2


def test_an_alert_that_does_not_arrive_stops_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def send(*_: Any) -> None:
        raise TransientError("the webhook answered 503")

    monkeypatch.setattr(scripts.monitor, "alerts", SimpleNamespace(send=send), raising=False)
    callbacks.tell_illness(context("", RuntimeError("ill")))
    assert "503" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("ended", "told"),
    [
        (None, True),
        (AT + timedelta(seconds=1), True),
        (AT - timedelta(seconds=1), False),  # it failed in time, for which Airflow does not take the deadline back
        ((AT - timedelta(seconds=1)).isoformat(), False),
    ],
)
def test_a_run_that_is_late_is_told(ended: Any, told: bool, sent: list[Any]) -> None:
    run = {"dag_id": "monitor_pipeline", "dag_run_id": "r", "state": "running", "end_date": ended}
    asyncio.run(callbacks.tell_late(2, {"dag_run": run, "deadline": {"deadline_time": AT}}))
    assert [title for title, _, _ in sent] == (["monitor_pipeline is late"] if told else [])


# What moves, makes or removes a record, by any name that our clients give it.
_FORBIDDEN_NAMES = re.compile(
    r".*Producer|produce|insert_data|writeStream|foreachBatch|delete_(records|topics)|create_drop_request"
    r"|purge_\w+|submit_replay\w*|replay\w*|store_offsets|(alter|delete)_consumer_group\w*"
)
_FORBIDDEN_PACKAGES = {"pyspark", "py4j", "aiokafka"}
_KAFKA, _COMMITS = {"kafka", "confluent_kafka"}, {"commit", "commit_async"}
_WRITES = re.compile(r"\s*(INSERT\s+INTO|UPDATE\s+\S+\s+SET|DELETE\s+(\w+\s+)?FROM|TRUNCATE|COPY|BEGIN\s+.*BATCH)\b")
_OURS = {"nifi_flows", "nifi_processors", "scripts", "spark_consumer"}


def imports(tree: ast.AST, package: str = "") -> set[str]:
    """Everything that a module in this package imports, wherever in it, as dotted names."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = resolve_name("." * node.level + (node.module or ""), package) if node.level else str(node.module)
            found |= {base} | {f"{base}.{alias.name}" for alias in node.names}
    return found


def reachable(start: list[Path]) -> set[Path]:
    """The modules of ours that these can come to import, directly or through others."""
    seen: set[Path] = set()
    todo = list(start)
    while todo:
        path = todo.pop()
        if path in seen:
            continue
        seen.add(path)
        package = ".".join(path.relative_to(ROOT).parent.parts)
        for name in imports(ast.parse(path.read_text()), package):
            place = Path(ROOT, *name.split("."))
            if name.split(".")[0] in _OURS:
                todo += [file for file in (place.with_suffix(".py"), place / "__init__.py") if file.exists()]
    return seen


def touches(source: str) -> list[str]:
    """What of a module could write, move or remove a record, or commit a consumer's offsets; in its own words."""
    tree = ast.parse(source)
    packages = {name.split(".")[0] for name in imports(tree, "a.b.c")}
    found = sorted(packages & _FORBIDDEN_PACKAGES)
    for node in ast.walk(tree):
        name = None
        if isinstance(node, ast.Attribute):
            name = node.attr
        elif isinstance(node, ast.Name):
            name = node.id
        elif isinstance(node, ast.alias):
            name = node.name.rpartition(".")[2]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and _WRITES.match(node.value):
            found.append(node.value)
        if name and (_FORBIDDEN_NAMES.fullmatch(name) or (name in _COMMITS and packages & _KAFKA)):
            found.append(name)
    return found


def test_no_dag_touches_records() -> None:
    """Airflow watches and redeploys: nothing that a DAG can reach is able to write, move or remove a record."""
    modules = reachable([*DAGS.glob("*.py"), *Path(ROOT, "scripts", "monitor").rglob("*.py")])
    names = {str(path.relative_to(ROOT)) for path in modules}
    far = {"scripts/deployment/service.py", "nifi_flows/deploy.py", "scripts/observe/topics.py"}
    assert far <= names, "the search went on"
    found = {str(path.relative_to(ROOT)): touches(path.read_text()) for path in modules}
    assert {path: what for path, what in found.items() if what} == {}


@pytest.mark.parametrize(
    "source",
    [
        "from kafka import KafkaProducer",
        "import confluent_kafka\nconfluent_kafka.Producer({})",
        "def late():\n    from confluent_kafka import SerializingProducer as P",
        "from pyspark.sql import SparkSession",
        "from spark_consumer.table import insert_data",
        "session.execute('INSERT INTO created_users (id) VALUES (%s)')",
        "session.execute(f'DELETE FROM created_users WHERE id = {key}')",
        "session.execute('TRUNCATE created_users')",
        "from confluent_kafka import Consumer\nconsumer.commit(asynchronous=False)",
        "nifi.FlowFileQueuesApi().create_drop_request(connection)",
        "canvas.purge_process_group(group)",
        "from nipyapi.nifi import ProvenanceEventsApi\nProvenanceEventsApi().submit_replay(body)",
    ],
)
def test_a_module_that_touches_records_is_caught(source: str) -> None:
    assert touches(source)


@pytest.mark.parametrize("file", ["spark_consumer/stream.py", "nifi_processors/publisher.py"])
def test_the_modules_that_do_touch_records_are_caught(file: str) -> None:
    assert touches(Path(ROOT, file).read_text())
