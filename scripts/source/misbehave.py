"""The answers that faults give."""

import asyncio
import json
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from . import faults

LOGIN = (
    "<!DOCTYPE html><html><head><title>Sign in</title></head><body><form method='post' action='/login'>"
    "<input name='user'><input name='password' type='password'><button>Sign in</button></form></body></html>"
)
# NiFi makes attributes of headers. These are called like the flow's own, with a dot as well, and like NiFi's.
_OURS = (
    *("page:source", "page:url_digest", "page:seed", "page:size", "page:number", "page:url", "page:error"),
    *("page:fetched_at", "page:floor", "page:flow_version", "page:moves"),
    *("retry:at", "retry:count", "retry:delay", "retry:reason"),
    *("users:fetched", "users:published", "users:invalid", "users:unusable"),
    *("dead_letters:published", "publish:error"),
)
_NIFIS = ("entryDate", "lineageStartDate", "uuid", "filename", "invokehttp.status.code", "invokehttp.request.url")
FORGED = dict.fromkeys([*_OURS, *(name.replace(":", ".") for name in _OURS), *_NIFIS], "1")
_AT_ONCE = struct.pack("ii", 1, 0)  # SO_LINGER: closing sends a reset and drops what wasn't sent


async def answer(
    fault: str, request: web.Request, info: Mapping[str, object], make: Callable[[], Awaitable[bytes]]
) -> web.StreamResponse:
    """Answer a request for a page with one of faults.FAULTS.

    info: what the page says of itself. make: makes the right answer, in JSON that begins with its results.
    """
    match fault:
        case "429":
            return _error(429, "too many requests", {"Retry-After": "1"})
        case "429-bare":
            return _error(429, "too many requests")
        case "500":
            return _error(500, "the source has failed")
        case "slow":
            await asyncio.sleep(faults.SLOW)
            return as_json(await make())
        case "hang":
            await asyncio.sleep(faults.HANG)
            return _hung_up(request, web.Response())
        case "reset":
            return await _reset(request, await make())
        case "truncated":
            body = await make()
            return as_json(body[: len(body) // 2])
        case "html":
            return web.Response(text=LOGIN, content_type="text/html")
        case "empty":
            return as_json(_dump({"results": [], "info": {**info, "results": 0}}))
        case "forged":
            page = as_json(await make())
            page.headers.update(FORGED)
            return page
        case "forged-429":
            return _error(429, "too many requests", FORGED)
        case "reshaped":
            return as_json(b'{"data":' + (await make()).removeprefix(b'{"results":'))
        case "reshaped-users":
            told = json.loads(await make())
            return as_json(_dump({**told, "results": [{"user": user} for user in told["results"]]}))
    raise ValueError(f"not a fault: {fault}")


def as_json(body: bytes) -> web.Response:
    return web.Response(body=body, content_type="application/json", charset="utf-8")


def _error(status: int, text: str, headers: dict[str, str] | None = None) -> web.Response:
    return web.json_response({"error": text}, status=status, headers=headers)


def _dump(page: object) -> bytes:
    return json.dumps(page, ensure_ascii=False, separators=(",", ":")).encode()


async def _reset(request: web.Request, body: bytes) -> web.StreamResponse:
    """Promise the whole body, send half of it and reset the connection."""
    response = web.StreamResponse(headers={"Content-Type": "application/json; charset=utf-8"})
    response.content_length = len(body)
    await response.prepare(request)
    await response.write(body[: len(body) // 2])
    return _hung_up(request, response)


def _hung_up(request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
    """Close the connection under a response, which then goes nowhere."""
    if request.transport is not None:
        request.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
        request.transport.abort()
    return response
