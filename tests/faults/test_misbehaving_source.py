"""A source that fails in every way it can: the flow gets every page in the end, and the sum stays exact."""

import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from uuid import UUID

import pytest

from nifi_flows.pipeline import USERS
from scripts.observe import records, rows, topics
from scripts.source import invalid, people
from scripts.source.faults import FAULTS, fault
from scripts.stack import credentials
from scripts.stack.engines import cassandra
from scripts.stack.engines import source as embedded
from scripts.stack.supervise import Supervisor
from tests.engines.conftest import LocalStack

INVALID = 0.05  # part of the users
SIZE = 40  # users a page

# Answers that the flow takes for a page; after every other one it asks again.
TAKEN = (None, "slow", "forged", "reshaped-users")
WRAPPED = ["missing:id", "missing:first_name", "missing:last_name", "missing:email"]  # what a reshaped user lacks


@dataclass(frozen=True)
class Run:
    """A pull run of which it is known what will happen to it. pages: of each, the faults up to the answer taken."""

    seed: str
    pages: list[list[str]]

    @property
    def struck(self) -> Counter[str]:
        return Counter(name for page in self.pages for name in page)

    @classmethod
    def under(cls, seed: str, pages: int, rates: Mapping[str, float]) -> "Run":
        return cls(seed, [list(_faults(seed, number, rates)) for number in range(1, pages + 1)])

    def letters(self, key: str) -> dict[str, list[str]]:
        """Dead letter -> its reasons, as they have to be. key: the run's."""
        expected = {}
        for index in range(len(self.pages) * SIZE):
            page, position = divmod(index, SIZE)
            kind = invalid.invalid_kind(self.seed, index, INVALID)
            if "reshaped-users" in self.pages[page]:
                why = WRAPPED
            elif kind is not None:
                why = list(invalid.REASONS[kind])
            else:
                continue
            expected[f"{key}/{page + 1}#{position}"] = why
        return expected

    def keys(self) -> list[UUID]:
        """The key of each of its users, valid or not, in order."""
        users = people.users(self.seed, range(len(self.pages) * SIZE))
        return [UUID(json.loads(user)["login"]["uuid"]) for user in users]


def _faults(seed: str, number: int, rates: Mapping[str, float]) -> Iterator[str]:
    for attempt in count():
        name = fault((seed, SIZE, number), attempt, rates)
        if name is not None:
            yield name
        if name in TAKEN:
            return


def chosen(name: str, pages: int, rates: Mapping[str, float], struck: Mapping[str, range], most: int) -> Run:
    """The first run that each fault strikes as often as `struck` says, and no page more than `most` times."""
    for number in count():
        run = Run.under(f"{name} {number}", pages, rates)
        if max(map(len, run.pages)) <= most and all(run.struck[one] in times for one, times in struck.items()):
            return run
    raise AssertionError


@contextmanager
def misbehaving(stack: LocalStack, rates: Mapping[str, float]) -> Iterator[None]:
    """Told by the command to misbehave, and to behave again."""
    told = stack.pipeline("source", "misbehave", f"invalid={INVALID}", *(f"{name}={rates[name]}" for name in rates))
    assert told.code == 0, told.err
    try:
        yield
    finally:
        told = stack.pipeline("source", "behave")
    assert told.code == 0, told.err


def given(stack: LocalStack) -> Counter[str]:
    """Fault -> how often the source has given it."""
    stats = embedded.stats(stack.settings)
    assert stats
    return Counter(stats["faults"])


def pull(stack: LocalStack, run: Run) -> None:
    pages, size = str(len(run.pages)), str(SIZE)
    stack.run("--source", "embedded", "--seed", run.seed, "--pages", pages, "--page-size", size, "--interval", "0")


