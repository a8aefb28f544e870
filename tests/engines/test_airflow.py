"""Airflow on the real pipeline: both DAGs by themselves, and an edit by hand that is seen, saved and healed."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Browser, Page, ViewportSize, expect

from nifi_flows.files import write_private
from nifi_flows.pipeline import USERS
from scripts.bootstrap import ROOT
from scripts.deployment import state
from scripts.monitor import monitor
from scripts.stack import airflow_api, airflow_database
from scripts.stack import stack as stacks
from scripts.stack.engines import airflow
from scripts.stack.engines import source as embedded
from scripts.stack.settings import Settings
from scripts.stack.supervise import Supervisor
from tests.engines import versions
from tests.engines.conftest import LocalStack, until
from tests.engines.test_deploy import canvas_of, edit, load, stop

MONITOR, REDEPLOY = "monitor_pipeline", "redeploy_flows"
SCREEN: ViewportSize = {"width": 1400, "height": 760}
# As who looks at the grid drags the border beside it, which hides the last runs otherwise.
WIDE_GRID = json.dumps({"details-panel,main-panel": {"expandToSizes": {}, "layout": [42, 58]}})


class Airflow:
    """What the scheduler did, by the REST API."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def runs(self, dag: str, since: datetime) -> list[dict[str, Any]]:
        """The DAG's runs that were begun since then, the oldest first."""
        found = self._call(
            "GET", f"/dags/{dag}/dagRuns", start_date_gte=since.isoformat(), order_by="start_date", limit=50
        )
        listed: list[dict[str, Any]] = found["dag_runs"]
        return listed

    def tasks(self, run: dict[str, Any]) -> dict[str, str]:
        """Task of a run -> its state."""
        found = self._call("GET", f"/dags/{run['dag_id']}/dagRuns/{run['dag_run_id']}/taskInstances")
        return {task["task_id"]: task["state"] for task in found["task_instances"]}

    def import_errors(self) -> list[Any]:
        listed: list[Any] = self._call("GET", "/importErrors")["import_errors"]
        return listed

    @contextmanager
    def paused(self, dag: str) -> Iterator[None]:
        """Nothing of the DAG is scheduled, and no run of it is under way: a pause would keep that from its end."""
        until(lambda: self._idle(dag) and self._pause(dag), 120)
        try:
            yield
        finally:
            self._call("PATCH", f"/dags/{dag}", body={"is_paused": False})

    def _pause(self, dag: str) -> bool:
        self._call("PATCH", f"/dags/{dag}", body={"is_paused": True})
        if self._idle(dag):
            return True
        self._call("PATCH", f"/dags/{dag}", body={"is_paused": False})
        return False

    def _idle(self, dag: str) -> bool:
        return not self._call("GET", f"/dags/{dag}/dagRuns", state=["queued", "running"])["dag_runs"]

    def trigger(self, dag: str) -> None:
        """As who presses the button."""
        self._call("POST", f"/dags/{dag}/dagRuns", body={"logical_date": None})

    def _call(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        asked = f"/api/v2{path}?{urlencode(query, doseq=True)}"
        return airflow_api.call(self._settings, method, asked, body, airflow_api.token(self._settings))


@pytest.fixture(scope="module")
def webhook(stack: LocalStack) -> Iterator[list[dict[str, Any]]]:
    """What alerts say, as a Slack-compatible webhook got it."""
    got: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    secret = stack.settings.secrets / "alert_webhook"
    write_private(secret, f"http://127.0.0.1:{server.server_port}/hook")
    yield got
    secret.unlink()
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def scheduler(stack: LocalStack, webhook: list[dict[str, Any]]) -> Iterator[Airflow]:
    """The stack with Airflow, and a source that does nothing wrong; at the end both are as before."""
    before = embedded.behaviour(stack.settings)
    assert stack.pipeline("source", "behave").code == 0
    started = stack.call("run", timeout=600)
    assert started.code == 0, started.out + started.err
    yield Airflow(stack.settings)
    for name in airflow.COMPONENTS:
        Supervisor(stack.settings).stop_engine(name)
    embedded.misbehave(stack.settings, before)


def test_airflow_is_up_and_reads_both_dags(stack: LocalStack, scheduler: Airflow) -> None:
    assert scheduler.import_errors() == []
    status = stack.pipeline("status", "--output", "json").json
    ready = {engine["engine"] for engine in status["engines"] if engine["ready"]}
    assert set(airflow.COMPONENTS) <= ready
    assert (
        stack.pipeline("airflow", "--password").out.strip()
        == json.loads(airflow.passwords(stack.settings).read_text())[airflow.USER]
    )


@pytest.mark.parametrize("dag", [MONITOR, REDEPLOY])
def test_a_dag_runs_by_itself_on_the_real_engines(stack: LocalStack, scheduler: Airflow, dag: str) -> None:
    """As its author tries it: dag.test(), in a process of its own. The scheduler would take part in the run.

    Without its deadline: Airflow 3.3.2 looks for it in the database by what it only has there when it is scheduled.
    """
    launch = stacks.configuration(stacks.running(stack.settings), USERS).launches["airflow-api"]
    script = (
        "import json; from airflow.dag_processing.dagbag import DagBag; "
        f"dag = DagBag().dags[{dag!r}]; dag.deadline = None; run = dag.test(); "
        "print('\\nstates:', json.dumps({task.task_id: task.state for task in run.get_task_instances()}))"
    )
    with scheduler.paused(MONITOR), scheduler.paused(REDEPLOY):
        done = subprocess.run(
            [sys.executable, "-c", script],
            env={**stack.environment, **launch.environment},
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        seen = monitor.last(stack.settings)
    told = next((line for line in done.stdout.splitlines() if line.startswith("states: ")), None)
    assert told, done.stdout[-4000:] + done.stderr[-4000:]
    states = json.loads(told.removeprefix("states: "))
    assert set(states.values()) <= {"success", "skipped", "failed"}
    assert seen
    # What other tests have done to the pipeline may still be ill; then the task of just that area has to say so.
    ill = {area for area, check in seen.checks.items() if check.verdict == "ill"} if dag == MONITOR else set()
    assert {task for task, state in states.items() if state == "failed"} == ill, done.stdout[-4000:]


def test_an_edit_by_hand_turns_the_monitor_red_is_saved_and_healed(
    stack: LocalStack, scheduler: Airflow, webhook: list[dict[str, Any]], found_browser: Browser | None
) -> None:
    page = logged_in(stack, found_browser) if found_browser else None
    webhook.clear()
    with load(stack, f"watched {time.time_ns()}"):
        with scheduler.paused(MONITOR), canvas_of(stack) as group:  # a look between the two would see but one
            changed = datetime.now(UTC)
            edit(group, "Fetch page", penalty_duration="9 sec")
            stop(group, "Publish users")
        red = until(lambda: ended(scheduler, MONITOR, changed, "failed"), 240)
        ill = {name for name, state in scheduler.tasks(red).items() if state == "failed"}
        assert ill == {"flow", "drift"}
        assert "9 sec" in red["note"] and "Publish users" in red["note"]
        assert "'stamped' to be tried again" not in red["note"], "that queue waits for the stopped processor"

        healed = until(lambda: ended(scheduler, REDEPLOY, changed, "success"), 240)
        assert state.drift(versions.context(stack)) == []
        assert state.history(versions.context(stack))[-1].by == "airflow"
        saved = max((versions.context(stack).folder / "edits").glob("*/diff.md"))
        assert "9 sec" in saved.read_text()
        if page:
            grid(page, stack, red, "monitor_red")

        green = until(lambda: ended(scheduler, MONITOR, datetime.fromisoformat(healed["end_date"]), "success"), 180)
        assert {state for name, state in scheduler.tasks(green).items() if name != "redeploy"} == {"success"}
        if page:
            grid(page, stack, green, "monitor_green")
    told = [text["text"] for text in webhook]
    assert any("changed by hand" in text for text in told), told
    assert any("flow" in text and "ill" in text for text in told), told
    print(f"red after {seconds(changed, red):.0f} s, healed after {seconds(changed, healed):.0f} s; alerts: {told}")


def test_a_flow_that_somebody_holds_is_left_alone(stack: LocalStack, scheduler: Airflow) -> None:
    """Also by who triggers the redeploy by hand; that the monitor asks for none is held by the unit tests."""
    holder = LocalStack({**stack.environment, "PIPELINE_ACTOR": "somebody"})
    assert holder.pipeline("flow", "hold", "--why", "looking into it").code == 0
    begun, before = datetime.now(UTC), state.history(versions.context(stack))
    try:
        scheduler.trigger(REDEPLOY)
        run = until(lambda: ended(scheduler, REDEPLOY, begun, "success"), 120)
    finally:
        holder.pipeline("flow", "release")
    assert set(scheduler.tasks(run).values()) == {"skipped"}
    assert "somebody holds the flow" in run["note"] and "looking into it" in run["note"]
    assert state.history(versions.context(stack)) == before


def test_airflow_forgets(stack: LocalStack, scheduler: Airflow) -> None:
    ever = datetime.fromtimestamp(0, UTC)
    until(lambda: ended(scheduler, MONITOR, ever, "success") or ended(scheduler, MONITOR, ever, "failed"), 180)
    before = {run["dag_run_id"] for run in scheduler.runs(MONITOR, ever)}
    assert airflow_api.forget(stack.settings, MONITOR, datetime.now(UTC)) > 0
    left = {run["dag_run_id"] for run in scheduler.runs(MONITOR, ever)}
    gone = before - left
    assert gone
    folder = airflow.logs(stack.settings) / f"dag_id={MONITOR}"
    assert not {path.name.removeprefix("run_id=") for path in folder.iterdir()} & gone
    cleaned = stack.settings.data / "airflow" / "cleaned"
    cleaned.unlink(missing_ok=True)
    airflow_database.forget(stack.settings)
    assert cleaned.exists()


def test_everything_of_airflow_listens_on_loopback_only(stack: LocalStack, scheduler: Airflow) -> None:
    opened = {
        (connection.laddr.ip, connection.laddr.port)
        for command, connections in stack.of_processes(lambda p: (p.cmdline(), p.net_connections("tcp")))
        if "airflow" in " ".join(command)
        for connection in connections
        if connection.status == "LISTEN"
    }
    assert {address for address, _ in opened} == {"127.0.0.1"}
    assert stack.settings.port(airflow.PORT) in {port for _, port in opened}


def seconds(since: datetime, run: dict[str, Any]) -> float:
    """From a moment to the end of a run."""
    return (datetime.fromisoformat(run["end_date"]) - since).total_seconds()


def ended(scheduler: Airflow, dag: str, since: datetime, state: str) -> dict[str, Any] | None:
    """The first run since then that ended so; None as long as there is none."""
    return next((run for run in scheduler.runs(dag, since) if run["state"] == state), None)


def logged_in(stack: LocalStack, browser: Browser) -> Page:
    page = browser.new_context(viewport=SCREEN).new_page()
    page.add_init_script(f"localStorage.setItem('react-resizable-panels:grid-ltr', '{WIDE_GRID}')")
    page.goto(airflow.url(stack.settings))
    page.fill("input[name=username]", airflow.USER)
    page.fill("input[name=password]", stack.pipeline("airflow", "--password").out.strip())
    page.click("button[type=submit]")
    page.wait_for_url(lambda url: "/auth/login" not in url, timeout=30_000)
    page.goto(f"{airflow.url(stack.settings)}/dags")
    for dag in (MONITOR, REDEPLOY):
        expect(page.get_by_text(dag).first).to_be_visible(timeout=30_000)
    keep(page, "dags")
    return page


def grid(page: Page, stack: LocalStack, run: dict[str, Any], picture: str) -> None:
    """The monitor's grid and one of its runs, as its user sees them."""
    page.goto(f"{airflow.url(stack.settings)}/dags/{MONITOR}/runs/{run['dag_run_id']}")
    expect(page.get_by_text("freshness").first).to_be_visible(timeout=30_000)
    keep(page, picture)


def keep(page: Page, name: str) -> None:
    """A picture for the documents, where PIPELINE_SCREENSHOTS names a folder for it."""
    folder = os.environ.get("PIPELINE_SCREENSHOTS")
    if folder:
        page.wait_for_timeout(3_000)  # the page goes on drawing
        page.screenshot(path=Path(folder, f"{name}.png"))
