"""The canvas's proxy before a small TLS server that, as NiFi does, asks for a certificate and tells what it got."""

import asyncio
import gzip
import http.client
import json
import socket
import ssl
import threading
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

from nifi_flows.connection import NiFi
from scripts.canvas import proxy
from scripts.canvas.gate import Gate
from scripts.stack import credentials
from scripts.stack.engines import nifi as nifi_engine
from scripts.stack.settings import Settings
from scripts.stack.stack import nifi_of

Headers = Sequence[tuple[str, str]]
BIG = 8 * 1024**2  # bytes, more than any buffer on the way


@dataclass(frozen=True)
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def words(self) -> str:
        return self.body.decode()

    @property
    def seen(self) -> dict[str, Any]:
        """The request as it arrived behind the proxy."""
        found: dict[str, Any] = json.loads(self.body)
        return found


class Loop:
    """An event loop in a thread, with servers in it."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def do(self, awaitable: Awaitable[Any]) -> Any:
        async def awaited() -> Any:
            return await awaitable

        return asyncio.run_coroutine_threadsafe(awaited(), self._loop).result(20)

    def serve(self, app: web.Application, port: int, context: ssl.SSLContext | None = None) -> web.AppRunner:
        # As `serve` runs it, without its signals, which only a main thread gets.
        runner = web.AppRunner(app, access_log=None, auto_decompress=False, shutdown_timeout=0.1)
        self.do(runner.setup())
        self.do(web.TCPSite(runner, "127.0.0.1", port, ssl_context=context).start())
        return runner

    def end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class Upstream:
    """Stands for NiFi; `seen` counts what got through to it."""

    def __init__(self, loop: Loop, folder: Path) -> None:
        self.settings = Settings(home=folder, ports={"nifi": free_port(), "canvas": free_port()})
        made = credentials.ensure(self.settings.secrets)
        self.nifi: NiFi = nifi_of(self.settings, made)
        self.seen = 0
        self._loop = loop
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=made.ca)
        self._context.verify_mode = ssl.CERT_REQUIRED
        self._context.load_cert_chain(made.nifi_certificate, made.nifi_key)
        self.start()

    def start(self) -> None:
        app = web.Application(client_max_size=1024**3)
        for path, handler in (("/nifi/", self._page), ("/big", self._big), ("/cut", self._cut), ("/zip", self._zip)):
            app.router.add_get(path, handler)
        app.router.add_route("*", "/{path:.*}", self._echo)
        self._runner = self._loop.serve(app, self.settings.port(nifi_engine.PORT), self._context)

    def stop(self) -> None:
        self._loop.do(self._runner.cleanup())

    async def _echo(self, request: web.Request) -> web.Response:
        self.seen += 1
        body = await request.read()
        assert request.transport
        return web.json_response(
            {
                "method": request.method,
                "target": request.raw_path,
                "headers": [[name.lower(), value] for name, value in request.headers.items()],
                "length": len(body),
                "body": body[:100].decode("latin-1"),
                "client": dict(pair[0] for pair in request.transport.get_extra_info("peercert")["subject"]),
            },
            status=int(request.query.get("status", "200")),
            headers={"Location": "/nifi/"} if request.query.get("status") == "302" else {},
        )

    async def _page(self, request: web.Request) -> web.Response:
        response = web.Response(text="<title>canvas</title>", content_type="text/html")
        response.headers["X-Frame-Options"] = "SAMEORIGIN"
        response.headers["Keep-Alive"] = "timeout=5"
        response.headers["Referrer-Policy"] = "unsafe-url"
        response.set_cookie("__Secure-Request-Token", "value")
        return response

    async def _big(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        if "length" in request.query:
            response.content_length = BIG
        await response.prepare(request)
        if request.method == "HEAD":
            return response
        for _ in range(BIG // 2**18):
            await response.write(b"x" * 2**18)
        return response

    async def _cut(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"half")
        assert request.transport
        request.transport.abort()
        return response

    async def _zip(self, request: web.Request) -> web.Response:
        return web.Response(body=gzip.compress(b"packed"), headers={"Content-Encoding": "gzip"})


class Canvas:
    """A proxy before the upstream, and how one asks it."""

    def __init__(self, loop: Loop, upstream: Upstream) -> None:
        self.port = free_port()
        self.gate = Gate(self.port)
        self.own = ("Host", self.gate.host)
        self.origin = ("Origin", f"http://{self.gate.host}")
        self._loop = loop
        self._runner = loop.serve(proxy.make_app(upstream.nifi, self.gate), self.port)

    def stop(self) -> None:
        self._loop.do(self._runner.cleanup())

    @property
    def door(self) -> str:
        """The link, from its path on."""
        return "/" + self.gate.link.partition("/?")[2].join(("?", ""))

    def enter(self) -> tuple[str, str]:
        """Come through the link; returns the header with the cookie."""
        answer = self.ask("GET", self.door, [self.own])
        assert answer.status == 200
        return "Cookie", str(answer.headers["Set-Cookie"]).partition(";")[0]

    def ask(self, method: str, target: str, headers: Headers = (), body: bytes | None = None) -> Answer:
        """Ask exactly this: nothing is added but the length of a body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
            for name, value in headers:
                connection.putheader(name, value.encode("latin-1"))
            if body is not None:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders()
            if body:
                connection.send(body)
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())
        finally:
            connection.close()


@dataclass(frozen=True)
class Admitted:
    """A browser that came through the link, and the header that shows it."""

    canvas: Canvas
    cookie: tuple[str, str]

    def get(self, target: str, *headers: tuple[str, str], method: str = "GET") -> Answer:
        return self.canvas.ask(method, target, [self.canvas.own, self.cookie, *headers])

    def change(
        self, target: str, *headers: tuple[str, str], body: bytes | None = b"{}", method: str = "POST"
    ) -> Answer:
        return self.canvas.ask(method, target, [self.canvas.own, self.cookie, self.canvas.origin, *headers], body)


def filled(template: str, canvas: Canvas) -> str:
    host = canvas.gate.host
    return template.format(host=host, name=host.partition(":")[0], port=canvas.port)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port
