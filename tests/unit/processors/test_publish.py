"""What becomes of a page: records out of its bytes, frames, dead letters, receipts."""

import io
import json
from collections.abc import Sequence
from typing import Any

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nifi_processors.contract import contract
from nifi_processors.errors import DeliveryError, FlowFileError, PageRefused
from nifi_processors.frames import encoder, page_encoder
from nifi_processors.page import Page
from nifi_processors.publish import (
    DeadLetter,
    Fetch,
    Partitioned,
    partition,
    publish_dead_letters,
    publish_page,
)
from nifi_processors.publisher import Headers, Message

FETCH = Fetch("randomuser", "325265a0", "seed-1", 100, 7, 1_700_000_000_000_000)
ATTRIBUTES = {
    "page:source": "randomuser",
    "page:url_digest": "325265a0",
    "page:seed": "seed-1",
    "page:size": "100",
    "page:number": "7",
    "page:fetched_at": "1700000000000000",
}
KEY = "7a0eed16-9430-4d68-901f-c0d4c1c3bf00"
VALID = b'{"name":{"first":"Ana","last":"Li"},"email":"a@b","login":{"uuid":"7A0EED16-9430-4D68-901F-C0D4C1C3BF00"}}'


def page(*found: bytes, info: bytes = b'{"page":7}') -> bytes:
    return b'{"results":[' + b",".join(found) + b'],"info":' + info + b"}"


def decoded(name: str, frame: bytes) -> dict[str, Any]:
    record = fastavro.schemaless_reader(io.BytesIO(frame[5:]), contract(name).schema, None)
    assert isinstance(record, dict)
    return record


def slices(content: bytes) -> list[bytes]:
    return [bytes(record) for record in Page(content, 7).records]


def partitioned(*found: bytes, schema_id: int = 1) -> Partitioned:
    return partition(Page(page(*found), 7), FETCH, "v1", schema_id)


def refusal(content: bytes) -> str:
    with pytest.raises(PageRefused) as raised:
        Page(content, 7)
    return raised.value.code


class FakeKafka:
    """Keeps what was sent; schema ids are 1, 2 and 3 for the topics t, t.pages and t.dlq."""

    def __init__(self, failing: str = "") -> None:
        self.sent: list[tuple[str, list[Message], Headers | None]] = []
        self.failing = failing

    def schema_id(self, topic: str, name: str) -> int:
        return {("t", "user"): 1, ("t.pages", "page_receipt"): 2, ("t.dlq", "dead_letter"): 3}[topic, name]

    def send(self, topic: str, messages: Sequence[Message], headers: Headers | None = None) -> None:
        if topic == self.failing:
            raise DeliveryError("down", "wait")
        self.sent.append((topic, list(messages), headers))


# --- the page ---------------------------------------------------------------------------------------------------------


def test_records_are_the_exact_bytes() -> None:
    content = '{"info": {"page": 7, "results": 3}, "results" : [ {"a" :\t1.0} ,\n"é", {"b":"]},["} ] }'.encode()
    assert slices(content) == [b'{"a" :\t1.0}', '"é"'.encode(), b'{"b":"]},["}']


@pytest.mark.parametrize(
    "bad",
    [
        b'{"a":NaN}',
        b'{"a":"\\q"}',
        b'{"a":01}',
        b'{"a":"tab\there"}',
        b"[" * 3000 + b"]" * 3000,
        b"nonsense",
        b'{"a":"\xff","b":NaN}',
    ],
)
def test_one_malformed_record_does_not_cost_the_page(bad: bytes) -> None:
    content = page(VALID, b" " + bad + b"\n", b'{"c":[{},[1,2]],"d":"\\"]}"}')
    assert slices(content) == [VALID, bad, b'{"c":[{},[1,2]],"d":"\\"]}"}']
    found = partition(Page(content, 7), FETCH, "v1", 1)
    assert found.invalid[0].reasons == ["not_json"]
    assert len(found.messages) == 1


def test_bytes_that_are_no_utf8_stay_in_their_record() -> None:
    assert slices(page(VALID, b'{"a":"\xff"}')) == [VALID, b'{"a":"\xff"}']


