"""A reverse proxy on loopback that shows a NiFi on mutual TLS to a browser without a certificate."""

import asyncio
import errno
import logging
import signal
import ssl
from collections.abc import AsyncIterator, Callable, Iterable
from functools import partial

import aiohttp
from aiohttp import http_exceptions, web
from aiohttp.typedefs import Handler, Middleware
from multidict import CIMultiDict, MultiMapping
from yarl import URL

from nifi_flows.connection import NiFi
from nifi_flows.errors import TerminalError, TransientError
from scripts.canvas.gate import COOKIE, Gate, Refusal, is_door
from scripts.stack.settings import LOOPBACK

MAX_BODY = 64 * 1024**2  # bytes of an upload, which is held in memory; a large flow has a few million

_HOME = "/nifi/"
_LOOPBACK_6 = "::1"
_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=90)  # NiFi itself gives a request up after 60 s

_HOP_BY_HOP = frozenset({"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"})
# Host and length are set anew, Expect has been answered; the others would tell NiFi of another caller or another proxy.
_NOT_SENT = frozenset({"host", "content-length", "expect", "authorization", "cookie", "forwarded"})
_NOT_SENT_PREFIXES = ("x-prox", "x-forwarded-", "proxy-")
# NiFi's cookies are for its own origin, and it asks for none of them from who comes with a certificate.
_NOT_RETURNED = frozenset({"set-cookie"})
_ADDED_BY_CLIENT = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")

_OWN_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
# A page and no redirect: a browser that comes from elsewhere keeps a SameSite=Strict cookie back from a redirect.
_WELCOME = f"""\
<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0;url={_HOME}">
<title>NiFi canvas</title><p><a href="{_HOME}">To the canvas</a>
"""

_SESSION = web.AppKey("session", aiohttp.ClientSession)


def _not_malformed(record: logging.LogRecord) -> bool:
    return not (record.exc_info and isinstance(record.exc_info[1], http_exceptions.HttpProcessingError))


_log = logging.getLogger(__name__)
_log.addFilter(_not_malformed)  # what aiohttp says of a malformed request quotes it, and it may hold the token


async def require(nifi: NiFi) -> None:
    """Raise TransientError unless NiFi answers its API, TerminalError where the certificates are damaged."""
    try:
        async with _session(nifi) as session, session.get(f"{nifi.url}/flow/about") as answer:
            problem = None if answer.ok else f"answers with {answer.status}"
    except (aiohttp.ClientError, TimeoutError):
        problem = "does not answer"
    if problem:
        raise TransientError(f"NiFi at {nifi.url} {problem}", "look with ./scripts/pipeline status, then try again")


