"""What is refused before anything is started: taken ports, too little memory, too little disk."""

import os
import shutil
import socket
import subprocess
import sys
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from nifi_flows.errors import TerminalError
from scripts.stack import machine, preflight
from scripts.stack.engine import Engine

GIB = 1024**3
Usage = namedtuple("Usage", "total used free")
Memory = namedtuple("Memory", "available")


def engine(*ports: int) -> Engine:
    return Engine("engine", "Engine", "", {port: f"thing {port}" for port in ports}, lambda credentials, patience: "")


@pytest.fixture
def listening() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


def test_free_ports_pass_and_are_free_afterwards() -> None:
    port = free_port()
    preflight.check_ports([engine(port), engine()])
    preflight.check_ports([engine(port)])
    socket.create_server(("127.0.0.1", port)).close()


def test_a_taken_port_is_named_with_its_purpose_and_its_holder(listening: int) -> None:
    with pytest.raises(TerminalError) as refused:
        preflight.check_ports([engine(free_port()), engine(listening)])
    holder = psutil.Process().name()
    assert str(refused.value) == (
        f"port {listening} for the thing {listening} is taken by {holder} (process {os.getpid()})"
    )
    assert "PORT" in refused.value.remedy


def test_the_holder_may_be_another_process() -> None:
    script = "import socket; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-S", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        port = int(other.stdout.readline())
        with pytest.raises(TerminalError, match=rf"\(process {other.pid}\)$"):
            preflight.check_ports([engine(port)])


def test_a_port_that_is_held_on_every_address_is_taken() -> None:
    with (
        socket.create_server(("0.0.0.0", 0)) as server,
        pytest.raises(TerminalError, match="is taken by"),
    ):
        preflight.check_ports([engine(server.getsockname()[1])])


def test_a_holder_that_hides_still_holds(listening: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(kind: str) -> None:
        raise psutil.AccessDenied

    monkeypatch.setattr(psutil, "net_connections", denied)
    with pytest.raises(TerminalError, match=f"^port {listening} for the thing {listening} is taken$"):
        preflight.check_ports([engine(listening)])


def test_a_connection_that_lingers_after_its_server_is_no_holder() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        client = socket.create_connection(("127.0.0.1", port))
        accepted, _ = server.accept()
        accepted.close()  # who closes first is left in TIME_WAIT
        client.close()
    preflight.check_ports([engine(port)])


def test_a_port_that_this_user_may_not_open_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Denied(socket.socket):
        def bind(self, address: object) -> None:
            raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket, "socket", Denied)
    with pytest.raises(TerminalError, match=r"^port 80 for the thing 80 .*\(Permission denied\)$"):
        preflight.check_ports([engine(80)])


@pytest.mark.parametrize(("available", "fits"), [(6 * GIB, True), (6 * GIB - 1, False), (2 * GIB, False)])
def test_memory(available: int, fits: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: Memory(available))
    monkeypatch.setattr(machine, "memory_limits", lambda: [])
    if fits:
        preflight.check_memory()
        return
    with pytest.raises(TerminalError, match=r"needs 6\.0 GiB of free memory, this machine has \d\.\d GiB") as refused:
        preflight.check_memory()
    assert refused.value.remedy


@pytest.mark.parametrize(("free", "fits"), [(6 * GIB, True), (GIB // 2, False)])
def test_disk_is_asked_for_where_the_folder_will_be(
    free: int, fits: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Path] = []

    def usage(folder: Path) -> Usage:
        asked.append(folder)
        return Usage(100 * GIB, 0, free)

    monkeypatch.setattr(shutil, "disk_usage", usage)
    folder = tmp_path / "not" / "there" / "yet"
    if fits:
        preflight.check_disk(folder)
    else:
        with pytest.raises(TerminalError) as refused:
            preflight.check_disk(folder)
        assert str(refused.value) == f"the stack needs 6.0 GiB of free disk in {tmp_path}, there are 0.5 GiB"
        assert "PIPELINE_HOME" in refused.value.remedy
    assert asked == [tmp_path]
    assert not folder.parent.exists(), "to look is not to make"
