"""Frames, dead letters and receipts: decoded by the schema that each names, whatever somebody has put in between."""

import io
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from uuid import UUID

import fastavro
import pytest

from nifi_flows.pipeline import USERS
from scripts.observe import newest, records, topics
from scripts.observe.newest import Identity
from scripts.observe.records import Decoder, LettersSummary, NewLetters, RegistryAway
from scripts.observe.topics import Message, Window
from scripts.stack.engines import registry as registry_engine
from scripts.stack.settings import Settings

KEY = UUID("0b1f4c5e-58b4-4b0a-9d5e-0123456789ab")
NOW = datetime(2026, 3, 1, 12, 0, 5, tzinfo=UTC)
SCHEMA = {
    "type": "record",
    "name": "Any",
    "fields": [
        {"name": "id", "type": ["null", "string"], "default": None},
        {"name": "event_time", "type": ["null", {"type": "long", "logicalType": "timestamp-micros"}], "default": None},
        {"name": "fetched_at", "type": ["null", {"type": "long", "logicalType": "timestamp-micros"}], "default": None},
        {"name": "reasons", "type": {"type": "array", "items": "string"}, "default": []},
        {"name": "fetched", "type": "long", "default": 0},
        {"name": "published", "type": "long", "default": 0},
    ],
}
PARSED = fastavro.parse_schema(SCHEMA)


def frame(schema_id: int = 7, **record: Any) -> bytes:
    body = io.BytesIO()
    fastavro.schemaless_writer(body, PARSED, record)
    return b"\0" + schema_id.to_bytes(4, "big") + body.getvalue()


def message(value: bytes, offset: int = 0, page: bytes | None = None) -> Message:
    return Message(0, offset, b"", value, {} if page is None else {"page": page}, 0)


def schemas(asked: list[int] | None = None) -> Decoder:
    def schema_of(schema_id: int) -> str | None:
        if asked is not None:
            asked.append(schema_id)
        return {7: json.dumps(SCHEMA), 8: '"long"'}.get(schema_id)

    return Decoder(schema_of)


def away() -> Decoder:
    def schema_of(schema_id: int) -> str | None:
        raise RegistryAway("nobody there")

    return Decoder(schema_of)


# Decoding


def test_a_frame_is_decoded_by_the_schema_that_it_names_which_is_asked_for_once() -> None:
    asked: list[int] = []
    decoder = schemas(asked)
    assert [decoder.decode(frame(id=name))["id"] for name in ("a", "b")] == ["a", "b"]
    assert decoder.decoded(frame(9)) is None
    assert decoder.decoded(frame(9)) is None
    assert asked == [7, 9]


@pytest.mark.parametrize(
    "value",
    [b"", b"\0\0\0\0", b"\1" + frame()[1:], frame(9), b"\0\0\0\0\x07\xff\xff", b"\0\0\0\0\x08\x02"],
    ids=["nothing", "short", "another magic", "no such schema", "rubbish", "no record"],
)
def test_what_is_none_of_ours_does_not_decode(value: bytes) -> None:
    assert schemas().decoded(value) is None
    with pytest.raises((ValueError, EOFError, IndexError)):
        schemas().decode(value)


def test_a_registry_that_is_away_is_no_reason_to_call_a_frame_bad() -> None:
    with pytest.raises(RegistryAway):
        away().decoded(frame())
    with pytest.raises(RegistryAway):
        records.frames_of("t", [message(frame(id=str(KEY)))], away(), 0)


@pytest.fixture
def registry(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Settings, list[str]]]:
    """A registry with schema 7, past a proxy that nobody may ask; yields the paths that were asked for."""
    paths: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            paths.append(self.path)
            found = {"7": (200, {"schema": json.dumps(SCHEMA)}), "500": (500, {})}
            status, body = found.get(self.path.rpartition("/")[2], (404, {}))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", settings.port(registry_engine.PORT)), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    yield settings, paths
    server.shutdown()
    server.server_close()


def test_schemas_come_from_the_registry_past_any_proxy(registry: tuple[Settings, list[str]]) -> None:
    settings, paths = registry
    decoder = records.decoder_of(settings)
    assert decoder.decode(frame(id="a"))["id"] == "a"
    assert paths == ["/apis/ccompat/v7/schemas/ids/7"]
    assert decoder.decoded(frame(9)) is None
    with pytest.raises(RegistryAway, match="500"):
        decoder.decoded(frame(500))


def test_a_registry_that_does_not_answer_is_told(settings: Settings) -> None:
    with pytest.raises(RegistryAway, match=r"the schema registry at http://127\.0\.0\.1:.* does not answer"):
        records.decoder_of(settings).decode(frame())


# Frames


def test_frames_are_counted_by_page_and_what_does_not_decode_is_named() -> None:
    other = UUID(int=5)
    found = records.frames_of(
        "users",
        [
            message(frame(id=str(KEY)), 0, b"run/1"),
            message(frame(id=str(other)), 1, b"run/1"),
            message(frame(id=str(KEY)), 2, b"\xff"),
            message(frame(id=str(KEY)), 3),
            message(frame(id="no key"), 4, b"run/1"),
            message(frame(), 5),
            message(b"rubbish", 6),
            message(b"", 7),
        ],
        schemas(),
        gone=3,
    )
    assert found.keys == {"run/1": {KEY, other}, "�": {KEY}, "": {KEY}}
    assert found.undecodable == {f"users/0#{offset}" for offset in (4, 5, 6, 7)}
    assert (found.count, found.gone) == (8, 3)


# Whole topics, and their ends


