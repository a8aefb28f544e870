from collections.abc import Iterator
from typing import Any

import pytest
from tenacity import wait_none

from spark_consumer import registry
from spark_consumer.errors import TerminalError, TransientError
from spark_consumer.registry import WriterSchemas, registered_id
from tests.unit.fake_registry import FakeRegistry


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeRegistry]:
    monkeypatch.setattr(registry._retrying, "wait", wait_none())
    fake = FakeRegistry()
    yield fake
    fake.close()


def version(id: int, **more: Any) -> dict[str, Any]:
    return {"id": id, "schema": f"schema {id}", **more}


def test_a_refresh_reads_only_what_is_new(fake: FakeRegistry) -> None:
    fake.answers = {"GET /subjects/u-value/versions": [1], "GET /subjects/u-value/versions/1": version(17)}
    writers = WriterSchemas(fake.url, "u-value")
    assert writers.refresh()
    assert writers() == {17: "schema 17"}
    assert not writers.refresh()
    fake.answers |= {"GET /subjects/u-value/versions": [1, 2], "GET /subjects/u-value/versions/2": version(40)}
    assert writers.refresh()
    assert writers() == {17: "schema 17", 40: "schema 40"}
    assert fake.asked.count("GET /subjects/u-value/versions/1") == 1


def test_deleted_versions_are_read_too_since_their_frames_are_still_there(fake: FakeRegistry) -> None:
    fake.answers = {"GET /subjects/u-value/versions": [1], "GET /subjects/u-value/versions/1": version(17)}
    WriterSchemas(fake.url, "u-value").refresh()
    assert len(fake.queries) == 2 and all("deleted=true" in query for query in fake.queries)


def test_a_deleted_schema_has_no_id(fake: FakeRegistry) -> None:
    with pytest.raises(TerminalError):
        registered_id(fake.url, "d-value", "{}")
    assert "deleted=true" not in fake.queries[0].lower()


def test_a_subject_without_versions_knows_nothing(fake: FakeRegistry) -> None:
    writers = WriterSchemas(fake.url, "u-value")
    assert not writers.refresh()
    assert writers() == {}


def test_what_is_no_avro_of_one_piece_is_no_writer(fake: FakeRegistry) -> None:
    fake.answers = {
        "GET /subjects/u-value/versions": [1, 2],
        "GET /subjects/u-value/versions/1": version(1, schemaType="JSON"),
        "GET /subjects/u-value/versions/2": version(2, references=[{"name": "x", "subject": "y", "version": 1}]),
    }
    writers = WriterSchemas(fake.url, "u-value")
    writers.refresh()
    assert writers() == {}


def test_a_short_outage_is_waited_out(fake: FakeRegistry) -> None:
    fake.answers = {
        "GET /subjects/u-value/versions": [503, 500, 1],
        "GET /subjects/u-value/versions/1": version(17),
    }
    writers = WriterSchemas(fake.url, "u-value")
    writers.refresh()
    assert writers() == {17: "schema 17"}


def test_a_long_outage_is_transient_and_forgets_nothing(fake: FakeRegistry) -> None:
    fake.answers = {"GET /subjects/u-value/versions": [1], "GET /subjects/u-value/versions/1": version(17)}
    writers = WriterSchemas(fake.url, "u-value")
    writers.refresh()
    fake.answers["GET /subjects/u-value/versions"] = [1, 2]
    fake.answers["GET /subjects/u-value/versions/2"] = 503
    with pytest.raises(TransientError, match="answered 503"):
        writers.refresh()
    fake.answers["GET /subjects/u-value/versions/2"] = version(18)
    assert writers.refresh()
    assert set(writers()) == {17, 18}


def test_a_registry_that_is_not_there_is_transient(fake: FakeRegistry) -> None:
    with pytest.raises(TransientError, match="ConnectError"):
        WriterSchemas("http://127.0.0.1:1", "u-value").refresh()


def test_the_id_of_the_very_schema(fake: FakeRegistry) -> None:
    fake.answers = {"POST /subjects/d-value": version(5)}
    assert registered_id(fake.url, "d-value", "{}") == 5
    with pytest.raises(TerminalError, match="no such schema under other-value"):
        registered_id(fake.url, "other-value", "{}")


def test_a_refusal_is_terminal_and_not_asked_again(fake: FakeRegistry) -> None:
    fake.answers = {"POST /subjects/d-value": 401}
    with pytest.raises(TerminalError, match="answered 401"):
        registered_id(fake.url, "d-value", "{}")
    assert len(fake.asked) == 1


def test_an_address_that_is_no_registry_knows_nothing_for_certain(fake: FakeRegistry) -> None:
    fake.answers = {"GET /subjects/u-value/versions": 404}
    with pytest.raises(TerminalError, match="answered 404"):
        WriterSchemas(fake.url, "u-value").refresh()


def test_a_version_that_was_removed_meanwhile_is_read_once_it_is_there(fake: FakeRegistry) -> None:
    fake.answers = {"GET /subjects/u-value/versions": [1]}
    writers = WriterSchemas(fake.url, "u-value")
    assert not writers.refresh()
    fake.answers["GET /subjects/u-value/versions/1"] = version(17)
    assert writers.refresh()
    assert set(writers()) == {17}
