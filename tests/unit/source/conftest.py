import asyncio
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp.web import TCPSite

from scripts.source.behaviour import BehaviourFile
from scripts.source.server import HOST, make_app, make_runner
from tests.unit.source.served import Served


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    loop = asyncio.new_event_loop()
    file = tmp_path / "conf" / "source.json"
    file.parent.mkdir()
    runner = make_runner(make_app(BehaviourFile(file).read))

    async def begin() -> int:
        await runner.setup()
        await TCPSite(runner, HOST, 0).start()
        return int(runner.addresses[0][1])

    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield Served(asyncio.run_coroutine_threadsafe(begin(), loop).result(10), file)
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(20)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, served: Served) -> Path:
    """The home of a stack that was set up, with its source running: it is `served`."""
    for name in list(os.environ):
        if name.startswith("PIPELINE_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PIPELINE_HOME", str(tmp_path))
    monkeypatch.setenv("PIPELINE_SOURCE_PORT", str(served.port))
    (tmp_path / "conf" / "supervisord.conf").touch()
    return tmp_path