Topics = Callable[..., None]


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Topics:
    """Fill topics: name -> values. Everybody decodes with schema 7."""
    monkeypatch.setattr(records, "decoder_of", lambda settings: schemas())

    def fill(**values: list[bytes]) -> None:
        written = {name: [message(v, offset) for offset, v in enumerate(listed)] for name, listed in values.items()}

        def of(topic: str) -> list[Message]:
            return written[topic.removeprefix(USERS.topic).replace(".", "") or "users"]

        def since(settings: Settings, topic: str, begin: Any, most: int, most_bytes: int) -> Any:
            new = of(topic)[(begin or {0: 0})[0] :]
            return Window({}, {0: len(of(topic))}, len(new)), iter(new[-most:])

        monkeypatch.setattr(topics, "read", lambda settings, topic, patience: iter(of(topic)))
        monkeypatch.setattr(topics, "newest", lambda settings, topic, count: iter(of(topic)[-count:]))
        monkeypatch.setattr(topics, "length", lambda settings, topic: len(of(topic)))
        monkeypatch.setattr(topics, "spans", lambda settings, topic: {0: topics.Span(2, 2 + len(of(topic)))})
        monkeypatch.setattr(topics, "since", since)

    return fill


def test_of_each_page_and_letter_the_last_record_counts(settings: Settings, held: Topics) -> None:
    held(
        pages=[frame(id="run/1", fetched=5), frame(id="run/2", fetched=6), frame(id="run/1", fetched=7)],
        dlq=[frame(id="a", reasons=["x"])],
        users=[frame(id=str(KEY)), b""],
    )
    assert {name: found["fetched"] for name, found in records.receipts(settings, USERS).items()} == {
        "run/1": 7,
        "run/2": 6,
    }
    assert set(records.dead_letters(settings, USERS)) == {"a"}
    frames = records.frames(settings, USERS)
    assert (frames.count, frames.gone, frames.undecodable) == (2, 2, {f"{USERS.topic}/0#1"})


def test_dead_letters_are_summed_up_by_the_newest(settings: Settings, held: Topics) -> None:
    held(dlq=[frame(reasons=["old"]), frame(reasons=["no_at:email", "missing:id"]), frame(reasons=["no_at:email"])])
    assert records.summarise_letters(settings, USERS, 2) == LettersSummary(3, 2, {"no_at:email": 2, "missing:id": 1})
    held(dlq=[])
    assert records.summarise_letters(settings, USERS, 2) == LettersSummary(0, 0, {})


def test_what_is_new_is_counted_with_its_reasons_and_what_was_fetched(settings: Settings, held: Topics) -> None:
    held(
        dlq=[frame(reasons=["old"]), frame(reasons=["a"]), b"rubbish", frame(reasons=["a"])],
        pages=[frame(fetched=100), frame(fetched=20), b"rubbish", frame(fetched=3)],
    )
    found = records.new_letters(settings, USERS, {0: 1}, {0: 1}, 2)
    assert found == NewLetters(3, 2, {"not_readable": 1, "a": 1}, 23, {0: 4}, {0: 4})


def test_letters_are_counted_while_the_registry_is_away(
    settings: Settings, held: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    held(dlq=[frame(reasons=["a"])] * 3, pages=[frame(fetched=5)])
    monkeypatch.setattr(records, "decoder_of", lambda settings: away())
    assert records.summarise_letters(settings, USERS, 200) == LettersSummary(3, 0, {})
    assert records.new_letters(settings, USERS, {0: 0}, {0: 0}, 9) == NewLetters(3, 0, {}, 0, {0: 3}, {0: 1})


def test_of_a_dead_letter_only_its_reasons_count_whatever_it_is() -> None:
    assert records.reasons_of({"reasons": ["missing:email", "missing:email", "bad:id"]}) == {"missing:email", "bad:id"}
    damaged: list[dict[str, Any]] = [{}, {"reasons": []}, {"reasons": 7}, {"reasons": None}]
    for letter in damaged:
        assert records.reasons_of(letter) == {"not_readable"}
    assert records.reasons_of({"reasons": [{}]}) == {"{}"}


# The newest


def test_a_record_of_another_contract_has_no_row() -> None:
    record = {"id": str(KEY), "event_time": NOW, "fetched_at": NOW}
    assert newest.identity_of(record) == Identity(KEY, NOW, NOW)
    for change in ({"id": "x"}, {"id": None}, {"event_time": 5}, {"fetched_at": None}):
        assert newest.identity_of({**record, **change}) is None


def test_the_newest_frame_is_that_of_the_latest_event() -> None:
    later = NOW.replace(minute=1)
    frames = [
        message(frame(id=str(KEY), event_time=later, fetched_at=NOW), 4),
        message(frame(id=str(KEY), event_time=NOW, fetched_at=NOW), 9),
        message(b"rubbish", 10),
    ]
    found = newest.newest_frame(frames, schemas())
    assert found is not None
    assert (found[0].offset, found[1]) == (4, Identity(KEY, later, NOW))
    assert newest.newest_frame([message(b"")], schemas()) is None


def test_the_newest_page_is_the_one_received_last() -> None:
    later = NOW.replace(minute=1)
    receipts = [message(frame(fetched_at=later)), message(frame(fetched_at=NOW)), message(frame()), message(b"")]
    assert newest.newest_page(receipts, schemas()) == later
    assert newest.newest_page([], schemas()) is None


def test_microseconds_are_exact() -> None:
    assert newest.micros(datetime(2026, 3, 1, 12, 0, 0, 123_457, tzinfo=UTC)) == 1_772_366_400_123_457
