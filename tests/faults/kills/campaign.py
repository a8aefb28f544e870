"""One campaign: kills under load, and a comparison of all that was sent, each kill blamed for what it did."""

import itertools
import json
import math
import random
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import tenacity
from cassandra.cluster import Session

from nifi_flows.errors import TransientError
from nifi_flows.pipeline import USERS
from scripts.observe import records, topics
from scripts.observe.topics import Offsets
from scripts.stack import credentials, schema_registry
from scripts.stack.engines import cassandra, kafka
from spark_consumer.contract import USER_SCHEMA
from spark_consumer.names import subject
from tests.engines.conftest import LocalStack
from tests.faults.kills.compare import Findings, Version, judge, letters
from tests.faults.kills.flow import Flow, due
from tests.faults.kills.processes import STOPPED, Kind, strike
from tests.faults.kills.publisher import Publisher
from tests.faults.kills.table import AT_THE_END, Kill, as_json, render
from tests.faults.kills.versions import RUBBISH, Content
from tests.faults.kills.watch import Watch, by_hand

PAGE = 1_000  # users
INTERVAL = 0.8  # seconds between two pages
FRAMES = 3_750  # a second that are published beside the flow
INVALID = 0.01  # part of the flow's users
BACKLOG = 40_000  # frames; the publisher waits while more wait for the consumer
HEAL = 120.0  # seconds after which a pipeline that does not flow is taken for hung
_DRAIN = 240.0
_CALM = (3.0, 8.0)  # seconds of load before each kill
_AT_A_TIME = 100  # rows asked for at once
_UNDER_WAY = 8  # such questions
_ALL = 10**12

Item = TypeVar("Item")
_again = tenacity.retry(
    retry=tenacity.retry_if_exception_type(TransientError),
    stop=tenacity.stop_after_delay(60),
    wait=tenacity.wait_fixed(1),
)


