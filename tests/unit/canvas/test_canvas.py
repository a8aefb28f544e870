"""The canvas's proxy before a small TLS server that, as NiFi does, asks for a certificate and tells what it got."""

import asyncio
import gzip
import http.client
import json
import os
import re
import secrets
import signal
import socket
import ssl
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from aiohttp import web
from multidict import CIMultiDict

from nifi_flows.connection import NiFi
from nifi_flows.errors import TerminalError, TransientError
from scripts.canvas import proxy
from scripts.canvas.gate import COOKIE, Gate
from scripts.commands import canvas
from scripts.stack import credentials
from scripts.stack.engines import nifi as nifi_engine
from scripts.stack.engines import spark
from scripts.stack.settings import Settings
from scripts.stack.stack import nifi_of
from scripts.stack.supervise import Supervisor

ipv6 = pytest.mark.skipif(not Path("/proc/net/if_inet6").exists(), reason="this machine has no IPv6")

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


def filled(template: str, canvas: Canvas) -> str:
    host = canvas.gate.host
    return template.format(host=host, name=host.partition(":")[0], port=canvas.port)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


@pytest.fixture(scope="module")
def loop() -> Iterator[Loop]:
    made = Loop()
    yield made
    made.end()


@pytest.fixture(scope="module")
def upstream(loop: Loop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upstream]:
    made = Upstream(loop, tmp_path_factory.mktemp("stack"))
    yield made
    made.stop()


@pytest.fixture
def fresh(loop: Loop, upstream: Upstream) -> Iterator[Canvas]:
    """A canvas whose link nobody has opened."""
    made = Canvas(loop, upstream)
    yield made
    made.stop()


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


@pytest.fixture(scope="module")
def admitted(loop: Loop, upstream: Upstream) -> Iterator[Admitted]:
    made = Canvas(loop, upstream)
    yield Admitted(made, made.enter())
    made.stop()


# The link


def test_the_link_lets_one_browser_in_once(fresh: Canvas) -> None:
    opened = fresh.ask("GET", fresh.door, [fresh.own, ("Sec-Fetch-Site", "cross-site")])
    assert opened.status == 200
    assert 'content="0;url=/nifi/"' in opened.words
    cookie = opened.headers["Set-Cookie"]
    name, _, attributes = cookie.partition("=")
    assert name == "canvas"
    # without a Domain, for this host name alone
    assert {part.strip() for part in attributes.split(";")[1:]} == {"HttpOnly", "SameSite=Strict", "Path=/"}
    token = fresh.door.partition("=")[2]
    assert token not in str(opened.headers) + opened.words
    assert len(token) >= 40
    assert fresh.ask("GET", "/nifi/", [fresh.own, ("Cookie", cookie.partition(";")[0])]).status == 200

    again = fresh.ask("GET", fresh.door, [fresh.own])
    assert again.status == 403
    assert "run it again" in again.words
    assert "Set-Cookie" not in again.headers


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "/?token=",
        "/?token=wrong",
        "/?token=%C3%A9",
        "/?token=%FF%ED%A0%80",
        "/?token",
        "/nifi/",
        "/nifi/?token={}",
    ],
)
def test_what_is_not_the_link_lets_nobody_in_and_leaves_it_good(fresh: Canvas, upstream: Upstream, target: str) -> None:
    before = upstream.seen
    refused = fresh.ask("GET", target.format(fresh.door.partition("=")[2]), [fresh.own])
    assert refused.status == 403
    assert "Set-Cookie" not in refused.headers
    assert fresh.ask("HEAD", fresh.door, [fresh.own]).status == 403
    assert fresh.ask("POST", fresh.door, [fresh.own, fresh.origin], b"").status == 403
    assert upstream.seen == before
    fresh.enter()


def test_our_own_answers_are_not_kept_framed_or_told_to_others(fresh: Canvas) -> None:
    for answer in (
        fresh.ask("GET", "/nifi/", [fresh.own]),
        fresh.ask("GET", fresh.door, [fresh.own]),
        fresh.ask("GET", "/", [("Host", "evil.test")]),
    ):
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]


