"""The HTTP face of the invented users: randomuser.me's API, on loopback only."""

import asyncio
import json
import logging
import secrets
import signal
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from aiohttp import web

from . import invalid, misbehave, people
from .behaviour import Behaviour
from .faults import FAULTS, Attempts

HOST = "127.0.0.1"
VERSION = "1.4"
MAX_RESULTS = 5_000

# Users made before other requests get their turn: about 3 ms.
CHUNK = 250

log = logging.getLogger("source")


@dataclass(frozen=True)
class PageRequest:
    """One page as asked for: `results` users, 1 to 5,000, of page `page`, counted from 1.

    fault: how to misbehave this once, "" for as the source does anyway.
    """

    seed: str
    results: int
    page: int
    nationalities: frozenset[str]
    fault: str

    @classmethod
    def parse(cls, query: Mapping[str, str]) -> "PageRequest":
        """Read a query string; as in the real API what is absent or empty has a default and other names are ignored.

        Raises ValueError, saying which parameter is wrong, what it is and what it may be.
        """
        nationalities = frozenset(code.strip().upper() for code in query.get("nat", "").split(",")) - {""}
        if unknown := nationalities - set(people.NATIONALITIES):
            raise ValueError(
                f"nat: no such nationality: {', '.join(sorted(unknown))}; use {', '.join(people.NATIONALITIES)}"
            )
        fault = query.get("fault", "")
        if fault and fault not in FAULTS:
            raise ValueError(f"fault: no such fault: {fault[:40]!r}; use {', '.join(FAULTS)}")
        return cls(
            seed=query.get("seed") or secrets.token_hex(8),
            results=min(_positive(query, "results"), MAX_RESULTS),
            page=_positive(query, "page"),
            nationalities=nationalities,
            fault=fault,
        )

    @property
    def indices(self) -> range:
        """The page's places in the endless row of users that the seed stands for."""
        start = (self.page - 1) * self.results
        return range(start, start + self.results)

    @property
    def info(self) -> dict[str, str | int]:
        return {"seed": self.seed, "results": self.results, "page": self.page, "version": VERSION}


def _positive(query: Mapping[str, str], name: str) -> int:
    text = query.get(name) or "1"
    # 18 digits are more than anybody can fetch, and soon parsed.
    if not (text.isascii() and text.isdigit() and len(text) <= 18 and int(text) > 0):
        raise ValueError(f"{name}: not a whole number of 1 or more: {text[:40]!r}")
    return int(text)


@dataclass
class Stats:
    """What was answered since the start: pages and the users in them, and the answers that faults gave instead."""

    pages: int = 0
    users: int = 0
    faults: Counter[str] = field(default_factory=Counter)

    @property
    def json(self) -> dict[str, object]:
        return {"pages": self.pages, "users": self.users, "faults": {name: self.faults[name] for name in FAULTS}}


def make_app(behaviour: Callable[[], Behaviour] = Behaviour) -> web.Application:
    """Build the application: GET /api/, /health and /stats.

    behaviour: says what goes wrong now; it is asked at every page.
    """
    stats = Stats()
    attempts = Attempts()
    # Pages are made one at a time: it is the processor's work, and so nobody else ever waits for more than one chunk.
    making = asyncio.Lock()

    async def page(request: web.Request) -> web.StreamResponse:
        try:
            asked = PageRequest.parse(request.query)
        except ValueError as error:
            return web.json_response({"error": str(error)}, status=400)
        now = behaviour()

        async def make() -> bytes:
            async with making:
                return await page_body(asked, now)

        fault = asked.fault or attempts.fault((asked.seed, asked.results, asked.page), now.faults)
        if fault:
            stats.faults[fault] += 1
            return await misbehave.answer(fault, request, asked.info, make)
        body = await make()
        stats.pages += 1
        stats.users += asked.results
        return misbehave.as_json(body)

    async def health(_: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def served(_: web.Request) -> web.Response:
        return web.json_response(stats.json)

    app = web.Application(middlewares=[errors_as_json])
    for path in ("/api", "/api/", f"/api/{VERSION}", f"/api/{VERSION}/"):
        app.router.add_get(path, page)
    app.router.add_get("/health", health)
    app.router.add_get("/stats", served)
    return app


async def page_body(asked: PageRequest, behaviour: Behaviour) -> bytes:
    """Make the page's JSON, giving way to other requests between chunks. Of the behaviour, the invalid users count."""
    share, by_kind = behaviour.invalid_share, behaviour.invalid
    chunks = []
    for start in range(0, asked.results, CHUNK):
        chunk = asked.indices[start : start + CHUNK]
        chunks.append(b",".join(invalid.users(asked.seed, chunk, asked.nationalities, share, by_kind)))
        await asyncio.sleep(0)
    return b'{"results":[%b],"info":%b}' % (b",".join(chunks), json.dumps(asked.info, separators=(",", ":")).encode())


@web.middleware
async def errors_as_json(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Answer what the router refuses as the API answers its errors."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        return web.json_response({"error": f"{request.method} {request.path}: {error.reason}"}, status=error.status)


def make_runner(app: web.Application) -> web.AppRunner:
    """Make the application's server. When a client goes, whatever its request was doing or waiting for ends."""
    return web.AppRunner(app, access_log=None, shutdown_timeout=2.0, handler_cancellation=True)


async def serve(app: web.Application, port: int) -> None:
    """Serve on loopback until SIGTERM or SIGINT; port 0 takes a free one. Raises OSError when the port is taken."""
    next(people.users("", [0]))  # fills the tables, so that the first page is as fast as the next
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    runner = make_runner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, HOST, port).start()
        log.info("listening on http://%s:%d/api/", *runner.addresses[0][:2])
        await stop.wait()
    finally:
        await runner.cleanup()
