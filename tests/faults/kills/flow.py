"""The load that takes the whole path: an endless pull run of the embedded source, of which every user is known."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any
from uuid import UUID

from nifi_flows.connection import NiFi
from nifi_flows.errors import TransientError
from nifi_flows.pipeline import USERS
from nifi_processors.pull_run import run_key, url_digest
from scripts.deployment import service
from scripts.observe import pull_run, records, topics
from scripts.observe.topics import Offsets
from scripts.source import invalid, people
from scripts.stack import credentials
from scripts.stack.engines import source
from scripts.stack.stack import nifi_of
from tests.engines import versions as trees
from tests.engines.conftest import LocalStack, until
from tests.faults.kills.compare import Version
from tests.faults.kills.expected import EPOCH, micros, record_of, row_of

_REST = 240.0  # seconds in which a run has to come to rest once its end is known
_ALL = 10**12


@dataclass(frozen=True)
class Receipt:
    """One time that a page was published whole. fetched_at: microseconds. at: when Kafka got it, in seconds."""

    page: int
    fetched_at: int
    flow_version: str
    at: float


@dataclass(frozen=True)
class User:
    """One of the embedded source's. letter: id of the dead letter that it has to be; None when it is valid."""

    id: UUID
    index: int
    json: Mapping[str, Any]
    letter: str | None


@dataclass
class Flow:
    """The run of a seed, `size` users a page, of which the part `share` is invalid."""

    stack: LocalStack
    seed: str
    size: int
    share: float
    interval: float

    def __post_init__(self) -> None:
        self._ends: Offsets = {}
        self.receipts: dict[int, list[Receipt]] = {}
        """page -> its receipts as far as they have been read"""

    @cached_property
    def origin(self) -> str:
        return run_key("embedded", url_digest(source.address(self.stack.settings)), self.seed, self.size)

    def begin(self) -> None:
        """Start the stack with it; returns when the first row is there."""
        size, interval = str(self.size), str(self.interval)
        run = ("--seed", self.seed, "--pages", "0", "--page-size", size, "--interval", interval)
        self.stack.run("--source", "embedded", "--invalid-share", str(self.share), *run)

    def end(self) -> int:
        """Let the run end and come to rest; returns how many pages it handed out."""
        nifi = nifi_of(self.stack.settings, credentials.require(self.stack.settings.secrets))
        pages = self._handed_out(nifi)
        said: list[str] = []
        service.deploy(trees.context(self.stack, report=said.append), overrides={"run.pages": str(pages)})

        def rests() -> bool:
            try:
                return pull_run.at_rest(pull_run.read(nifi, USERS))
            except TransientError:
                return False

        until(rests, _REST, f"the end of the run after {pages} pages")
        return self._handed_out(nifi)  # it went on while it was told

    def _handed_out(self, nifi: NiFi) -> int:
        cursor = pull_run.read(nifi, USERS).cursor
        assert cursor is not None and cursor.run == self.origin, cursor
        return cursor.next_page - 1

    def read(self) -> None:
        """Read the receipts since the last call. Raises TransientError."""
        decoder = records.decoder_of(self.stack.settings)
        window, messages = topics.since(self.stack.settings, USERS.pages, self._ends, _ALL, _ALL)
        found = [(message, decoder.decode(message.value)) for message in messages]
        self._ends = window.ends
        for message, receipt in found:
            if receipt["id"].rpartition("/")[0] == self.origin:
                read = Receipt(
                    receipt["page"], micros(receipt["fetched_at"]), receipt["flow_version"], message.at / 1000
                )
                self.receipts.setdefault(read.page, []).append(read)

    def users(self, page: int) -> Iterator[User]:
        """Every user of a page as the source serves it, invalid ones before they were broken."""
        indices = range((page - 1) * self.size, page * self.size)
        for index, text in zip(indices, people.users(self.seed, indices), strict=True):
            user = json.loads(text)
            kind = invalid.invalid_kind(self.seed, index, self.share)
            letter = None if kind is None else f"{self.origin}/{page}#{index % self.size}"
            yield User(UUID(user["login"]["uuid"]), index, user, letter)

    def refused(self, letter: str) -> bool:
        """Whether the letter of this id is of a user of this run that is invalid."""
        origin, _, position = letter.rpartition("#")
        run, _, page = origin.rpartition("/")
        index = (int(page) - 1) * self.size + int(position)
        return run == self.origin and invalid.invalid_kind(self.seed, index, self.share) is not None

    def versions(
        self, user: User, row: Mapping[str, Any] | None, schema_id: int, before: float | None = None
    ) -> Iterator[Version]:
        """The records of a valid user, the newest first: what the row says beyond the receipts of its page, and those.

        before: the receipts that count, in seconds since 1970. A page that is published again comes with a newer event
        time; without a receipt that counts, it may have arrived. None once the run has ended and all receipts are
        read: whatever was published has one by then, and a row that is newer than all of them is of nobody.
        """
        page, position = divmod(user.index, self.size)
        receipts = [r for r in self.receipts.get(page + 1, []) if before is None or r.at <= before]
        known = sorted({(r.fetched_at, r.flow_version) for r in receipts})
        record = partial(record_of, user.json, position=position, source="embedded")
        if before is not None and row is not None and row["fetched_at"] is not None:
            claimed = micros(row["fetched_at"].replace(tzinfo=EPOCH.tzinfo))  # in whole milliseconds
            if not known or claimed // 1000 > known[-1][0] // 1000:
                later = record(fetched_at=claimed, version=str(row["flow_version"]))
                yield Version(later["event_time"], False, row_of(later, schema_id))
        for fetched_at, version in reversed(known):
            received = record(fetched_at=fetched_at, version=version)
            yield Version(received["event_time"], True, row_of(received, schema_id))


def due(receipts: Mapping[int, Sequence[Receipt]], until_: float, checked: set[int]) -> list[int]:
    """Pages that were published whole by then and are not checked yet."""
    return [page for page, found in receipts.items() if page not in checked and min(r.at for r in found) <= until_]