def holds(stack: LocalStack, run: Run) -> None:
    """Every user of the run is a row or the dead letter it has to be, and everything there ever was adds up."""
    stack.audit()
    key = stack.run_key(run.seed, SIZE)
    origin = f"{key}/"
    letters = records.dead_letters(stack.settings, USERS)
    expected = run.letters(key)
    assert {name: letter["reasons"] for name, letter in letters.items() if name.startswith(origin)} == expected
    refused = {int(page) * SIZE - SIZE + int(place) for page, place in (n[len(origin) :].split("#") for n in expected)}
    made = credentials.ensure(stack.settings.secrets)
    with cassandra.session(stack.settings, made) as session:
        arrived = rows.keys(session, USERS)
    assert {index for index, key in enumerate(run.keys()) if key not in arrived} == refused


def survives(stack: LocalStack, run: Run, rates: Mapping[str, float]) -> None:
    before, begun = given(stack), datetime.now(UTC)
    with misbehaving(stack, rates):
        pull(stack, run)
        assert given(stack) - before == run.struck
    holds(stack, run)
    is_of(stack, run, begun)


def is_of(stack: LocalStack, run: Run, begun: datetime) -> None:
    """Receipts and frames say what was asked for, of whom and when, whatever the answers said of themselves."""
    key, now, version = stack.run_key(run.seed, SIZE), datetime.now(UTC), stack.pipeline("flow", "status").out
    receipts = {n: one for n, one in records.receipts(stack.settings, USERS).items() if n.startswith(f"{key}/")}
    assert {name: one["page"] for name, one in receipts.items()} == {
        f"{key}/{number}": number for number in range(1, len(run.pages) + 1)
    }
    decode = records.decoder_of(stack.settings).decode
    pages = {page.encode() for page in receipts}
    frames = [decode(m.value) for m in topics.read(stack.settings, USERS.topic) if m.headers.get("page") in pages]
    assert frames
    for said in (*receipts.values(), *frames):
        assert (said["source"], said.get("seed", run.seed)) == ("embedded", run.seed)
        assert begun < said["fetched_at"] < now
        assert said["flow_version"] in version
    assert {(one["page_size"], one["fetched"]) for one in receipts.values()} == {(SIZE, SIZE)}


@pytest.fixture(autouse=True)
def told_as_before(stack: LocalStack) -> Iterator[None]:
    before = embedded.behaviour(stack.settings)
    yield
    embedded.misbehave(stack.settings, before)


@pytest.mark.parametrize("name", FAULTS)
def test_a_run_survives(stack: LocalStack, name: str) -> None:
    rates = {name: 0.4}
    times = 1 if name in ("hang", "reshaped-users") else 2  # the flow waits long for what hangs
    run = chosen(name, 4, rates, {name: range(times, times + 1)}, most=2)
    survives(stack, run, rates)


def test_a_run_survives_all_of_it_at_once(stack: LocalStack) -> None:
    rates = {name: 0.01 if name == "hang" else 0.05 for name in FAULTS}
    some = {name: range(1, 2 if name == "hang" else 4) for name in FAULTS}
    run = chosen("all at once", 20, rates, some, most=3)
    survives(stack, run, rates)


def test_a_source_that_answers_nothing_right_is_outlasted_and_never_restarted(stack: LocalStack) -> None:
    supervisor = Supervisor(stack.settings)
    process = supervisor.pid("source")
    run = Run("outlasted", [[], []])
    before = given(stack)
    with ThreadPoolExecutor(1) as pool, misbehaving(stack, {"500": 1.0}):
        pulling = pool.submit(pull, stack, run)
        deadline = time.monotonic() + 60
        while (given(stack) - before)["500"] < 3:
            assert time.monotonic() < deadline
            time.sleep(0.5)
        assert not pulling.done()
        # No fault any more, and the same users broken as before.
        told = stack.pipeline("source", "misbehave", f"invalid={INVALID}")
        assert told.code == 0, told.err
        pulling.result()
    holds(stack, run)
    assert supervisor.pid("source") == process
