"""What is done to the sockets of NiFi's bridge, with py4j's own client on real sockets."""

import importlib
import inspect
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from nifi_processors.py4j_sockets import acknowledge_at_once

OPTION = getattr(socket, "TCP_QUICKACK", None)
ANSWER = "y" + "s" * 28_000


@contextmanager
def nifi() -> Iterator[int]:
    """The port of a server that answers each line."""

    def serve(connected: socket.socket) -> None:
        with connected, connected.makefile("rb") as lines:
            for _ in lines:
                connected.sendall(ANSWER.encode() + b"\n")

    def accept() -> None:
        while True:
            try:
                connected, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connected,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, daemon=True).start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def java_gateway(monkeypatch: pytest.MonkeyPatch) -> Any:
    """py4j as it comes, even where the processors were imported before; what is changed in it is taken back."""
    module: Any = importlib.import_module("py4j.java_gateway")
    known = module.GatewayConnection.send_command
    monkeypatch.setattr(module.GatewayConnection, "send_command", inspect.unwrap(known))
    return module


def connection(java_gateway: Any, port: int) -> Any:
    made = java_gateway.GatewayConnection(java_gateway.GatewayParameters(port=port))
    made.start()
    return made


def ask(connection: Any) -> tuple[str, int]:
    """An answer over a connection that delays acknowledgements, and whether it acknowledges at once afterwards."""
    connection.socket.setsockopt(socket.IPPROTO_TCP, OPTION, 0)
    answer = connection.send_command("c\n")
    return answer, connection.socket.getsockopt(socket.IPPROTO_TCP, OPTION)


@pytest.mark.skipif(OPTION is None, reason="the platform cannot acknowledge at once")
def test_answers_are_acknowledged_at_once_on_new_and_on_open_connections(java_gateway: Any) -> None:
    with nifi() as port:
        opened = connection(java_gateway, port)
        assert ask(opened)[0] == ANSWER
        acknowledge_at_once()
        for used in (opened, connection(java_gateway, port)):
            for _ in range(2):
                assert ask(used) == (ANSWER, 1)
            used.close()


def test_twice_is_as_once(java_gateway: Any) -> None:
    acknowledge_at_once()
    once = java_gateway.GatewayConnection.send_command
    acknowledge_at_once()
    assert java_gateway.GatewayConnection.send_command is once


def test_a_platform_without_the_option_is_left_as_it_is(java_gateway: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(socket, "TCP_QUICKACK", raising=False)
    plain = java_gateway.GatewayConnection.send_command
    acknowledge_at_once()
    assert java_gateway.GatewayConnection.send_command is plain


@pytest.mark.parametrize("module", ["publish_users", "publish_dead_letters"])
def test_the_processors_that_read_content_have_it_so(java_gateway: Any, module: str) -> None:
    importlib.reload(importlib.import_module(f"nifi_processors.processors.{module}"))
    assert hasattr(java_gateway.GatewayConnection.send_command, "__wrapped__")
