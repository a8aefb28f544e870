"""The event time is that of receipt, whatever holds a page up behind it, and the URL is part of what a run is."""

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import pairwise
from typing import Any
from uuid import UUID

from nifi_flows import canvas
from nifi_flows.errors import TransientError
from nifi_flows.pipeline import USERS
from nifi_processors.pull_run import run_key, url_digest
from nifi_processors.stamp import SPACING
from scripts.observe import records, topics
from scripts.stack import credentials
from scripts.stack.engines import cassandra
from scripts.stack.supervise import Supervisor
from tests.engines.conftest import LocalStack, until
from tests.engines.test_deploy import canvas_of
from tests.engines.test_end_to_end import serving

KEY = "00000000-0000-4000-8000-0000000f1a5e"  # the one user of every page
HELD = 8.0  # seconds
HOST = "127.0.0.1"  # a source is named by it


def answer(number: int) -> tuple[int, dict[str, str], bytes]:
    """A page whose user is named by how many pages were asked for before it."""
    user = {"name": {"first": f"N{number}", "last": "Li"}, "email": "n@example.com", "login": {"uuid": KEY}}
    return 200, {}, json.dumps({"results": [user]}).encode()


@contextmanager
def standing_still(stack: LocalStack, name: str) -> Iterator[None]:
    """A processor stopped by hand, and started again, also after NiFi has gone and come back."""
    with canvas_of(stack) as group:
        ids = [p.id for p in canvas.processors(group) if p.component.name == name]
        canvas.stop_all(group, ids)
    try:
        yield
    finally:
        until(lambda: _started(stack, ids), 120)


def _started(stack: LocalStack, ids: list[str]) -> bool:
    try:
        with canvas_of(stack) as group:
            canvas.start_all(group, ids)
    except (TransientError, AssertionError):
        return False
    return True


def published(stack: LocalStack, key: str) -> dict[str, list[dict[str, Any]]]:
    """First name -> records under it, of a run's pages."""
    decode = records.decoder_of(stack.settings).decode
    found: dict[str, list[dict[str, Any]]] = {}
    for message in topics.read(stack.settings, USERS.topic):
        if message.headers.get("page", b"").startswith(f"{key}/".encode()):
            record = decode(message.value)
            found.setdefault(record["first_name"], []).append(record)
    return found


def micros(at: datetime) -> int:
    return int(at.timestamp()) * 1_000_000 + at.microsecond


def test_pages_that_wait_while_nifi_is_killed_keep_the_time_of_their_receipt(stack: LocalStack) -> None:
    with serving([answer(number) for number in range(60)]) as (url, asked):
        seed = f"held {time.time_ns()}"
        arguments = ("--source", url, "--seed", seed, "--pages", "14", "--page-size", "1", "--interval", "2")
        running = threading.Thread(target=stack.run, args=arguments)
        running.start()
        key = run_key(HOST, url_digest(url), seed, 1)
        until(lambda: len(published(stack, key)) >= 2, 120)
        with standing_still(stack, "Stamp time of receipt"):
            before = len(asked)
            until(lambda: len(asked) >= before + 3, 60)
            time.sleep(HELD)
            os.kill(Supervisor(stack.settings).pid("nifi"), signal.SIGKILL)
        running.join(timeout=300)
        stack.audit()

        found = published(stack, key)
        spans = sorted((int(name[1:]), micros(user["event_time"])) for name, users in found.items() for user in users)
        assert len(spans) >= 10
        for number, at in spans:
            assert -0.1 < at / 1e6 - asked[number].at < HELD / 2, f"page of request {number}"
        assert all(later - earlier >= SPACING for (_, earlier), (_, later) in pairwise(spans))
        with cassandra.session(stack.settings, credentials.ensure(stack.settings.secrets)) as session:
            query = f"SELECT first_name, writetime(first_name) FROM {USERS.table_name} WHERE id = %s"
            assert tuple(session.execute(query, [UUID(KEY)]).one()) == (f"N{spans[-1][0]}", spans[-1][1])

        asked_before = len(asked)
        stack.run("--source", f"{url}?nat=gb", "--seed", seed, "--pages", "2", "--page-size", "1")
        assert len(asked) == asked_before + 2, "the same seed of another URL is another run"
        stack.audit()
        assert len(published(stack, run_key(HOST, url_digest(f"{url}?nat=gb"), seed, 1))) == 2
        stack.run("--source", "embedded", "--interval", "0")
