"""The registry as deploys use it: what it takes, what it refuses, and that a refusal says why."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from nifi_flows.errors import TerminalError, TransientError
from scripts.stack.engines import registry
from scripts.stack.settings import LOOPBACK, Settings

SUBJECT, SCHEMA = "users-value", '{"type": "string"}'
Answers = dict[str, tuple[int, dict[str, Any]]]  # path -> status and JSON of the answer to a POST


class Handler(BaseHTTPRequestHandler):
    answers: Answers

    def do_POST(self) -> None:
        assert json.loads(self.rfile.read(int(self.headers["Content-Length"]))) == {"schema": SCHEMA}
        status, body = self.answers[self.path.removeprefix("/apis/ccompat/v7/")]
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def answers() -> Answers:
    return {}


@pytest.fixture
def settings(answers: Answers) -> Iterator[Settings]:
    with HTTPServer((LOOPBACK, 0), type("Told", (Handler,), {"answers": answers})) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield Settings(ports={registry.PORT.name: server.server_port})
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(("status", "there"), [(200, True), (404, False)])
def test_a_schema_is_registered_or_not(settings: Settings, answers: Answers, status: int, there: bool) -> None:
    answers[f"subjects/{SUBJECT}"] = (status, {})
    assert registry.registered(settings, SUBJECT, SCHEMA) is there


def test_a_schema_gets_its_id(settings: Settings, answers: Answers) -> None:
    answers[f"subjects/{SUBJECT}/versions"] = (200, {"id": 7})
    assert registry.register(settings, SUBJECT, SCHEMA) == 7


@pytest.mark.parametrize("status", [409, 422])
def test_a_schema_that_is_refused_is_told_with_the_registrys_reason(
    settings: Settings, answers: Answers, status: int
) -> None:
    answers[f"subjects/{SUBJECT}/versions"] = (status, {"message": "no default"})
    with pytest.raises(TerminalError, match=r"refuses the schema of users-value: no default$") as refused:
        registry.register(settings, SUBJECT, SCHEMA)
    assert "backward compatible" in refused.value.remedy


_COMPATIBILITY = f"compatibility/subjects/{SUBJECT}/versions/latest?verbose=true"


@pytest.mark.parametrize("answer", [(200, {"is_compatible": True}), (404, {})])
def test_a_schema_that_fits_or_is_the_first_may_come(
    settings: Settings, answers: Answers, answer: tuple[int, dict[str, Any]]
) -> None:
    answers[_COMPATIBILITY] = answer
    registry.check_compatible(settings, SUBJECT, SCHEMA)


@pytest.mark.parametrize(
    ("messages", "why"), [(["a is gone", "b is new"], "a is gone; b is new"), (None, "it is not backward compatible")]
)
def test_a_schema_that_does_not_fit_is_told_with_why(
    settings: Settings, answers: Answers, messages: list[str] | None, why: str
) -> None:
    answers[_COMPATIBILITY] = (200, {"is_compatible": False, "messages": messages})
    with pytest.raises(TerminalError, match=f"{why}$"):
        registry.check_compatible(settings, SUBJECT, SCHEMA)


def test_a_registry_in_trouble_may_be_asked_again(settings: Settings, answers: Answers) -> None:
    answers[f"subjects/{SUBJECT}"] = (503, {"message": "later"})
    with pytest.raises(TransientError, match="answered 503 for users-value"):
        registry.registered(settings, SUBJECT, SCHEMA)


def test_a_registry_that_is_away_is_told() -> None:
    with pytest.raises(TransientError, match=r"^the schema registry at http://127\.0\.0\.1:9/\S+ does not answer"):
        registry.register(Settings(ports={registry.PORT.name: 9}), SUBJECT, SCHEMA)
