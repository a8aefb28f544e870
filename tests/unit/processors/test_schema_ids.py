"""Schema ids for the processors: asked for once, and what a registry may answer instead."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from nifi_processors.contract import contract
from nifi_processors.errors import ContractError, RegistryError
from nifi_processors.registry import SchemaRegistry


class Registry(BaseHTTPRequestHandler):
    answers: dict[str, tuple[int, bytes]]
    asked: list[tuple[str, Any]]

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append((self.path, body))
        code, answer = self.answers.get(self.path, (404, b'{"error_code":40401}'))
        self.send_response(code)
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def registry() -> Iterator[type[Registry]]:
    handler: Any = type("Handler", (Registry,), {"answers": {}, "asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    handler.url = f"http://127.0.0.1:{server.server_port}/apis"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield handler
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_schema_id_is_looked_up_by_the_exact_schema_and_once(registry: Any) -> None:
    registry.answers["/apis/subjects/t-value"] = (200, b'{"subject":"t-value","id":12,"version":1}')
    ids = SchemaRegistry(registry.url + "/")
    assert [ids.schema_id("t", "user"), ids.schema_id("t", "user")] == [12, 12]
    assert registry.asked == [("/apis/subjects/t-value", {"schema": contract("user").text})]


def test_an_unknown_schema_says_to_deploy_and_is_asked_for_again(registry: Any) -> None:
    ids = SchemaRegistry(registry.url)
    with pytest.raises(ContractError, match=r"user\.avsc under t-value") as raised:
        ids.schema_id("t", "user")
    assert "deploy" in raised.value.remedy
    registry.answers["/apis/subjects/t-value"] = (200, b'{"id":3}')
    assert ids.schema_id("t", "user") == 3


@pytest.mark.parametrize("answer", [(500, b"{}"), (200, b"<html>"), (200, b"[]"), (200, b'{"id":null}')])
def test_a_registry_that_talks_nonsense_is_named(registry: Any, answer: tuple[int, bytes]) -> None:
    registry.answers["/apis/subjects/t-value"] = answer
    with pytest.raises(RegistryError, match=r"127\.0\.0\.1"):
        SchemaRegistry(registry.url).schema_id("t", "user")


def test_a_registry_that_is_down_is_named() -> None:
    with pytest.raises(RegistryError, match=r"127\.0\.0\.1:1 .*refused"):
        SchemaRegistry("http://127.0.0.1:1").schema_id("t", "user")
