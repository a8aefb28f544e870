"""One campaign: kills under load, and a comparison of all that was sent, each kill blamed for what it did."""

import itertools
import json
import random
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
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
from tests.faults.kills.again import Letter, came_again, told
from tests.faults.kills.compare import Findings, Version, judge, letters
from tests.faults.kills.flow import Flow, due
from tests.faults.kills.processes import STOPPED, Kind, strike
from tests.faults.kills.publisher import Publisher
from tests.faults.kills.table import AT_THE_END, Kill, as_json, render
from tests.faults.kills.versions import RUBBISH, Content
from tests.faults.kills.watch import Mark, Watch, by_hand

PAGE = 1_000  # users
INTERVAL = 0.8  # seconds between two pages
FRAMES = 3_750  # a second that are published beside the flow
INVALID = 0.01  # part of the flow's users
BACKLOG = 10_000  # frames; the publisher waits while more wait for the consumer
HEAL = 120.0  # seconds after which a pipeline that does not flow is taken for hung, also where everything is slow
_WARM = 240.0  # seconds in which the consumer has to catch up once, before the first kill
_DRAIN = 240.0
_CALM = (2.0, 5.0)  # seconds of load before each kill
_KEYS_AT_RISK, _PAGES_AT_RISK = 6_000, 4  # the last ones before a strike: of some three seconds
_AT_A_TIME = 100  # rows asked for at once
_UNDER_WAY = 8  # such questions
_ALL = 10**12
_TOLD = 10  # letters that came again; the file has all of them

Item = TypeVar("Item")
_again = tenacity.retry(
    retry=tenacity.retry_if_exception_type(TransientError),
    stop=tenacity.stop_after_delay(60),
    wait=tenacity.wait_fixed(1),
)


