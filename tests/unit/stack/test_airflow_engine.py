"""Airflow as an engine of the stack: what it is told, where its secrets are, and that nothing of it outlives it."""

import configparser
import contextlib
import datetime
import importlib.util
import json
import os
import signal
import stat
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from nifi_flows.errors import TransientError
from nifi_flows.pipeline import USERS
from scripts.bootstrap import ROOT
from scripts.stack import airflow_api, configuration, credentials
from scripts.stack.credentials import Credentials
from scripts.stack.engine import Configuration, Local
from scripts.stack.engines import airflow
from scripts.stack.launch import living
from scripts.stack.layout import Installed
from scripts.stack.settings import LOOPBACK, Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return configuration.read({"PIPELINE_HOME": str(tmp_path / "100% mine"), "PIPELINE_AIRFLOW_PORT": "24011"})


@pytest.fixture
def made(settings: Settings) -> Credentials:
    return credentials.ensure(settings.secrets)


@pytest.fixture
def configured(settings: Settings, made: Credentials) -> Configuration:
    local = airflow.configure(Local(settings, Installed(Path("/installed")), made, USERS))
    local.write()
    return local


def config_file(configured: Configuration) -> Path:
    return Path(configured.launches["airflow-api"].environment["AIRFLOW_CONFIG"])


def written(configured: Configuration) -> configparser.ConfigParser:
    """airflow.cfg as Airflow reads it: with interpolation."""
    parser = configparser.ConfigParser()
    parser.read(config_file(configured))
    return parser


def test_the_file_says_what_was_meant_whatever_the_path(
    settings: Settings, made: Credentials, configured: Configuration
) -> None:
    meant = airflow.configuration(settings, made)
    read = written(configured)
    assert {section: dict(read[section]) for section in read.sections()} == {
        section: {option: str(value) for option, value in options.items()} for section, options in meant.items()
    }
    assert str(settings.home) in read["database"]["sql_alchemy_conn"]


def test_airflow_has_each_option_that_is_set(settings: Settings, made: Credentials) -> None:
    """It would pass over a misspelt one without a word."""
    found = importlib.util.find_spec("airflow")
    assert found and found.submodule_search_locations
    known = yaml.safe_load(Path(found.submodule_search_locations[0], "config_templates", "config.yml").read_text())
    for section, options in airflow.configuration(settings, made).items():
        assert set(options) <= set(known[section]["options"]), section


def test_secrets_are_in_files_of_their_owner_alone(
    settings: Settings, made: Credentials, configured: Configuration
) -> None:
    for file in (config_file(configured), airflow.passwords(settings)):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert json.loads(airflow.passwords(settings).read_text()) == {airflow.USER: made.airflow_password}
    read = written(configured)
    keys = [read["core"]["fernet_key"], read["api"]["secret_key"], read["api_auth"]["jwt_secret"]]
    secret = [made.airflow_password, made.airflow_secret, *keys]
    assert len(set(secret)) == 5
    for launch in configured.launches.values():
        shown = " ".join([*launch.command, *launch.environment.values()])
        assert not [word for word in secret if word in shown]


def test_keys_stay_the_same_from_start_to_start(settings: Settings, made: Credentials) -> None:
    assert airflow.configuration(settings, made) == airflow.configuration(
        settings, credentials.ensure(settings.secrets)
    )


def test_nothing_listens_but_the_api_and_that_on_loopback(
    settings: Settings, made: Credentials, configured: Configuration
) -> None:
    assert [list(engine.ports) for engine in airflow.describe(settings)] == [[24011], [], [], []]
    assert airflow.configuration(settings, made)["api"]["host"] == LOOPBACK
    for name in ("airflow-scheduler", "airflow-triggerer"):
        assert "--skip-serve-logs" in configured.launches[name].command, "its log server would listen on every address"