@pytest.mark.parametrize("broken", [b"", b"NaN,"])
def test_a_byte_order_mark_is_no_part_of_the_page(broken: bytes) -> None:
    assert slices(b"\xef\xbb\xbf" + page(broken + VALID))[-1] == VALID


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "page_not_json"),
        (b"<html>{}</html>", "page_not_json"),
        (b'{"results":[{"a":1},{"a"', "page_not_json"),
        (b'{"results":[1]} and more', "page_not_json"),
        (b'{"results":[1,]}', "page_not_json"),
        (b'{"results":[1}]', "page_not_json"),
        (b'{"results":[1]}}', "page_not_json"),
        (b'{"results":["a]}', "page_not_json"),
        ('{"results":[1]}'.encode("utf-16"), "page_not_json"),
        (b"[]", "page_has_no_results"),
        (b'{"error":"Uh oh"}', "page_has_no_results"),
        (b'{"error":NaN}', "page_has_no_results"),
        (b'{"results":null}', "page_has_no_results"),
        (b'{"results":{"a":[1]}}', "page_has_no_results"),
        (b'{"results":{"a":[NaN]},"x":["results"]}', "page_has_no_results"),
        (b'{"results":[]}', "page_empty"),
        (b'{"results":[ ],"x":NaN}', "page_empty"),
        (page(*[b"0"] * 5_001), "page_has_too_many"),
        (page(VALID, info=b'{"page":8}'), "page_number_differs"),
        (page(VALID, info=b'{"page":"70"}'), "page_number_differs"),
        (page(VALID, info=b'{"page":true}'), "page_number_differs"),
        (page(VALID, b"NaN", info=b'{"page":8}'), "page_number_differs"),
        (page(VALID, info=b'{"page":7,"results":2}'), "page_count_differs"),
        (page(VALID, b"NaN", info=b'{"page":7,"results":1}'), "page_count_differs"),
    ],
)
def test_what_is_no_page_of_users_is_refused(content: bytes, code: str) -> None:
    assert refusal(content) == code


@pytest.mark.parametrize("info", [b'{"page":"7","results":"1"}', b"null", b"{}", b"[1]", b'{"page":null}', b'"x"'])
def test_a_page_need_not_name_itself(info: bytes) -> None:
    assert slices(page(VALID, info=info)) == [VALID]


# --- frames -----------------------------------------------------------------------------------------------------------


def test_a_frame_is_a_zero_byte_the_schema_id_and_avro() -> None:
    found = partitioned(VALID, schema_id=258)
    [(key, frame)] = found.messages
    assert key == KEY.encode()
    assert frame == (
        b"\x00\x00\x00\x01\x02"
        b"\x48" + KEY.encode() + b"\x06Ana\x04Li\x00\x00\x00\x06a@b\x00\x00\x00\x00\x00\x00\x14randomuser"
        b"\x80\x80\xf2\x81\x83\x89\x85\x06"
        b"\x80\x80\xf2\x81\x83\x89\x85\x06"
        b"\x04v1"
    )


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=400)
LONG = st.integers(-(2**63), 2**63 - 1)


@given(st.data())
def test_frames_are_what_fastavro_writes(data: st.DataObject) -> None:
    for name in ("user", "page_receipt", "dead_letter"):
        record = {field: data.draw(_values(type_), label=field) for field, type_ in contract(name).types.items()}
        expected = io.BytesIO()
        fastavro.schemaless_writer(expected, contract(name).schema, record)
        assert encoder(contract(name), 1)(record) == b"\x00\x00\x00\x00\x01" + expected.getvalue()


@given(st.data(), st.sets(st.sampled_from(sorted(contract("user").types))))
def test_frames_of_a_page_are_the_same(data: st.DataObject, shared: set[str]) -> None:
    record = {field: data.draw(_values(type_), label=field) for field, type_ in contract("user").types.items()}
    same = {field: record[field] for field in shared if record[field] is not None}
    encode = page_encoder(contract("user"), 258, same)
    values = [value for field, value in record.items() if field not in same]
    assert encode(values) == encoder(contract("user"), 258)(record)


def test_what_has_no_value_although_it_must_have_one_is_not_framed() -> None:
    encode = page_encoder(contract("user"), 1, {})
    with pytest.raises(TypeError):
        encode([None] * len(contract("user").types))


@pytest.mark.parametrize("size", [1, 63, 64, 255, 256, 299, 8191, 8192, 500_000])
def test_texts_of_every_length_are_framed(size: int) -> None:
    found = partitioned(VALID.replace(b"Ana", b"A" * size))
    assert decoded("user", found.messages[0][1])["first_name"] == "A" * size


def _values(type_: Any) -> st.SearchStrategy[Any]:
    if isinstance(type_, list):
        return st.none() | _values(type_[1])
    if isinstance(type_, dict) and type_["type"] == "enum":
        return st.sampled_from(type_["symbols"])
    if isinstance(type_, dict) and type_["type"] == "array":
        return st.lists(_values(type_["items"]), max_size=3)
    name = type_["type"] if isinstance(type_, dict) else type_
    return {"string": TEXT, "long": LONG, "int": st.integers(-(2**31), 2**31 - 1), "bytes": st.binary()}[name]