def test_who_is_in_already_goes_on_to_the_canvas(admitted: Admitted) -> None:
    for door in ("/", admitted.canvas.door):
        sent_on = admitted.get(door)
        assert (sent_on.status, sent_on.headers["Location"]) == (303, "/nifi/")


@pytest.mark.parametrize(
    "cookie",
    [
        "",
        "canvas=",
        "canvas=wrong",
        "canvas=\u00e9",
        "canvas1={value}",
        "{value}",
        "canvas={value}x",
        'a="{{"; canvas',
    ],
)
def test_a_cookie_that_is_not_ours_lets_nobody_in(admitted: Admitted, upstream: Upstream, cookie: str) -> None:
    value = admitted.cookie[1].partition("=")[2]
    header = ("Cookie", cookie.format(value=value))
    before = upstream.seen
    assert admitted.canvas.ask("GET", "/nifi-api/flow", [admitted.canvas.own, header]).status == 403
    assert upstream.seen == before


@pytest.mark.parametrize("other", ["a=b; ", 'session={"user": [1,2]}; ', "=; ;;", "käse=é; ", "canvas1=x; "])
def test_the_cookies_of_others_are_no_hindrance(admitted: Admitted, other: str) -> None:
    header = ("Cookie", other + admitted.cookie[1])
    assert admitted.canvas.ask("GET", "/x", [admitted.canvas.own, header]).status == 200


def test_the_cookie_of_one_run_is_none_for_the_next(fresh: Canvas, admitted: Admitted) -> None:
    assert fresh.ask("GET", "/nifi/", [fresh.own, admitted.cookie]).status == 403


# Where a request is meant to go, and comes from


@pytest.mark.parametrize(
    "hosts",
    [
        ["evil.test"],
        ["evil.test:{port}"],
        ["127.0.0.1:{port}"],
        ["localhost:{port}"],
        ["[::1]:{port}"],
        ["0.0.0.0:{port}"],
        ["{name}"],
        ["{name}:1"],
        ["{name}.:{port}"],
        ["x{name}:{port}"],
        ["x.{name}:{port}"],
        ["{host}.evil.test"],
        ["{name}.evil.test:{port}"],
        ["user@{host}"],
        [""],
        [],
        ["{host}", "evil.test"],
        ["evil.test", "{host}"],
    ],
    ids=str,
)
def test_a_foreign_host_is_refused_link_and_cookie_or_not(
    admitted: Admitted, fresh: Canvas, upstream: Upstream, hosts: list[str]
) -> None:
    before = upstream.seen
    for asked, target, headers in (
        (admitted.canvas, "/nifi-api/flow", [admitted.cookie, admitted.canvas.origin]),
        (fresh, fresh.door, []),
    ):
        answer = asked.ask("GET", target, [*(("Host", filled(host, asked)) for host in hosts), *headers])
        assert answer.status in (421, 400)
        assert answer.status == 421 or len(hosts) != 1
    assert upstream.seen == before
    fresh.enter()


def test_the_name_is_of_this_run_alone_and_browsers_take_it_for_this_machine() -> None:
    hosts = {Gate(8445).host for _ in range(20)}
    assert len(hosts) == 20
    # no more than NiFi takes for a host name
    assert all(re.fullmatch(r"[0-9a-f]{32}\.localhost:8445", host) for host in hosts)


def test_a_host_name_is_the_same_in_capitals(admitted: Admitted) -> None:
    host = ("Host", admitted.canvas.gate.host.upper())
    headers = [host, admitted.cookie, admitted.canvas.origin]
    assert admitted.canvas.ask("POST", "/x", headers, b"").status == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