def test_a_task_finds_the_settings_of_its_stack(
    settings: Settings, configured: Configuration, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in configured.launches["airflow-scheduler"].environment.items():
        monkeypatch.setenv(name, value)
    assert configuration.load() == settings


def test_a_stop_reaches_the_children(configured: Configuration) -> None:
    assert all(launch.whole_group for launch in configured.launches.values())


def test_a_stack_that_is_older_than_airflow_gets_its_words(settings: Settings, made: Credentials) -> None:
    file = settings.secrets / "words.json"
    words = json.loads(file.read_text())
    old = {name: word for name, word in words.items() if not name.startswith("airflow")}
    file.write_text(json.dumps(old))
    looked_at = credentials.load(settings.secrets)
    assert looked_at is not None and looked_at.airflow_password == ""
    assert json.loads(file.read_text()) == old, "to look is not to make"
    again = credentials.ensure(settings.secrets)
    assert again.cassandra_password == made.cassandra_password
    assert len(again.airflow_password) >= 24 and again.airflow_password != again.airflow_secret
    assert credentials.load(settings.secrets) == again


NOW = datetime.datetime(2026, 5, 4, 12, 0, tzinfo=datetime.UTC)


def heard(**health: str | None) -> str:
    return airflow.component_health(health, NOW)


def test_a_component_is_ready_when_it_was_heard_of_since_its_start() -> None:
    assert heard(status="healthy", latest_scheduler_heartbeat="2026-05-04T12:00:01+00:00") == "healthy"
    assert heard(status="healthy") == "healthy", "the database has no heartbeat"


@pytest.mark.parametrize(
    ("status", "heartbeat"),
    [
        ("unhealthy", "2026-05-04T12:00:01+00:00"),
        (None, None),
        ("healthy", "2026-05-04T11:59:59+00:00"),  # of the one that was killed before
    ],
)
def test_a_component_is_not_ready_otherwise(status: str | None, heartbeat: str | None) -> None:
    with pytest.raises(TransientError):
        heard(status=status, latest_triggerer_heartbeat=heartbeat)


@pytest.fixture
def migrations(tmp_path: Path) -> Iterator[Any]:
    """Begins a migration with an Airflow that notes each one and takes its time; it fails while `broken` is there."""
    package = tmp_path / "fake" / "airflow"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(
        textwrap.dedent(
            """\
            import sys, time
            from pathlib import Path
            assert sys.argv[1:] == ["db", "migrate"]
            with open("migrations", "a") as notes:
                notes.write("once\\n")
            time.sleep(0.3)
            sys.exit(Path("broken").exists())
            """
        )
    )
    command = [sys.executable, "-m", "scripts.stack.airflow_database", str(tmp_path / "migrated-1")]
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path / 'fake'}:{ROOT}"}
    running: list[subprocess.Popen[bytes]] = []

    def begin() -> subprocess.Popen[bytes]:
        running.append(subprocess.Popen(command, env=environment, cwd=tmp_path, stderr=subprocess.DEVNULL))
        return running[-1]

    yield begin
    for process in running:
        process.wait(20)


def test_four_at_once_make_one_database(migrations: Any, tmp_path: Path) -> None:
    assert [process.wait(20) for process in [migrations() for _ in range(4)]] == [0] * 4
    assert (tmp_path / "migrations").read_text() == "once\n"
    assert (tmp_path / "migrated-1").exists()


def test_a_migration_that_failed_is_tried_again(migrations: Any, tmp_path: Path) -> None:
    (tmp_path / "broken").touch()
    assert migrations().wait(20) != 0
    assert not (tmp_path / "migrated-1").exists()
    (tmp_path / "broken").unlink()
    assert migrations().wait(20) == 0


_LOCAL = Path(ROOT, "airflow", "config", "airflow_local_settings.py")


def test_the_database_lets_readers_and_a_writer_work_side_by_side(tmp_path: Path) -> None:
    """In a process of its own: what the module does at a fork is not for the process that tests."""
    assert _pragmas(tmp_path, "look()", "journal_mode", "synchronous", "busy_timeout") == ["wal", "1", "30000"]


def test_an_event_loop_waits_less_for_the_database(tmp_path: Path) -> None:
    """The same connection, out of the pool: on the loop and off it."""
    call = "look(); asyncio.run(on_loop()); look()"
    assert _pragmas(tmp_path, call, "busy_timeout") == ["30000", "2000", "30000"]


def _pragmas(folder: Path, call: str, *names: str) -> list[str]:
    script = f"""
import asyncio, runpy
module = runpy.run_path({str(_LOCAL)!r})
engine = module["create_metadata_engine"]("sqlite:///{folder}/db", engine_args={{}}, connect_args={{}})
def look():
    with engine.connect() as connection:
        for pragma in {names!r}:
            print(connection.exec_driver_sql("PRAGMA " + pragma).scalar())
async def on_loop():
    look()
{call}
"""
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()