# --- sorting ----------------------------------------------------------------------------------------------------------


def test_each_record_carries_its_own_event_time() -> None:
    found = partitioned(VALID, b"{}", VALID)
    users = [decoded("user", frame) for _, frame in found.messages]
    assert [user["event_time"].isoformat() for user in users] == [
        "2023-11-14T22:13:20+00:00",
        "2023-11-14T22:13:20.000002+00:00",
    ]
    assert {user["fetched_at"].isoformat() for user in users} == {"2023-11-14T22:13:20+00:00"}
    assert {(user["source"], user["flow_version"]) for user in users} == {("randomuser", "v1")}


def test_invalid_records_keep_their_bytes_their_place_and_all_reasons() -> None:
    found = partitioned(VALID, b'{"email" : "x"}', b"[]", b"NaN")
    assert found.invalid == [
        DeadLetter(["missing:id", "missing:first_name", "missing:last_name", "not_email:email"], 1, b'{"email" : "x"}'),
        DeadLetter(["not_an_object"], 2, b"[]"),
        DeadLetter(["not_json"], 3, b"NaN"),
    ]


def test_a_record_too_large_for_kafka_is_a_dead_letter() -> None:
    huge = VALID.replace(b"Ana", b"A" * 900_000)
    found = partitioned(huge, VALID)
    assert [(letter.reasons, letter.position) for letter in found.invalid] == [(["too_large"], 0)]
    assert len(found.messages) == 1


def test_optional_texts_that_are_too_long_for_kafka_cost_nobody_the_record() -> None:
    optional = b'"phone":"' + b"1" * 900_000 + b'","gender":"' + b"x" * 10_000 + b'"}'
    found = partitioned(VALID[:-1] + b"," + optional, VALID.replace(b"Ana", b"A" * 899_000)[:-1] + b"," + optional)
    user = decoded("user", found.messages[0][1])
    assert (user["phone"], user["gender"]) == (None, "x" * 10_000)
    assert [letter.reasons for letter in found.invalid] == [["too_large"]]


def test_a_long_text_that_kafka_takes_stays() -> None:
    found = partitioned(VALID[:-1] + b',"phone":"' + b"1" * 800_000 + b'"}')
    assert decoded("user", found.messages[0][1])["phone"] == "1" * 800_000


def test_somebody_with_one_name_has_an_empty_one_beside_it() -> None:
    found = partitioned(VALID.replace(b'"Li"', b"null"), VALID.replace(b'"Ana"', b"7"))
    user = decoded("user", found.messages[0][1])
    assert (user["first_name"], user["last_name"]) == ("Ana", "")
    assert [letter.reasons for letter in found.invalid] == [["not_text:first_name"]]


def test_keys_count_once() -> None:
    other = VALID.replace(b"7A0E", b"7A0F")
    assert partitioned(VALID, VALID, other).keys == 2


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)
RECORDS = st.lists(
    ANY.map(lambda value: json.dumps(value).encode())
    | st.just(VALID)
    | st.sampled_from([b"NaN", b'{"a":"\xff\xfe"}', b'"\\ud800"', b"{ }", b'{"a":[1,{"b":"]"}]}']),
    min_size=1,
    max_size=8,
)


@given(RECORDS)
def test_nothing_is_lost_and_the_invalid_come_back_to_the_byte(given_records: list[bytes]) -> None:
    found = partitioned(*given_records)
    assert len(found.messages) + len(found.invalid) == found.fetched == len(given_records)
    assert len(found.messages) == given_records.count(VALID)
    lines = [letter.line() for letter in found.invalid]
    assert not any("\n" in line for line in lines)
    read = [DeadLetter.of(line.encode()) for line in lines]
    assert [letter.original for letter in read] == [record for record in given_records if record != VALID]
    assert read == found.invalid


@given(st.binary() | st.text().map(str.encode))
def test_any_bytes_survive_a_line_that_is_not_much_longer(original: bytes) -> None:
    line = DeadLetter(["not_json"], 0, original).line().encode()
    assert DeadLetter.of(line).original == original
    assert len(line) <= 2 * len(original) + 60
    assert b"\n" not in line