class Campaign:
    """Kills on a stack of its own, whose flow and publisher it runs.

    chance: decides on order and moments. say: takes a line for whoever watches. folder: where the table is written.
    each: compare after each kill, and at the end all of it once more; else once, at the end.
    """

    def __init__(
        self, stack: LocalStack, seed: int, say: Callable[[str], None], folder: Path, *, each: bool = False
    ) -> None:
        self.stack, self._seed, self._say, self._folder = stack, seed, say, folder
        self._each = each
        self.chance = random.Random(seed)
        self._name = f"kills {seed} {time.time_ns()}"  # a run that was there before would be at its end already
        self.flow = Flow(stack, self._name, PAGE, INVALID, INTERVAL)
        self.kills: list[Kill] = []
        self.examples: list[str] = []
        self._wrong: set[UUID] = set()
        self._due: list[tuple[Kill, range, list[int]]] = []
        self._keys = 0  # those before it, and these pages, are due or compared
        self._pages: set[int] = set()
        self._letters: Counter[str] = Counter()
        self._strays: list[str] = []
        self._letter_ends: Offsets = {}

    @contextmanager
    def load(self) -> Iterator[None]:
        """Start the stack and the load; on the way out the load ends and everything is compared."""
        self.flow.begin()
        schema_id = schema_registry.register(self.stack.settings, subject(USERS.topic), USER_SCHEMA)
        content = Content(self._name, schema_id)
        self._begun = time.time()
        self.publisher = Publisher(kafka.address(self.stack.settings), content, FRAMES)
        self.watch = Watch(self.stack, lambda lag: self.publisher.hold(back=lag > BACKLOG))
        with self.publisher, self.watch:
            yield
            self._end()

    def kill(self, kinds: Sequence[Kind]) -> None:
        """Let the load run for some seconds, strike, and wait until the pipeline flows again."""
        time.sleep(self.chance.uniform(*_CALM))
        moment = time.time() - self._begun
        pause = self.chance.uniform(*STOPPED)
        struck = [strike(self.stack, kind, pause) for kind in kinds][-1]
        acknowledged, complete, healing = bytes(self.publisher.sent.acknowledged), self.publisher.complete, time.time()
        mark = self.watch.mark(healing, HEAL)
        healed = self.watch.heal(mark, healing + HEAL - time.time())
        kill = Kill(" + ".join(map(str, kinds)), moment, time.time() - healing, not healed)
        self._say(str(kill))
        if not healed:
            self._say(f"{self.watch.explain()}")
            self._say(f"killed by hand: {', '.join(by_hand(self.stack, mark, self.watch.latest))}")
            assert self.watch.heal(mark, HEAL), self.watch.explain()
        _again(self.flow.read)()
        pages = due(self.flow.receipts, struck, self._pages)
        self._due.append((kill, range(self._keys, complete), pages))
        self._keys, self._pages = complete, self._pages | set(pages)
        if self._each:
            self._compare_due(acknowledged, struck)

    def _compare_due(self, acknowledged: Sequence[int], before: float = math.inf) -> None:
        """Compare what was published before each kill and since the one before it: that kill is to blame."""
        for kill, keys, pages in self._due:
            self._add(kill, self.compare(keys, acknowledged, pages, before))
        self._due.clear()

    def compare(
        self, keys: range, acknowledged: Sequence[int], pages: Iterable[int], before: float = math.inf
    ) -> Findings:
        """Hold the rows of these keys of the publisher and of these pages of the flow against what was sent.

        acknowledged: what counts of each key, as bits. before: the receipts that count, in seconds since 1970: of what
        came later the consumer may not have heard. What was found wrong before is not counted again.
        """
        findings = Findings()
        with self._session() as session:
            content, sent = self.publisher.sent.content, self.publisher.sent
            for key, id_, row in _with_rows(session, ((key, content.id(key)) for key in keys)):
                self._judge(findings, id_, row, sent.versions(key, acknowledged[key]))
            users = ((user, user.id) for page in pages for user in self.flow.users(page) if user.letter is None)
            for user, id_, row in _with_rows(session, users):
                self._judge(findings, id_, row, self.flow.versions(user, row, content.schema_id, before))
        return findings

    def _judge(self, findings: Findings, id_: UUID, row: Mapping[str, Any] | None, versions: Iterable[Version]) -> None:
        findings.compared += 1
        wrong = None if id_ in self._wrong else judge(row, versions)
        if wrong is not None:
            self._wrong.add(id_)
            findings.add(wrong[0], f"{id_}: {wrong[1]}")

    def _end(self) -> None:
        """End the load, wait until all of it is finished, compare everything that was ever sent."""
        self.publisher.finish()
        pages = self.flow.end()
        self.watch.drain(_DRAIN)
        _again(self.flow.read)()
        missing = [page for page in range(1, pages + 1) if page not in self.flow.receipts]
        assert not missing, f"the flow came to rest without receipts of the pages {missing}"
        acknowledged = self.publisher.sent.acknowledged
        self._compare_due(acknowledged)
        first, checked = (0, set()) if self._each else (self._keys, self._pages)
        left = [page for page in range(1, pages + 1) if page not in checked]
        findings = self.compare(range(first, len(acknowledged)), acknowledged, left)
        findings.merge(self._compare_letters(pages))
        self._add(Kill(AT_THE_END, time.time() - self._begun, 0.0, False), findings)

    def _compare_letters(self, pages: int) -> Findings:
        _again(self._read_letters)()
        sent = self.publisher.sent
        refused = {sent.content.id(key): letter for key, letter in sent.places.items()}
        for page in range(1, pages + 1):
            refused |= {user.id: user.letter for user in self.flow.users(page) if user.letter is not None}
        with self._session() as session:
            found = [letter for letter, _, row in _with_rows(session, ((v, k) for k, v in refused.items())) if row]
        return letters(((letter, True) for letter in refused.values()), found, self._strays, self._letters)

    def _read_letters(self) -> None:
        decoder = records.decoder_of(self.stack.settings)
        window, messages = topics.since(self.stack.settings, USERS.dead_letters, self._letter_ends, _ALL, _ALL)
        for message in messages:
            letter = decoder.decode(message.value)
            rubbish = letter["stage"] == "consumer" and letter["original"].startswith(RUBBISH)
            self._letters[letter["id"]] += 1
            if not rubbish and not (letter["stage"] == "flow" and self.flow.refused(letter["id"])):
                self._strays.append(letter["id"])
        self._letter_ends = window.ends

    def _add(self, kill: Kill, findings: Findings) -> None:
        told = replace(kill, compared=findings.compared, counts=dict(findings.counts))
        self.kills.append(told)
        self.examples += findings.examples
        for line in (str(told), *(f"    {example}" for example in findings.examples)):
            self._say(line)
        self._folder.joinpath("kills.md").write_text(self.table())
        self._folder.joinpath("kills.json").write_text(json.dumps(as_json(self.kills), indent=1))

    def table(self) -> str:
        seconds = time.time() - self._begun
        users, frames = len(self.flow.receipts) * PAGE, sum(map(int.bit_count, self.publisher.sent.acknowledged))
        again = sum(count - 1 for count in self._letters.values())
        load = f"{users:,} users through the flow and {frames:,} frames beside it"
        rate = f"{(users + frames) / seconds:,.0f}/s, outages included"
        return render(self.kills, f"Seed {self._seed}: {load} in {seconds:.0f} s ({rate}); {again} letters came again.")

    @contextmanager
    def _session(self) -> Iterator[Session]:
        with cassandra.session(self.stack.settings, credentials.require(self.stack.settings.secrets)) as session:
            yield session


def _with_rows(
    session: Session, wanted: Iterable[tuple[Item, UUID]]
) -> Iterator[tuple[Item, UUID, Mapping[str, Any] | None]]:
    """Each item with its key and the row that has it, None when there is none; some questions under way at once."""
    select = session.prepare(f"SELECT * FROM {USERS.table_name} WHERE id IN ?")
    asked: deque[tuple[list[tuple[Item, UUID]], Any]] = deque()
    left = iter(wanted)
    while True:
        while len(asked) < _UNDER_WAY and (chunk := list(itertools.islice(left, _AT_A_TIME))):
            asked.append((chunk, session.execute_async(select, [[id_ for _, id_ in chunk]], timeout=60)))
        if not asked:
            return
        chunk, future = asked.popleft()
        found = {row.id: row._asdict() for row in future.result()}
        for item, id_ in chunk:
            yield item, id_, found.get(id_)