class Campaign:
    """Kills on a stack of its own, whose flow and publisher it runs.

    chance: decides on order and moments. say: takes a line for whoever watches. folder: where the table is written.
    each: compare after each kill what was sent last before it; all of it is compared at the end.
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
        self._due: list[tuple[int, range, float]] = []  # place in `kills`, keys, when it struck
        self._keys = 0  # those before it, and these pages, are due or compared
        self._pages: set[int] = set()
        self._letters: list[Letter] = []
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
            self.watch.keeps_up(BACKLOG, _WARM)
            yield
            self._end()

    def kill(self, kinds: Sequence[Kind]) -> None:
        """Let the load run for some seconds, strike, and wait until the pipeline flows again."""
        time.sleep(self.chance.uniform(*_CALM))
        moment = time.time() - self._begun
        pause, keys, pages, struck = self.chance.uniform(*STOPPED), set[int](), list[float](), 0.0
        lane = self.watch.lane()
        for kind in kinds:
            keys |= set(at_risk(len(self.publisher.sent.firsts)))
            pages.append(time.time())
            struck = strike(self.stack, kind, pause)
        acknowledged, complete, healing = bytes(self.publisher.sent.acknowledged), self.publisher.complete, time.time()
        healed = False
        try:
            mark = self.watch.mark(healing, HEAL)
            healed = self.watch.heal(mark, healing + HEAL - time.time())
        finally:  # told whatever comes of it
            told_of = Kill(tuple(map(str, kinds)), moment, time.time() - healing, not healed, lane=lane)
            place = self._note(told_of)
            self._due.append((place, range(self._keys, complete), struck))
            self._keys = complete
        if not healed:
            self._heal_by_hand(told_of, mark)
        _again(self.flow.read)()
        if self._each:
            before = [due(self.flow.receipts, at, set())[-_PAGES_AT_RISK:] for at in pages]
            risked = set(itertools.chain.from_iterable(before))
            self._found(place, self.compare(sorted(keys), acknowledged, sorted(risked), struck))

    def _heal_by_hand(self, kill: Kill, mark: Mark) -> None:
        why = f"{kill}\n{mark.standing(self.watch.latest)}\n{self.watch.explain()}"
        self.examples.append(why)
        self._say(why)
        self._say(f"killed by hand: {', '.join(by_hand(self.stack, mark, self.watch.latest))}")
        assert self.watch.heal(mark, HEAL), f"{why}\nand killed by hand, it still does not flow: {self.watch.explain()}"

    def _compare_due(self, acknowledged: Sequence[int]) -> None:
        """Compare what was published before each kill and since the one before it: that kill is to blame."""
        for place, keys, struck in self._due:
            pages = due(self.flow.receipts, struck, self._pages)
            self._pages |= set(pages)
            self._found(place, self.compare(keys, acknowledged, pages))
        self._due.clear()

    def compare(
        self, keys: Iterable[int], acknowledged: Sequence[int], pages: Iterable[int], before: float | None = None
    ) -> Findings:
        """Hold the rows of these keys of the publisher and of these pages of the flow against what was sent.

        acknowledged: what counts of each key, as bits. before: the receipts that count, in seconds since 1970: of what
        came later the consumer may not have heard. None when the load has ended: all of them, and a row of none of
        them is wrong. What was found wrong before is not counted again.
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
        left = [page for page in range(1, pages + 1) if page not in self._pages]
        findings = self.compare(range(self._keys, len(acknowledged)), acknowledged, left)
        findings.merge(self._compare_letters(pages))
        self._found(self._note(Kill(AT_THE_END, time.time() - self._begun, 0.0, False)), findings)
        self._tell_again()

    def _compare_letters(self, pages: int) -> Findings:
        _again(self._read_letters)()
        sent = self.publisher.sent
        refused = {sent.content.id(key): letter for key, letter in sent.places.items()}
        for page in range(1, pages + 1):
            refused |= {user.id: user.letter for user in self.flow.users(page) if user.letter is not None}
        with self._session() as session:
            found = [letter for letter, _, row in _with_rows(session, ((v, k) for k, v in refused.items())) if row]
        return letters(
            ((letter, True) for letter in refused.values()),
            found,
            self._strays,
            {letter.id for letter in self._letters},
        )

    def _read_letters(self) -> None:
        decoder = records.decoder_of(self.stack.settings)
        window, messages = topics.since(self.stack.settings, USERS.dead_letters, self._letter_ends, _ALL, _ALL)
        found = [(message, decoder.decode(message.value)) for message in messages]  # all of it, or it is read again
        self._letter_ends = window.ends
        for message, letter in found:
            rubbish = letter["stage"] == "consumer" and letter["original"].startswith(RUBBISH)
            self._letters.append(
                Letter(
                    *(letter["id"], message.key.decode(errors="replace"), letter["stage"], tuple(letter["reasons"])),
                    *(message.partition, message.offset, message.at / 1000),
                )
            )
            if not rubbish and not (letter["stage"] == "flow" and self.flow.refused(letter["id"])):
                self._strays.append(letter["id"])

    def _tell_again(self) -> None:
        groups = came_again(self._letters)
        kept = [[asdict(letter) for letter in group] for group in groups]
        self._folder.joinpath("letters.json").write_text(json.dumps(kept, indent=1))
        for group in groups[:_TOLD]:
            self._say(f"    {told(group, self._begun)}")

    def _note(self, kill: Kill) -> int:
        """Tell and keep it before anything else may fail; returns its place."""
        self.kills.append(kill)
        self._say(str(kill))
        self._keep()
        return len(self.kills) - 1

    def _found(self, place: int, findings: Findings) -> None:
        """More that there is to say of a kill that was noted."""
        known = self.kills[place]
        counts = Counter(known.counts) + findings.counts
        kill = replace(known, compared=known.compared + findings.compared, counts=dict(counts))
        self.kills[place] = kill
        self.examples += findings.examples
        for line in (str(kill), *(f"    {example}" for example in findings.examples)):
            self._say(line)
        self._keep()

    def _keep(self) -> None:
        self._folder.joinpath("kills.md").write_text(self.table())
        self._folder.joinpath("kills.json").write_text(json.dumps(as_json(self.kills), indent=1))

    def table(self) -> str:
        seconds = time.time() - self._begun
        users, frames = len(self.flow.receipts) * PAGE, sum(map(int.bit_count, self.publisher.sent.acknowledged))
        again = sum(len(group) - 1 for group in came_again(self._letters))
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


def at_risk(begun: int) -> range:
    """The keys that a strike may hurt, of so many that were begun before it: the last ones."""
    return range(max(0, begun - _KEYS_AT_RISK), begun)
