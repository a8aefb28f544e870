"""The rows of the pipeline's table, from a session that answers as Cassandra's driver does; and what they tell."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import pytest
from cassandra.cluster import Session

from nifi_flows.pipeline import USERS
from scripts.observe import newest, records, rows, topics, totals
from scripts.observe.newest import Identity, Newest, NewestFrame
from scripts.observe.topics import Message
from scripts.stack import credentials
from scripts.stack.engines import cassandra
from scripts.stack.settings import Settings

KEYS = [UUID(int=number) for number in range(3)]
NOW = datetime(2026, 3, 1, 12, 0, 5, tzinfo=UTC)


@dataclass
class Answers:
    """Stands in for a session. found: what a query gives, one row an item."""

    found: list[Any]
    asked: list[Any] = field(default_factory=list)

    def execute(self, query: str, values: list[Any] | None = None, timeout: float | None = None) -> Any:
        self.asked.append((query, values))
        return _Rows(self.found)


class _Rows(list[Any]):
    def one(self) -> Any:
        return self[0] if self else None


def session(*found: Any) -> Session:
    return cast(Session, Answers(list(found)))


def test_the_table_is_that_of_the_pipeline() -> None:
    opened = Answers([SimpleNamespace(id=key) for key in KEYS])
    assert rows.keys(cast(Session, opened), USERS) == set(KEYS)
    assert rows.any_row(cast(Session, opened), USERS)
    assert [query for query, _ in opened.asked] == [
        "SELECT id FROM spark_streams.created_users",
        "SELECT id FROM spark_streams.created_users LIMIT 1",
    ]
    assert not rows.any_row(session(), USERS)


@pytest.mark.parametrize(("found", "written"), [([(17,)], 17), ([(None,)], None), ([], None)])
def test_when_a_row_was_written(found: list[Any], written: int | None) -> None:
    opened = Answers(found)
    assert rows.written(cast(Session, opened), USERS, KEYS[0]) == written
    assert opened.asked == [("SELECT writetime(first_name) FROM spark_streams.created_users WHERE id = %s", [KEYS[0]])]


def test_totals_have_the_names_of_the_pipeline(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    page = {"fetched": 10, "published": 8, "invalid": 2}
    monkeypatch.setattr(records, "receipts", lambda settings, pipeline: {"a/1": page, "a/2": page})
    monkeypatch.setattr(topics, "length", lambda settings, topic: len(topic))
    assert totals.read(settings, session(*[SimpleNamespace(id=key) for key in KEYS]), USERS) == {
        "users fetched": 20,
        "users published": 16,
        "users invalid": 4,
        "frames in user_data_topic": 15,
        "frames in user_data_topic.dlq": 19,
        "rows in created_users": 3,
    }


Arrange = Callable[[int | None, bytes], Newest]


@pytest.fixture
def arranged(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Arrange:
    """Read the newest of a topic whose last frame is of NOW: (write timestamp of its row, key of a dead letter)."""
    made = credentials.ensure(settings.secrets)

    def read(written: int | None, letter: bytes) -> Newest:
        @contextmanager
        def opened(settings: Settings, known: credentials.Credentials) -> Iterator[Session]:
            assert known is made
            yield session(*[] if written is None else [(written,)])

        at = round(NOW.timestamp() * 1000)
        frame, refused = Message(1, 9, b"", b"frame", {}, at), Message(0, 3, letter, b"letter", {}, at)
        held = {USERS.pages: [], USERS.topic: [frame], USERS.dead_letters: [refused]}
        identity = Identity(KEYS[0], NOW, NOW.replace(second=1))
        monkeypatch.setattr(cassandra, "session", opened)
        monkeypatch.setattr(topics, "newest", lambda settings, topic, count: iter(held[topic]))
        monkeypatch.setattr(newest, "newest_page", lambda receipts, decoder: None)
        monkeypatch.setattr(newest, "newest_frame", lambda frames, decoder: (next(iter(frames)), identity))
        return newest.read(settings, made, USERS)

    return read


@pytest.mark.parametrize(
    ("written", "letter", "arrived", "refused"),
    [
        (newest.micros(NOW), b"", True, False),
        (newest.micros(NOW) + 1, b"user_data_topic/1#9", True, False),
        (newest.micros(NOW) - 1, b"", False, False),
        (None, b"user_data_topic/1#9", False, True),
        (None, b"user_data_topic/1#8", False, False),
    ],
    ids=["arrived", "a later one arrived", "an earlier one did", "refused", "another one refused"],
)
def test_whether_the_newest_frame_is_a_row(
    arranged: Arrange, written: int | None, letter: bytes, arrived: bool, refused: bool
) -> None:
    expected = NewestFrame("user_data_topic/1#9", NOW, NOW.replace(second=1), arrived, refused)
    assert arranged(written, letter) == Newest(expected, None)


def test_without_a_frame_cassandra_is_not_asked(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    made = credentials.ensure(settings.secrets)
    monkeypatch.setattr(topics, "newest", lambda settings, topic, count: iter(()))
    assert newest.read(settings, made, USERS) == Newest(None, None)