def test_a_task_ends_with_its_executor() -> None:
    """Airflow puts a task into a group of its own and tasks pass over SIGTERM: only the kernel's word ends it."""
    script = f"""
import os, runpy, signal, time
runpy.run_path({str(_LOCAL)!r})
child = os.fork()
if not child:
    os.setpgid(0, 0)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print(os.getpid(), flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as executor:
        assert executor.stdout is not None
        task = int(executor.stdout.readline())
        try:
            assert living(task)
            executor.kill()
            deadline = time.monotonic() + 10
            while living(task):
                assert time.monotonic() < deadline, "the task outlived its executor"
                time.sleep(0.02)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(task, signal.SIGKILL)


class _Airflow(BaseHTTPRequestHandler):
    """Gives a token for the right password and takes notes from whoever has it."""

    password = ""
    busy = False
    notes: list[tuple[str, str]]

    def do_POST(self) -> None:
        right = self._body() == {"username": "admin", "password": self.password}
        self._answer(201 if right else 401, {"access_token": "open"})

    def do_PATCH(self) -> None:
        if self.headers["Authorization"] != "Bearer open":
            return self._answer(401, {})
        note = self._body()["note"]
        if type(self).busy:
            type(self).busy = False
            return self._answer(500, {})
        self.notes.append((self.path, note))
        self._answer(200, {})

    def do_GET(self) -> None:
        self.notes.append((self.path, "asked"))
        self._answer(200, {"dag_runs": [{"dag_run_id": "old+1"}]})

    def do_DELETE(self) -> None:
        self.notes.append((self.path, "deleted"))
        self.send_response(204)
        self.end_headers()

    def _body(self) -> Any:
        return json.loads(self.rfile.read(int(self.headers["Content-Length"])))

    def _answer(self, status: int, body: Any) -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def served(made: Credentials, tmp_path: Path) -> Iterator[tuple[Settings, list[tuple[str, str]]]]:
    notes: list[tuple[str, str]] = []
    handler = type("Handler", (_Airflow,), {"password": made.airflow_password, "notes": notes})
    with HTTPServer((LOOPBACK, 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield Settings(home=tmp_path / "100% mine", ports={"airflow": server.server_port}), notes
        server.shutdown()
        thread.join()


def test_a_note_is_put_on_the_run_and_cut_to_what_airflow_takes(
    served: tuple[Settings, list[tuple[str, str]]],
) -> None:
    settings, notes = served
    airflow_api.annotate(settings, "monitor_pipeline", "scheduled__2026-05-04T12:00:00+00:00", "ill " * 500)
    ((path, note),) = notes
    assert path == "/api/v2/dags/monitor_pipeline/dagRuns/scheduled__2026-05-04T12%3A00%3A00%2B00%3A00"
    assert note == ("ill " * 500)[:999] + "…"


def test_an_airflow_whose_database_is_taken_is_asked_again(
    served: tuple[Settings, list[tuple[str, str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, notes = served
    monkeypatch.setattr(_Airflow, "busy", True)
    airflow_api.annotate(settings, "monitor_pipeline", "run", "well")
    assert [note for _, note in notes] == ["well"]


def test_old_runs_are_forgotten_with_their_logs(served: tuple[Settings, list[tuple[str, str]]]) -> None:
    settings, asked = served
    logs = airflow.logs(settings) / "dag_id=monitor_pipeline"
    for run in ("old+1", "new"):
        (logs / f"run_id={run}" / "task_id=look").mkdir(parents=True)
    assert airflow_api.forget(settings, "monitor_pipeline", NOW) == 1
    (listed, _), (deleted, how) = asked
    assert "run_after_lt=2026-05-04T12%3A00%3A00%2B00%3A00&state=success&state=failed" in listed
    assert (deleted, how) == ("/api/v2/dags/monitor_pipeline/dagRuns/old%2B1", "deleted")
    assert [path.name for path in logs.iterdir()] == ["run_id=new"]


def test_an_airflow_that_refuses_or_is_away_is_told(settings: Settings, served: Any, tmp_path: Path) -> None:
    stranger = Settings(home=tmp_path / "other", ports=served[0].ports)
    credentials.ensure(stranger.secrets)
    with pytest.raises(TransientError, match="401"):
        airflow_api.token(stranger)
    with pytest.raises(TransientError, match="/auth/token"):
        airflow_api.token(settings)
