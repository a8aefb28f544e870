"""Asking a source for one user, against a real HTTP server on loopback."""

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from nifi_flows.errors import PipelineError, TerminalError, TransientError
from scripts.stack.probe import check_source

USERS = json.dumps({"results": [{"login": {"uuid": "x"}}], "info": {"page": 1}}).encode()


class Source(ThreadingHTTPServer):
    """Answers every request with one status, type and body; keeps the paths that were asked for."""

    daemon_threads = True
    status, kind, body = 200, "application/json", USERS

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/api/"


class Handler(BaseHTTPRequestHandler):
    server: Source

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        self.send_response(self.server.status)
        self.send_header("Content-Type", self.server.kind)
        self.send_header("Content-Length", str(len(self.server.body)))
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def source() -> Iterator[Source]:
    with Source() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def refusal(url: str) -> PipelineError:
    with pytest.raises(PipelineError) as refused:
        check_source(url)
    assert "\n" not in str(refused.value)
    assert refused.value.remedy
    return refused.value


def test_a_source_that_answers_with_users_is_fine_and_asked_once_for_one(source: Source) -> None:
    check_source(source.url)
    (asked,) = source.asked
    assert urlsplit(asked).path == "/api/"
    assert parse_qs(urlsplit(asked).query) == {"results": ["1"], "page": ["1"], "seed": ["probe"]}


def test_what_the_url_asks_for_already_is_kept(source: Source) -> None:
    check_source(source.url + "?nat=de,fr")
    assert parse_qs(urlsplit(source.asked[0]).query)["nat"] == ["de,fr"]


def test_a_source_that_only_limits_the_rate_is_fine(source: Source) -> None:
    source.status, source.kind, source.body = 429, "text/plain", b"slow down"
    check_source(source.url)


@pytest.mark.parametrize(("status", "reason"), [(500, "Internal Server Error"), (404, "Not Found"), (401, "Unauthor")])
def test_a_source_that_answers_with_an_error_is_told_with_its_status(source: Source, status: int, reason: str) -> None:
    source.status = status
    error = refusal(source.url)
    assert isinstance(error, TransientError)
    assert str(error).startswith(f"the source {source.url} answers {status} {reason}")


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("text/html; charset=utf-8", b"<html><body>Welcome</body></html>"),
        ("application/json", b'{"error": "no users today"}'),
        ("application/json", b'{"results": []}'),
        ("application/json", b'{"results": {"uuid": 1}}'),
        ("application/json", b'{"results": null}'),
        ("application/json", b'{"results": ["cut'),
        ("application/json", b"[1, 2]"),
        ("application/json", b"null"),
        ("application/json", b""),
        ("application/octet-stream", b"\xff\xfe\x00\x81"),
    ],
)
def test_a_source_that_talks_rubbish_is_told_by_what_it_sends(source: Source, kind: str, body: bytes) -> None:
    source.kind, source.body = kind, body
    error = refusal(source.url)
    assert isinstance(error, TerminalError)
    assert str(error) == f"the source {source.url} answers {kind}, but no page of users"


def test_a_source_that_is_down_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        url = f"http://127.0.0.1:{gone.getsockname()[1]}/api/"
    error = refusal(url)
    assert isinstance(error, TransientError)
    assert str(error).startswith(f"the source {url} does not answer: ")
    assert "Connection refused" in str(error)


def test_encryption_where_the_source_has_none_is_told(source: Source) -> None:
    error = refusal(source.url.replace("http:", "https:"))
    assert isinstance(error, TransientError)
    assert "SSL" in str(error)


@pytest.mark.parametrize("host", ["127.0.0.1:99999", "[bad", "a..b", "a" * 64 + ".example", "ex ample"])
def test_what_is_no_address_is_told(host: str) -> None:
    assert str(refusal(f"http://{host}/api/")).startswith(f"the source http://{host}/api/ does not answer: ")


@pytest.mark.parametrize("port", [1, 99999])
def test_what_a_url_holds_of_secrets_is_not_told(port: int) -> None:
    error = refusal(f"http://me:open-sesame@127.0.0.1:{port}/api/?key=t0ken")
    assert "open-sesame" not in str(error)
    assert "t0ken" not in str(error)
    assert f"the source http://127.0.0.1:{port}/api/ " in str(error)
