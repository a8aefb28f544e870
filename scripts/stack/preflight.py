"""What must hold before anything is started: free ports, memory and disk."""

import errno
import shutil
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from nifi_flows.errors import TerminalError
from scripts.stack import machine
from scripts.stack.engine import Engine
from scripts.stack.settings import LOOPBACK

MEMORY_NEEDED = 6 * 1024**3  # bytes that the whole stack may come to use
DISK_NEEDED = 6 * 1024**3  # bytes for engines, their data and logs


@dataclass(frozen=True)
class PortHolder:
    """Who keeps a port from us. text: in words that follow "is taken", empty when unknown. pid: None when unknown."""

    text: str
    pid: int | None


def check_ports(engines: Iterable[Engine]) -> None:
    """Raise TerminalError naming the first port that somebody else holds."""
    for engine in engines:
        for port, purpose in engine.ports.items():
            check_port(port, purpose)


def check_port(port: int, purpose: str) -> None:
    """Raise TerminalError when somebody holds the port, naming who as far as this user may know."""
    found = holder(port)
    if found is not None:
        raise TerminalError(
            f"port {port} for the {purpose} is taken{found.text}",
            "stop what holds it, or choose another port: the PIPELINE_..._PORT variables are in the README",
        )


def check_memory() -> None:
    memory = machine.memory()
    if memory.available >= MEMORY_NEEDED:
        return
    needed = f"the stack needs {gib(MEMORY_NEEDED)} of free memory"
    if memory.limited:
        raise TerminalError(
            f"{needed}, its container's limit leaves {gib(memory.available)}", "raise the container's memory limit"
        )
    raise TerminalError(
        f"{needed}, this machine has {gib(memory.available)}", "stop other programs or use a larger machine"
    )


def check_disk(folder: Path) -> None:
    folder = existing(folder)
    free = shutil.disk_usage(folder).free
    if free < DISK_NEEDED:
        raise TerminalError(
            f"the stack needs {gib(DISK_NEEDED)} of free disk in {folder}, there are {gib(free)}",
            "free some, or move it with PIPELINE_HOME and PIPELINE_CACHE",
        )


def existing(folder: Path) -> Path:
    """The folder, or as long as it is not there, the one in which it will be made."""
    while not folder.exists():
        folder = folder.parent
    return folder


def holder(port: int) -> PortHolder | None:
    """None when the port is free, else who holds it as far as this user may know."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: TIME_WAIT is no obstacle
        try:
            probe.bind((LOOPBACK, port))
            return None
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                return PortHolder(f" ({error.strerror})", None)
    import psutil  # takes a while, which --help need not wait

    try:
        for connection in psutil.net_connections("tcp"):
            if connection.laddr and connection.laddr.port == port and connection.status == psutil.CONN_LISTEN:
                if not connection.pid:
                    return PortHolder(" by another user's process", None)
                name = psutil.Process(connection.pid).name()
                return PortHolder(f" by {name} (process {connection.pid})", connection.pid)
    except psutil.Error:
        pass
    return PortHolder("", None)


def gib(size: int) -> str:
    return f"{size / 1024**3:.1f} GiB"
