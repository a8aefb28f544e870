"""How engines are asked: in their own protocol, in time, past proxies, with errors in a few words."""

import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import requests

from nifi_flows.errors import TerminalError, TransientError
from scripts.stack import configuration, credentials, engines, http
from scripts.stack.engine import Engine
from scripts.stack.engines import PORTS, airflow, cassandra, nifi
from scripts.stack.http import Deadline, get_json
from scripts.stack.settings import LOOPBACK, Port, Settings

Answers = dict[str, Any]  # path -> what is answered as JSON, or an int for an error


class Handler(BaseHTTPRequestHandler):
    server: "Server"

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        if self.path in self.server.slow:
            self.server.released.wait(10)
        answer = self.server.answers.get(self.path, 404)
        body = b"" if isinstance(answer, int) else json.dumps(answer).encode()
        self.send_response(answer if isinstance(answer, int) else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


class Server(ThreadingHTTPServer):
    """Answers as it is told. asked: the paths that were asked for. slow: those that nobody gets an answer for."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__((LOOPBACK, 0), Handler)
        self.answers: Answers = {}
        self.asked: list[str] = []
        self.slow: set[str] = set()
        self.released = threading.Event()


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as made:
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield made
        made.released.set()
        made.shutdown()
        thread.join()


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A stack that is not there, on ports where nothing listens, behind a proxy that is not there either."""
    for name in [name for name in os.environ if name.startswith("PIPELINE_")]:
        monkeypatch.delenv(name)
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    sockets = [socket.create_server((LOOPBACK, 0)) for _ in PORTS]
    free = {port.variable: str(opened.getsockname()[1]) for port, opened in zip(PORTS, sockets, strict=True)}
    for opened in sockets:
        opened.close()
    return configuration.read({"PIPELINE_HOME": str(tmp_path / "home"), **free})


def on(settings: Settings, *ports: Port, number: int) -> Settings:
    """The settings of a stack whose ports are this one."""
    return Settings(home=settings.home, ports={**settings.ports, **{port.name: number for port in ports}})


def engine(settings: Settings, name: str) -> Engine:
    (found,) = [engine for engine in engines.describe(settings) if engine.name == name]
    return found


@contextmanager
def listening(answer: Callable[[socket.socket], None] = lambda client: None) -> Iterator[int]:
    """A port that takes connections; what it does with one is told, by default it says nothing."""
    with socket.create_server((LOOPBACK, 0)) as opened:
        kept: list[socket.socket] = []

        def serve() -> None:
            while True:
                try:
                    client, _ = opened.accept()
                except OSError:
                    return
                kept.append(client)
                answer(client)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield opened.getsockname()[1]
        opened.shutdown(socket.SHUT_RDWR)
        thread.join()
        for client in kept:
            client.close()


def test_a_description_needs_nothing_and_touches_nothing(tmp_path: Path) -> None:
    described = engines.describe(Settings(home=tmp_path / "none", cache=tmp_path / "nothing"))
    assert [one.name for one in described] == [
        *("source", "nifi", "kafka", "registry", "spark-master", "spark-worker", "consumer", "cassandra"),
        *("airflow-api", "airflow-scheduler", "airflow-dag-processor", "airflow-triggerer", "watch"),
    ]
    assert list(tmp_path.iterdir()) == []
    assert all(any(str(port) in one.address for port in one.ports) for one in described if one.ports)


def test_who_is_asked_about_another_engine_or_needed_by_it_is_an_engine() -> None:
    described = engines.describe(Settings())
    through = {one.name: set(one.through) for one in described if one.through}
    airflow = {f"airflow-{name}": {"airflow-api"} for name in ("scheduler", "dag-processor", "triggerer")}
    assert through == {
        **airflow,
        "spark-worker": {"spark-master"},
        "consumer": {"kafka", "registry", "spark-master", "spark-worker", "cassandra"},
    }
    assert set().union(*through.values()) <= {one.name for one in described}


def test_no_port_is_of_two_engines() -> None:
    described = engines.describe(Settings())
    ports = [port for one in described for port in one.ports]
    assert len(ports) == len(set(ports))
    assert {port.default for port in PORTS} - set(ports) == {nifi.CANVAS.default}


@pytest.mark.parametrize("name", [one.name for one in engines.describe(Settings())])
def test_an_engine_that_is_down_is_told_in_a_few_words(settings: Settings, name: str) -> None:
    made = credentials.ensure(settings.secrets)
    begun = time.monotonic()
    with pytest.raises(TransientError) as told:
        engine(settings, name).ask(made, 1)
    assert time.monotonic() - begun < 3
    assert len(str(told.value)) < 100
    if name == "watch":  # which has no port
        assert str(told.value) == "it has not looked yet"
    elif name != "kafka":  # whose client goes on trying
        assert str(told.value) == "Connection refused"


@pytest.mark.parametrize(
    "name", ["source", "kafka", "registry", "spark-master", "consumer", "cassandra", "airflow-api"]
)
def test_an_engine_that_says_nothing_is_left_in_time(settings: Settings, name: str) -> None:
    made = credentials.ensure(settings.secrets)
    with listening() as port:
        silent = Settings(home=settings.home, ports={one.name: port for one in PORTS})
        begun = time.monotonic()
        with pytest.raises(TransientError) as told:
            engine(silent, name).ask(made, 0.5)
    assert time.monotonic() - begun < 2.5
    if name != "kafka":
        assert str(told.value) == "no answer within 0.5 s"


def test_what_engines_say(settings: Settings, server: Server) -> None:
    local = Settings(home=settings.home, ports={one.name: server.server_port for one in PORTS})
    server.answers = {
        "/health": {"status": "ok"},
        "/apis/ccompat/v7/subjects": ["a-value", "b-value"],
        "/json/": {"status": "ALIVE", "aliveworkers": 1},
        "/api/v1/applications": [{"id": "app-1"}],
        "/api/v1/applications/app-1/executors": [
            {"id": "driver", "isActive": True},
            {"id": "0", "isActive": True},
            {"id": "1", "isActive": False},
        ],
        "/api/v2/monitor/health": {"metadatabase": {"status": "healthy"}},
    }
    said = {
        name: engine(local, name).ask(None, 5)
        for name in ("source", "registry", "spark-master", "spark-worker", "consumer", "airflow-api")
    }
    assert said == {
        "source": "ok",
        "registry": "2 subjects",
        "spark-master": "alive",
        "spark-worker": "joined the master",
        "consumer": "app-1, 1 executor",
        "airflow-api": "healthy",
    }


@pytest.mark.parametrize(
    ("name", "answers", "why"),
    [
        ("spark-master", {"/json/": {"status": "RECOVERING", "aliveworkers": 0}}, "its status is RECOVERING"),
        ("spark-worker", {"/json/": {"status": "ALIVE", "aliveworkers": 0}}, "it has not joined the Spark master"),
        (
            "consumer",
            {
                "/api/v1/applications": [{"id": "a"}],
                "/api/v1/applications/a/executors": [{"id": "driver", "isActive": True}],
            },
            "it has no executor yet",
        ),
        ("airflow-api", {"/api/v2/monitor/health": {"metadatabase": {"status": "unhealthy"}}}, "reported unhealthy"),
        (
            "airflow-scheduler",
            {"/api/v2/monitor/health": {"scheduler": {"status": None}}},
            "reported never seen",
        ),
    ],
)
def test_an_engine_that_is_not_ready_says_why(
    settings: Settings, server: Server, name: str, answers: Answers, why: str
) -> None:
    server.answers = answers
    with pytest.raises(TransientError, match=f"^{why}$"):
        engine(Settings(home=settings.home, ports={one.name: server.server_port for one in PORTS}), name).ask(None, 5)


@pytest.mark.parametrize("name", ["nifi", "cassandra"])
def test_who_asks_for_a_login_is_not_asked_without_one(settings: Settings, name: str) -> None:
    with pytest.raises(TerminalError, match=r"^the secrets to ask it with are missing$"):
        engine(settings, name).ask(None, 1)


def test_an_answer_that_is_an_error_is_one(server: Server) -> None:
    server.answers = {"/": 503}
    with pytest.raises(requests.HTTPError, match="503"):
        get_json(f"http://{LOOPBACK}:{server.server_port}/", 5)


def test_all_requests_of_a_question_share_its_deadline(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    server.answers, server.slow = {"/quick": {}, "/slow": {}}, {"/slow"}
    now = 100.0
    monkeypatch.setattr(http, "time", SimpleNamespace(monotonic=lambda: now))
    url, deadline = f"http://{LOOPBACK}:{server.server_port}", Deadline(60)
    assert deadline.get_json(f"{url}/quick") == {}
    now += 59.8
    assert deadline.left() == pytest.approx(0.2)
    with pytest.raises(TransientError, match=r"^no answer within 60 s$"):
        deadline.get_json(f"{url}/slow")
    now += 0.2
    with pytest.raises(TransientError, match=r"^no answer within 60 s$"):
        deadline.get_json(f"{url}/quick")
    assert server.asked == ["/quick", "/slow"]


def test_a_nifi_whose_flow_hangs_is_not_ready(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """It goes on to answer for itself."""
    hung = False

    def answer(deadline: Deadline, url: str, **login: Any) -> Any:
        assert login["verify"] == str(made.ca)
        if hung and not url.endswith("/flow/about"):
            raise deadline.late
        return {"about": {"version": "2.3.0"}}

    monkeypatch.setattr(Deadline, "get_json", answer)
    made = credentials.ensure(settings.secrets)
    asked = engine(settings, "nifi").ask
    assert asked(made, 4) == "version 2.3.0"
    hung = True
    with pytest.raises(TransientError, match="no answer within 4 s"):
        asked(made, 4)


def test_a_cassandra_that_hangs_up_is_not_ready(settings: Settings) -> None:
    made = credentials.ensure(settings.secrets)
    with (
        listening(lambda client: client.shutdown(socket.SHUT_RDWR)) as port,
        pytest.raises(TransientError, match=r"^it closes the connection$|reset"),
    ):
        engine(on(settings, cassandra.PORT, number=port), "cassandra").ask(made, 1)


def test_an_airflow_that_somebody_else_has_started_is_taken_at_its_word(settings: Settings, server: Server) -> None:
    local = on(settings, airflow.PORT, number=server.server_port)
    long_ago = {"status": "healthy", "latest_scheduler_heartbeat": "2020-01-01T00:00:00+00:00"}
    server.answers = {"/api/v2/monitor/health": {"scheduler": long_ago}}
    scheduler = engine(local, "airflow-scheduler")
    assert scheduler.ask(None, 5) == "healthy"
    local.run.mkdir(parents=True)
    (local.run / "airflow-scheduler.group").touch()
    with pytest.raises(TransientError, match=r"^not heard of since its start$"):
        scheduler.ask(None, 5)