@pytest.mark.parametrize(
    "origins",
    [
        [],
        ["null"],
        [""],
        ["http://evil.test"],
        ["http://127.0.0.1:{port}"],
        ["http://localhost:{port}"],
        ["http://{name}"],
        ["http://{name}:1"],
        ["https://{host}"],
        ["http://x.{host}"],
        ["http://{host}.evil.test"],
        ["http://{host}/"],
        ["http://{host}", "http://evil.test"],
        ["http://evil.test", "http://{host}"],
    ],
    ids=str,
)
def test_only_our_own_pages_change_something(
    admitted: Admitted, upstream: Upstream, method: str, origins: list[str]
) -> None:
    before = upstream.seen
    headers = [("Origin", filled(origin, admitted.canvas)) for origin in origins]
    answer = admitted.canvas.ask(method, "/x", [admitted.canvas.own, admitted.cookie, *headers], b"{}")
    assert answer.status == 403 or (answer.status == 400 and len(origins) > 1)
    assert upstream.seen == before
    if origins:
        assert admitted.get("/x", *headers).status in (403, 400)
        assert upstream.seen == before


def test_a_change_that_says_another_site_sent_it_is_refused(admitted: Admitted) -> None:
    assert admitted.change("/x", ("Sec-Fetch-Site", "same-site")).status == 403
    assert admitted.change("/x", ("Sec-Fetch-Site", "same-origin")).status == 200


@pytest.mark.parametrize(
    ("site", "status"),
    [("cross-site", 403), ("same-site", 403), ("Same-Origin", 403), ("same-origin", 200), ("none", 200)],
)
def test_pages_of_another_port_read_nothing_by_our_cookie(admitted: Admitted, site: str, status: int) -> None:
    """To SameSite=Strict, any port of a host name is the same site."""
    assert admitted.get("/nifi-api/flow", ("Sec-Fetch-Site", site)).status == status


@pytest.mark.parametrize("method", ["OPTIONS", "PATCH", "TRACE", "CONNECT", "PROPFIND", "get"])
def test_other_methods_are_refused(admitted: Admitted, upstream: Upstream, method: str) -> None:
    before = upstream.seen
    assert admitted.get("/x", admitted.canvas.origin, method=method).status in (400, 405)
    assert upstream.seen == before


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "http://evil.test/x"),
        ("GET", "https://127.0.0.1:1/x"),
        ("GET", "http://{host}/x"),
        ("GET", "http://{host}/{door}"),
        ("CONNECT", "127.0.0.1:{nifi}"),
        ("OPTIONS", "*"),
        ("GET", "*"),
        ("GET", "evil.test"),
        ("GET", "@evil.test/"),
    ],
)
def test_it_is_no_proxy_to_elsewhere(admitted: Admitted, upstream: Upstream, method: str, target: str) -> None:
    before = upstream.seen
    door = admitted.canvas.door[1:]
    asked = target.format(host=admitted.canvas.gate.host, nifi=upstream.settings.port(nifi_engine.PORT), door=door)
    assert admitted.get(asked, method=method).status in (400, 405)
    assert upstream.seen == before


@pytest.mark.parametrize(
    "target",
    [
        "//evil.test/x",
        "///evil.test",
        "/\\evil.test",
        "/@evil.test/",
        "/:80@evil.test",
        "/../../etc",
        "/a/../b",
        "/a/./b//c",
        "/%2e%2e/%2F%00",
        "/;a=b?c=d&c=e+f%20g",
        "/nifi-api/x?q=%22%C3%A9%22|",
        "//?token=x",
        "/%3Ftoken=x",
    ],
)
def test_every_path_goes_to_nifi_alone_and_as_it_came(admitted: Admitted, target: str) -> None:
    seen = admitted.get(target).seen
    assert seen["target"] == target
    assert seen["client"] == {"commonName": "admin"}


@pytest.mark.parametrize("target", ["//", "//?token={}", "/./?token={}", "/%2F?token={}", "/nifi?token={}"])
def test_what_looks_like_the_door_is_none(fresh: Canvas, upstream: Upstream, target: str) -> None:
    before = upstream.seen
    assert fresh.ask("GET", target.format(fresh.door.partition("=")[2]), [fresh.own]).status == 403
    assert upstream.seen == before
    fresh.enter()


