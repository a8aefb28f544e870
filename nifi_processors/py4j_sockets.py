"""Make NiFi's bridge answer without pauses: 40 ms for each page of more than 8 KB, as it comes.

NiFi's side of py4j writes an answer in pieces of 8 KB and leaves Nagle's algorithm on: what follows the first piece
waits until that one is acknowledged, which the kernel on this side delays. A py4j with TCP_NODELAY would mend it there
(https://github.com/py4j/py4j/pull/592); the one that NiFi 2.3.0 bundles has none.
"""

import contextlib
import functools
import io
import socket
from typing import Any

_BUFFER = 64 * 1024  # bytes; with the usual 8 KB a page of megabytes takes hundreds of reads


class _AcknowledgingAtOnce(socket.SocketIO):
    """Has the kernel acknowledge what is read at once. Asked for before each read, since Linux forgets it."""

    def __init__(self, connected: socket.socket) -> None:
        super().__init__(connected, "rb")
        self._connected = connected

    def readinto(self, buffer: Any) -> int | None:
        self._connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        return super().readinto(buffer)


def acknowledge_at_once() -> None:
    """Have this process acknowledge NiFi's answers at once, on connections that are open already too.

    Where the platform has no such option, or outside NiFi, without py4j, there is nothing to do.
    """
    if not hasattr(socket, "TCP_QUICKACK"):
        return
    with contextlib.suppress(ImportError):
        from py4j.java_gateway import GatewayConnection

        send = GatewayConnection.send_command
        if hasattr(send, "__wrapped__"):
            return

        @functools.wraps(send)
        def send_command(connection: Any, command: str) -> Any:
            # Between an answer and the next command the old stream holds nothing, and this thread alone has it.
            if connection.stream.raw.__class__ is socket.SocketIO:
                connection.stream = io.BufferedReader(_AcknowledgingAtOnce(connection.socket), _BUFFER)
            return send(connection, command)

        GatewayConnection.send_command = send_command