@pytest.mark.parametrize("letter", [b"\xff", b"\0", b'"', b"\n", "é".encode(), "😀".encode()])
def test_a_huge_original_stays_within_what_nifi_takes_into_memory(letter: bytes) -> None:
    line = DeadLetter(["not_json"], 0, letter * 1_000_000).line().encode()
    assert len(line) <= 2_000_060 * len(letter)


def test_a_line_of_an_earlier_version_is_read() -> None:
    line = b'{"reasons": ["not_json"], "position": 4, "original": "{\\"a\\":\\"\\u00e9\\udcff"}'
    assert DeadLetter.of(line) == DeadLetter(["not_json"], 4, '{"a":"é'.encode() + b"\xff")


# --- publishing -------------------------------------------------------------------------------------------------------


def test_a_page_is_published_and_then_its_receipt() -> None:
    kafka = FakeKafka()
    publish_page(page(VALID, b"{}", VALID), FETCH, "v1", "t", kafka, kafka)
    (topic, messages, headers), (receipts, [(key, frame)], _) = kafka.sent
    assert (topic, receipts) == ("t", "t.pages")
    assert [key for key, _ in messages] == [KEY.encode()] * 2
    assert headers == [("page", b"randomuser@325265a0/seed-1/100/7")]
    assert key == b"randomuser@325265a0/seed-1/100/7"
    receipt = decoded("page_receipt", frame)
    assert receipt.pop("fetched_at").timestamp() == 1_700_000_000
    assert receipt == {
        "id": "randomuser@325265a0/seed-1/100/7",
        "source": "randomuser",
        "seed": "seed-1",
        "page_size": 100,
        "page": 7,
        "fetched": 3,
        "published": 2,
        "keys": 1,
        "invalid": 1,
        "flow_version": "v1",
    }
    assert frame[:5] == b"\x00\x00\x00\x00\x02"


def test_no_receipt_for_a_page_that_was_not_acknowledged() -> None:
    kafka = FakeKafka(failing="t")
    with pytest.raises(DeliveryError):
        publish_page(page(VALID), FETCH, "v1", "t", kafka, kafka)
    assert kafka.sent == []


def test_dead_letters_are_published_with_where_they_come_from() -> None:
    kafka = FakeKafka()
    lines = DeadLetter(["not_json"], 4, b'{"a":"\xff').line() + "\n"
    assert publish_dead_letters(lines.encode(), FETCH, "v1", "t.dlq", kafka, kafka) == 1
    [(topic, [(key, frame)], _)] = kafka.sent
    assert (topic, key, frame[:5]) == ("t.dlq", b"randomuser@325265a0/seed-1/100/7#4", b"\x00\x00\x00\x00\x03")
    letter = decoded("dead_letter", frame)
    assert letter.pop("received_at").timestamp() == 1_700_000_000
    assert letter == {
        "id": "randomuser@325265a0/seed-1/100/7#4",
        "stage": "flow",
        "source": "randomuser",
        "origin": "randomuser@325265a0/seed-1/100/7",
        "position": 4,
        "reasons": ["not_json"],
        "original": b'{"a":"\xff',
        "flow_version": "v1",
        "schema_id": None,
    }


def test_no_invalid_records_ask_nothing_of_anybody() -> None:
    kafka = FakeKafka()
    assert publish_dead_letters(b"", FETCH, "v1", "elsewhere", kafka, kafka) == 0
    assert kafka.sent == []


NO_BASE64 = b'{"reasons":["a"],"position":1,"base64":"x"}'


@pytest.mark.parametrize(
    "line", [b"x", b"[]", b"{}", b'{"reasons":"a","position":1,"original":"x"}', NO_BASE64, b"[" * 9000]
)
def test_what_is_no_dead_letter_is_not_published(line: bytes) -> None:
    kafka = FakeKafka()
    with pytest.raises(FlowFileError):
        publish_dead_letters(
            DeadLetter(["a"], 0, b"b").line().encode() + b"\n" + line, FETCH, "v1", "t.dlq", kafka, kafka
        )
    assert kafka.sent == []


def test_a_fetch_is_read_from_the_attributes() -> None:
    assert Fetch.of(dict(ATTRIBUTES)) == FETCH
    assert FETCH.origin == "randomuser@325265a0/seed-1/100/7"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("page:source", None),
        ("page:url_digest", ""),
        ("page:number", ""),
        ("page:fetched_at", "now"),
        ("page:size", None),
    ],
)
def test_a_flowfile_that_does_not_say_its_page_is_named(name: str, value: str | None) -> None:
    with pytest.raises(FlowFileError, match=name):
        Fetch.of({**ATTRIBUTES, name: value})