def test_a_websocket_is_not_opened(admitted: Admitted, upstream: Upstream) -> None:
    upgrade = [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")]
    before = upstream.seen
    for headers in ([*upgrade, ("Origin", "http://evil.test")], [*upgrade, ("Sec-Fetch-Site", "cross-site")]):
        assert admitted.get("/x", *headers).status == 403
    assert admitted.canvas.ask("GET", "/x", [admitted.canvas.own, admitted.canvas.origin, *upgrade]).status == 403
    assert upstream.seen == before
    ordinary = admitted.get("/x", admitted.canvas.origin, *upgrade)
    assert ordinary.status == 200
    assert not {"upgrade", "connection"} & {name for name, value in ordinary.seen["headers"] if value != "keep-alive"}


# What NiFi gets and what the browser gets


def test_nifi_is_told_of_this_proxy_and_of_nobody_else(admitted: Admitted, upstream: Upstream) -> None:
    forged = [
        ("X-ProxiedEntitiesChain", "<CN=somebody>"),
        ("X-ProxiedEntityGroups", "<admins>"),
        ("X-ProxyHost", "evil.test"),
        ("x-proxyport", "1"),
        ("X-ProxyContextPath", "/evil"),
        ("X-Forwarded-Host", "evil.test"),
        ("X-Forwarded-Prefix", "/evil"),
        ("X-Forwarded-For", "10.0.0.1"),
        ("Forwarded", "host=evil.test"),
        ("Authorization", "Bearer forged"),
        ("Proxy-Authorization", "Basic forged"),
        ("Keep-Alive", "timeout=5"),
        ("TE", "trailers"),
        ("Connection", "close, X-Named"),
        ("X-Named", "by Connection"),
    ]
    passing = [
        ("Accept", "application/json"),
        ("Accept-Encoding", "br"),
        ("User-Agent", "browser/1"),
        ("Content-Type", "application/json"),
        ("Filename", "flow.json"),
        ("Request-Token", "7"),
        ("X-Other", "1"),
        ("X-Other", "2"),
    ]
    seen = admitted.change("/nifi-api/x", *forged, *passing).seen
    name, _, port = admitted.canvas.gate.host.partition(":")
    added = [("X-ProxyScheme", "http"), ("X-ProxyHost", name), ("X-ProxyPort", port)]
    length = [("Host", f"127.0.0.1:{upstream.settings.port(nifi_engine.PORT)}"), ("Content-Length", "2")]
    expected = [admitted.canvas.origin, *passing, *added, *length]
    assert sorted(map(tuple, seen["headers"])) == sorted((name.lower(), value) for name, value in expected)


def test_nothing_is_added_to_a_bare_request(admitted: Admitted) -> None:
    names = {name for name, _ in admitted.get("/x").seen["headers"]}
    assert names == {"host", "x-proxyscheme", "x-proxyhost", "x-proxyport"}


def test_the_browser_gets_what_nifi_says_without_its_cookies(admitted: Admitted) -> None:
    page = admitted.get("/nifi/")
    assert page.words == "<title>canvas</title>"
    assert page.headers["X-Frame-Options"] == "SAMEORIGIN"
    assert page.headers.get_all("Referrer-Policy") == ["same-origin"]
    assert page.headers["Content-Length"] == "21"
    assert "Set-Cookie" not in page.headers
    assert "Keep-Alive" not in page.headers


@pytest.mark.parametrize("status", [201, 204, 302, 304, 400, 404, 409, 500])
def test_every_status_passes(admitted: Admitted, status: int) -> None:
    assert admitted.get(f"/x?status={status}").status == status


@pytest.mark.parametrize(("path", "length"), [("/nifi/", "21"), ("/big", None), ("/big?length", str(BIG))])
def test_head_has_headers_and_no_body(admitted: Admitted, path: str, length: str | None) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", admitted.canvas.port, timeout=20)
    for method in ("HEAD", "GET"):  # on one connection: whatever is left over comes before the second answer
        connection.request(method, path, headers=dict([admitted.canvas.own, admitted.cookie]))
        answer = connection.getresponse()
        assert (answer.status, answer.headers["Content-Length"]) == (200, length)
        assert bool(answer.read()) == (method == "GET")
    connection.close()


def test_what_comes_packed_stays_packed(admitted: Admitted) -> None:
    answer = admitted.get("/zip", ("Accept-Encoding", "gzip"))
    assert answer.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(answer.body) == b"packed"
    body = gzip.compress(b"up")
    seen = admitted.change("/x", ("Content-Encoding", "gzip"), body=body).seen
    assert seen["length"] == len(body)


@pytest.mark.parametrize("path", ["/big", "/big?length"])
def test_a_large_download_streams(admitted: Admitted, path: str) -> None:
    with socket.create_connection(("127.0.0.1", admitted.canvas.port), timeout=10) as client:
        lines = [
            f"GET {path} HTTP/1.1",
            *(f"{name}: {value}" for name, value in (admitted.canvas.own, admitted.cookie)),
        ]
        client.sendall("\r\n".join([*lines, "", ""]).encode())
        assert client.recv(1000).startswith(b"HTTP/1.1 200 OK\r\n")  # and goes away in the middle
    answer = admitted.get(path)
    assert answer.body == b"x" * BIG


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_a_body_is_sent_whole_and_with_its_length(admitted: Admitted, method: str) -> None:
    seen = admitted.change("/x", body=b"\x00\xff" * 2**20, method=method).seen
    assert (seen["method"], seen["length"]) == (method, 2**21)
    assert ["content-length", str(2**21)] in seen["headers"]


def test_a_body_in_chunks_reaches_nifi_with_its_length(admitted: Admitted) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", admitted.canvas.port, timeout=20)
    headers = dict([admitted.canvas.own, admitted.cookie, admitted.canvas.origin])
    connection.request("POST", "/x", iter([b"one", b"two"]), headers, encode_chunked=True)
    seen = json.loads(connection.getresponse().read())
    connection.close()
    assert seen["body"] == "onetwo"
    assert ["content-length", "6"] in seen["headers"]
    assert not [name for name, _ in seen["headers"] if name == "transfer-encoding"]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_a_change_without_a_body_passes(admitted: Admitted, method: str) -> None:
    for body in (None, b""):
        assert admitted.change("/x", body=body, method=method).seen["length"] == 0


def test_a_body_beyond_the_bound_is_refused(admitted: Admitted, upstream: Upstream) -> None:
    before = upstream.seen
    headers = [admitted.canvas.own, admitted.cookie, admitted.canvas.origin]
    refused = admitted.canvas.ask("POST", "/x", headers, b"x" * (proxy.MAX_BODY + 1))
    assert refused.status == 413
    assert upstream.seen == before


def test_a_stranger_s_body_is_not_waited_for(admitted: Admitted) -> None:
    with socket.create_connection(("127.0.0.1", admitted.canvas.port), timeout=10) as client:
        client.sendall(f"POST /x HTTP/1.1\r\nHost: {admitted.canvas.gate.host}\r\nContent-Length: 99\r\n\r\n".encode())
        assert client.recv(1000).startswith(b"HTTP/1.1 403 ")


def test_half_an_answer_does_not_pass_for_a_whole_one(admitted: Admitted) -> None:
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        admitted.get("/cut")
    assert admitted.get("/x").status == 200


def test_nifi_may_go_and_come_back(admitted: Admitted, upstream: Upstream) -> None:
    assert admitted.get("/x").status == 200
    upstream.stop()
    try:
        for answer in (admitted.get("/x"), admitted.change("/x")):
            assert answer.status == 502
            assert "does not answer" in answer.words
    finally:
        upstream.start()
    assert admitted.get("/x").status == 200
    assert admitted.change("/x").status == 200


def test_a_server_with_another_ca_is_not_believed(loop: Loop, upstream: Upstream, tmp_path: Path) -> None:
    other = nifi_of(upstream.settings, credentials.ensure(tmp_path / "other"))
    ours = NiFi(upstream.nifi.url, other.ca, upstream.nifi.certificate, upstream.nifi.key)
    stranger = NiFi(upstream.nifi.url, upstream.nifi.ca, other.certificate, other.key)
    for nifi in (ours, stranger):
        with pytest.raises(TransientError, match=r"^NiFi at https://127.0.0.1:\d+/nifi-api does not answer$"):
            loop.do(proxy.require(nifi))
    loop.do(proxy.require(upstream.nifi))


def test_damaged_certificates_are_named(loop: Loop, upstream: Upstream, tmp_path: Path) -> None:
    damaged = tmp_path / "admin.pem"
    damaged.write_text("rubbish")
    nifi = NiFi(upstream.nifi.url, upstream.nifi.ca, damaged, upstream.nifi.key)
    with pytest.raises(TerminalError, match=f"the certificates in {tmp_path} cannot be used"):
        loop.do(proxy.require(nifi))


# The command


@pytest.fixture
def placed(upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The settings of a stack that is up, by the environment, on a machine without a desktop."""
    for name in [name for name in os.environ if name.startswith("PIPELINE_")] + ["DISPLAY", "WAYLAND_DISPLAY"]:
        monkeypatch.delenv(name, raising=False)
    settings = replace(upstream.settings, ports={**upstream.settings.ports, "canvas": free_port()})
    monkeypatch.setenv("PIPELINE_HOME", str(settings.home))
    monkeypatch.setenv("PIPELINE_NIFI_PORT", str(settings.port(nifi_engine.PORT)))
    monkeypatch.setenv("PIPELINE_CANVAS_PORT", str(settings.port(nifi_engine.CANVAS)))
    monkeypatch.setattr(Supervisor, "running", lambda self: True)
    settings.run.mkdir(exist_ok=True)
    return settings


def run_until(capfd: pytest.CaptureFixture[str], number: int, meanwhile: Callable[[str], None]) -> str:
    """Run the command, do something with its link, send the signal; returns all that was said but the link."""
    failed: list[BaseException] = []
    said: list[str] = []

    def use() -> None:
        try:
            deadline = time.monotonic() + 30
            link = ""
            while not link:
                assert time.monotonic() < deadline
                time.sleep(0.01)
                link, told = capfd.readouterr()
                said.append(told)
            meanwhile(link.strip())
        except BaseException as error:  # noqa: BLE001 - raised below, in the test's own thread
            failed.append(error)
        finally:
            os.kill(os.getpid(), number)

    user = threading.Thread(target=use)
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    user.start()
    try:
        canvas.canvas()
    finally:
        user.join()
        signal.signal(signal.SIGTERM, before[0])
        signal.signal(signal.SIGINT, before[1])
    if failed:
        raise failed[0]
    rest = capfd.readouterr()
    return "".join([*said, rest.out, rest.err])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_serves_until_a_signal_and_tells_no_secret(
    placed: Settings, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, number: int
) -> None:
    secret: list[str] = []

    def use(link: str) -> None:
        parts = urlsplit(link)
        assert re.fullmatch(rf"[0-9a-f]+\.localhost:{placed.port(nifi_engine.CANVAS)}", parts.netloc)
        own = {"Host": parts.netloc}
        connection = http.client.HTTPConnection("127.0.0.1", placed.port(nifi_engine.CANVAS), timeout=10)
        connection.request("GET", f"/?{parts.query}", headers=own)
        opened = connection.getresponse()
        opened.read()
        cookie = str(opened.headers["Set-Cookie"]).partition(";")[0]
        secret.extend([link.partition("=")[2], cookie.partition("=")[2]])
        connection.request("GET", "/nifi/", headers={**own, "Cookie": cookie})  # and is kept open
        assert connection.getresponse().read()
        for rubbish in (f"GET /?token={secret[0]} HTTP/9\r\n", f"GET / HTTP/1.1\r\nCookie\x00: {cookie}\r\n"):
            with socket.create_connection(("127.0.0.1", placed.port(nifi_engine.CANVAS)), timeout=10) as client:
                client.sendall(f"{rubbish}\r\n".encode())
                assert b" 400 " in client.recv(1000)

    said = run_until(capfd, number, use) + caplog.text
    assert "until Ctrl-C" in said
    assert f"http://127.0.0.1:{placed.port(spark.CONSUMER_UI)}" in said
    assert not [word for word in secret if word in said]
    assert "Traceback" not in said
    socket.create_server(("127.0.0.1", placed.port(nifi_engine.CANVAS))).close()


def test_on_a_desktop_the_browser_opens_by_a_file_that_nobody_else_reads(
    placed: Settings, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    arrived = threading.Event()

    def browse(address: str) -> bool:
        opened.append(address)
        arrived.set()
        return True

    monkeypatch.setattr("webbrowser.open", browse)
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
    page = placed.run / "canvas.html"

    def use(link: str) -> None:
        assert arrived.wait(10)
        assert opened == [page.as_uri()]
        assert page.stat().st_mode & 0o077 == 0
        assert f"url={link}" in page.read_text()

    run_until(capfd, signal.SIGINT, use)
    assert not page.exists()


def test_without_a_desktop_nothing_is_opened(
    placed: Settings, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webbrowser.open", lambda address: pytest.fail("opened"))
    run_until(capfd, signal.SIGINT, lambda link: None)
    assert not (placed.run / "canvas.html").exists()


def test_without_nifi_it_says_so_before_anything_listens(placed: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPELINE_NIFI_PORT", str(free_port()))
    monkeypatch.setattr(proxy, "serve", lambda *_: pytest.fail("served"))
    with pytest.raises(TransientError, match=r"NiFi at https://127.0.0.1:\d+/nifi-api does not answer"):
        canvas.canvas()


def test_a_taken_port_is_refused_by_name(placed: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxy, "serve", lambda *_: pytest.fail("served"))
    with (
        socket.create_server(("127.0.0.1", placed.port(nifi_engine.CANVAS))),
        pytest.raises(TerminalError, match=f"port {placed.port(nifi_engine.CANVAS)} for the NiFi canvas is taken by"),
    ):
        canvas.canvas()


@ipv6
def test_whichever_loopback_a_browser_tries_it_reaches_the_proxy(
    placed: Settings, capfd: pytest.CaptureFixture[str]
) -> None:
    def use(link: str) -> None:
        for address in ("127.0.0.1", "::1"):
            connection = http.client.HTTPConnection(address, placed.port(nifi_engine.CANVAS), timeout=10)
            connection.request("GET", "/nifi/", headers={"Host": urlsplit(link).netloc})
            assert connection.getresponse().status == 403
            connection.close()

    run_until(capfd, signal.SIGINT, use)


@ipv6
def test_a_port_that_another_holds_on_one_loopback_is_refused_before_the_link_is_told(
    placed: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(canvas, "_show", lambda *_: pytest.fail("told"))
    with (
        socket.create_server(("::1", placed.port(nifi_engine.CANVAS)), family=socket.AF_INET6),
        pytest.raises(
            TerminalError, match=f"^port {placed.port(nifi_engine.CANVAS)} for the NiFi canvas is taken on ::1: "
        ),
    ):
        canvas.canvas()
    socket.create_server(("127.0.0.1", placed.port(nifi_engine.CANVAS))).close()


def test_without_ipv6_it_serves_all_the_same(
    placed: Settings, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proxy, "_LOOPBACK_6", "2001:db8::1")  # of documentation: no machine has it
    asked: list[str] = []
    run_until(capfd, signal.SIGINT, asked.append)
    assert asked


def test_without_a_stack_it_makes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPELINE_HOME", str(tmp_path / "none"))
    with pytest.raises(TransientError, match="the stack is not running"):
        canvas.canvas()
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("others", [None, [], ["evil.test"], ["127.0.0.1:1"]], ids=str)
def test_a_gate_wants_one_host(others: list[str] | None) -> None:
    gate = Gate(1)
    assert gate.foreign("GET", "/", CIMultiDict({"host": gate.host})) is None
    hosts = [] if others is None else [gate.host, *(others or [gate.host])]
    refusal = gate.foreign("GET", "/", CIMultiDict(("host", host) for host in hosts))
    assert refusal
    assert refusal.status == 421


def test_a_gate_compares_any_text() -> None:
    gate = Gate(1)
    assert gate.redeem("\udcff é") is None
    assert gate.unknown({COOKIE: "\udcff é"})
    assert gate.redeem(secrets.token_urlsafe(32)) is None
    assert gate.redeem(gate.link.partition("=")[2])
