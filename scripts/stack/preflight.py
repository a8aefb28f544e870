"""What must hold before anything is started: free ports, memory and disk."""

import errno
import shutil
import socket
from collections.abc import Iterable
from pathlib import Path

import psutil

from nifi_flows.errors import TerminalError
from scripts.stack.engine import Engine
from scripts.stack.settings import LOOPBACK

MEMORY_NEEDED = 6 * 1024**3  # bytes that the whole stack may come to use
DISK_NEEDED = 6 * 1024**3  # bytes for engines, their data and logs


def check_ports(engines: Iterable[Engine]) -> None:
    """Raise TerminalError naming the first port that somebody else holds."""
    for engine in engines:
        for port, purpose in engine.ports.items():
            holder = _holder(port)
            if holder is not None:
                raise TerminalError(
                    f"port {port} for the {purpose} is taken{holder}",
                    "stop what holds it, or choose another port: the PIPELINE_..._PORT variables are in the README",
                )


def check_memory() -> None:
    available = psutil.virtual_memory().available
    if available < MEMORY_NEEDED:
        raise TerminalError(
            f"the stack needs {_gib(MEMORY_NEEDED)} of free memory, this machine has {_gib(available)}",
            "stop other programs or use a larger machine",
        )


def check_disk(folder: Path) -> None:
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if free < DISK_NEEDED:
        raise TerminalError(
            f"the stack needs {_gib(DISK_NEEDED)} of free disk in {folder}, there are {_gib(free)}",
            "free some, or move it with PIPELINE_HOME and PIPELINE_CACHE",
        )


def _holder(port: int) -> str | None:
    """None when the port is free, else who holds it as far as this user may know."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: TIME_WAIT is no obstacle
        try:
            probe.bind((LOOPBACK, port))
            return None
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                return f" ({error.strerror})"
    try:
        for connection in psutil.net_connections("tcp"):
            if connection.laddr and connection.laddr.port == port and connection.status == psutil.CONN_LISTEN:
                name = psutil.Process(connection.pid).name() if connection.pid else "another user's process"
                return f" by {name}" + (f" (process {connection.pid})" if connection.pid else "")
    except psutil.Error:
        pass
    return ""


def _gib(size: int) -> str:
    return f"{size / 1024**3:.1f} GiB"
