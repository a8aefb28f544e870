"""The embedded source with a clock: `python -m scripts.bench.source PORT FILE` writes down when it answered what.

One line of JSON for each page, once its last byte was handed to the kernel: seed, page, asked and answered, in seconds
since 1970.
"""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from typing import TextIO

from aiohttp import web

from scripts.source.server import make_app, serve


def main() -> None:
    port, path = int(sys.argv[1]), sys.argv[2]
    with open(path, "a", buffering=1) as log:
        app = make_app()
        app.middlewares.insert(0, stamping(log))
        asyncio.run(serve(app, port))


def stamping(log: TextIO) -> Callable[..., Awaitable[web.StreamResponse]]:
    @web.middleware
    async def stamp(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        asked = time.time()
        response = await handler(request)
        if "page" in request.query:
            await response.prepare(request)
            await response.write_eof()
            line = {**{name: request.query[name] for name in ("seed", "page")}, "asked": asked, "answered": time.time()}
            log.write(json.dumps(line) + "\n")
        return response

    return stamp


if __name__ == "__main__":
    main()