async def serve(nifi: NiFi, port: int, opened: Callable[[str], None]) -> None:
    """Serve NiFi's canvas on loopback until SIGINT or SIGTERM.

    opened: called with the one-time link as soon as a browser may follow it. Raises OSError when the port is taken,
    TerminalError when it is so on IPv6's loopback alone.
    """
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    gate = Gate(port)
    app = make_app(nifi, gate)
    runner = web.AppRunner(app, access_log=None, logger=_log, auto_decompress=False, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await _listen(runner, port)
        opened(gate.link)
        await stop.wait()
    finally:
        await runner.cleanup()


async def _listen(runner: web.AppRunner, port: int) -> None:
    """On both loopbacks: a browser may try either first, and whoever listens there would be sent the token."""
    await web.TCPSite(runner, LOOPBACK, port).start()
    try:
        await web.TCPSite(runner, _LOOPBACK_6, port).start()
    except OSError as error:
        if error.errno == errno.EADDRNOTAVAIL:  # without IPv6 nobody else listens there either
            return
        raise TerminalError(
            f"port {port} for the NiFi canvas is taken on {_LOOPBACK_6}: {error.strerror}",
            "stop what holds it, or choose another port by PIPELINE_CANVAS_PORT",
        ) from error


def make_app(nifi: NiFi, gate: Gate) -> web.Application:
    """The proxy: `gate` before every path, `nifi` behind every one but the link's."""

    async def connected(app: web.Application) -> AsyncIterator[None]:
        async with _session(nifi) as app[_SESSION]:
            yield

    app = web.Application(middlewares=[_guard(gate)], client_max_size=MAX_BODY)
    app.cleanup_ctx.append(connected)
    app.router.add_route("*", "/{path:.*}", partial(_forward, URL(nifi.url).origin()))
    return app


def _guard(gate: Gate) -> Middleware:
    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        if refusal := gate.foreign(request.method, request.raw_path, request.headers):
            return _words(refusal)
        at_door = is_door(request.raw_path)
        if at_door and request.method == "GET" and (value := gate.redeem(request.query.get("token", ""))):
            return _welcome(value)
        if refusal := gate.unknown(request.cookies):
            return _words(refusal)
        if at_door:
            return web.Response(status=303, headers={**_OWN_HEADERS, "Location": _HOME})
        return await handler(request)

    return guard


async def _forward(upstream: URL, request: web.Request) -> web.StreamResponse:
    body = await request.read() if request.body_exists else None
    response = None
    try:
        async with request.app[_SESSION].request(
            request.method,
            URL(f"{upstream}{request.raw_path}", encoded=True),
            headers=sent_headers(request.headers, request.host),
            data=body,
            skip_auto_headers=_ADDED_BY_CLIENT,
            allow_redirects=False,
        ) as answer:
            response = web.StreamResponse(
                status=answer.status, reason=answer.reason, headers=returned_headers(answer.headers)
            )
            await response.prepare(request)
            async for chunk in answer.content.iter_any():
                await response.write(chunk)
            await response.write_eof()
            return response
    except (aiohttp.ClientError, ConnectionError, TimeoutError):
        if response is None:
            return _words(
                Refusal(
                    502, f"NiFi at {upstream} does not answer. Try again when ./scripts/pipeline status says it does."
                )
            )
        if request.transport:  # half an answer must not look like a whole one
            request.transport.abort()
        return response


def sent_headers(headers: MultiMapping[str], host: str) -> CIMultiDict[str]:
    """What NiFi gets of a request's headers. host: name and port under which the browser knows the proxy."""
    kept = _end_to_end(headers, _NOT_SENT, _NOT_SENT_PREFIXES)
    name, _, port = host.partition(":")
    kept.update({"X-ProxyScheme": "http", "X-ProxyHost": name, "X-ProxyPort": port})
    return kept


def returned_headers(headers: MultiMapping[str]) -> CIMultiDict[str]:
    """What the browser gets of an answer's headers."""
    kept = _end_to_end(headers, _NOT_RETURNED, ("proxy-",))
    kept["Referrer-Policy"] = "same-origin"  # no link out of the canvas tells the proxy's name
    return kept


def _end_to_end(headers: MultiMapping[str], without: Iterable[str], prefixes: tuple[str, ...]) -> CIMultiDict[str]:
    named = {name.strip().lower() for value in headers.getall("Connection", []) for name in value.split(",")}
    dropped = _HOP_BY_HOP.union(named, without)
    return CIMultiDict(
        (name, value)
        for name, value in headers.items()
        if name.lower() not in dropped and not name.lower().startswith(prefixes)
    )


def _welcome(value: str) -> web.Response:
    response = web.Response(text=_WELCOME, content_type="text/html", headers=_OWN_HEADERS)
    response.set_cookie(COOKIE, value, httponly=True, samesite="Strict")
    return response


def _words(refusal: Refusal) -> web.Response:
    return web.Response(status=refusal.status, text=f"{refusal.words}\n", headers=_OWN_HEADERS)


def _session(nifi: NiFi) -> aiohttp.ClientSession:
    try:
        context = ssl.create_default_context(cafile=str(nifi.ca))
        context.load_cert_chain(nifi.certificate, nifi.key)
    except OSError as error:
        raise TerminalError(
            f"the certificates in {nifi.certificate.parent} cannot be used: {error}",
            "look with ./scripts/pipeline doctor",
        ) from error
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=context),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        timeout=_TIMEOUT,
    )
