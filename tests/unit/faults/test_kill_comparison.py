"""What the kills' harness counts, on made-up tables: a comparison that finds nothing is worth nothing."""

import datetime as dt
import itertools
import json
from typing import Any
from uuid import UUID

import pytest

from nifi_processors.page import Page
from nifi_processors.publish import Fetch, partition
from scripts.observe.records import Decoder
from scripts.observe.topics import Position
from scripts.source import people
from spark_consumer.contract import USER_SCHEMA
from tests.engines.conftest import LocalStack
from tests.faults.kills.compare import DOUBLED, LOST, MIXED, STALE, Findings, Version, judge, letters
from tests.faults.kills.expected import COLUMNS, micros, record_of, row_of
from tests.faults.kills.flow import Flow, Receipt, due
from tests.faults.kills.table import AT_THE_END, Kill, render
from tests.faults.kills.versions import DIRTY, MOST, RUBBISH, Content, Sent
from tests.faults.kills.watch import Mark, Sample

SCHEMA_ID = 7
FIRST = 1_790_000_000_000_000  # microseconds
CONTENT = Content("unit", SCHEMA_ID)
MADE = [{"id": UUID(int=1), "first_name": name, "phone": name} for name in ("old", "middle", "new")]
THREE = [Version(event, True, MADE[event]) for event in (2, 1, 0)]  # the newest first


def versions(made: Sent, key: int) -> list[Version]:
    return list(made.versions(key, made.acknowledged[key]))


def sent(count: int) -> Sent:
    """Keys of which everything is acknowledged."""
    made = Sent(CONTENT)
    for _ in range(count):
        key = made.begin(FIRST + len(made.firsts) * 10_000)
        for version in CONTENT.plan(key).order:
            made.acknowledge(key, version)
    return made


@pytest.mark.parametrize(
    ("row", "wrong"),
    [
        (MADE[2], None),
        (MADE[2] | {"address": None, "theirs": "stays"}, None),
        (None, LOST),
        (MADE[0], STALE),
        (MADE[1], STALE),
        (MADE[2] | {"phone": "old"}, MIXED),
        (MADE[2] | {"phone": None}, MIXED),
        (MADE[2] | {"address": "left behind"}, MIXED),
        (MADE[2] | {"phone": "of nobody"}, MIXED),
    ],
)
def test_a_row_is_held_against_the_records_of_its_key(row: dict[str, Any] | None, wrong: str | None) -> None:
    found = judge(row, THREE)
    assert (found and found[0]) == wrong


def test_what_kafka_did_not_acknowledge_may_be_there_or_not() -> None:
    unanswered = [Version(2, False, MADE[2]), *THREE[1:]]
    assert judge(MADE[1], unanswered) is None
    assert judge(MADE[2], unanswered) is None
    assert judge(MADE[0], unanswered) == (STALE, "the record of 0, the newest is of 1")
    assert judge(None, [Version(2, False, MADE[2])]) is None
    assert judge(MADE[0], []) == (MIXED, "a row of no record")


def test_what_differs_is_told() -> None:
    assert judge(MADE[2] | {"phone": "old"}, THREE) == (MIXED, "(found, wanted) {'phone': ('old', 'new')}")


def test_each_wrong_done_to_a_table_is_counted() -> None:
    """A table as it should be, then a row gone, one from before, and one cell of another version."""
    made = sent(600)
    table = {key: versions(made, key)[0].row for key in range(600) if versions(made, key)}
    assert not any(judge(row, versions(made, key)) for key, row in table.items())
    several = [key for key in table if len(versions(made, key)) == MOST]
    gone, old, mixed = several[:3]
    del table[gone]
    table[old] = versions(made, old)[-1].row
    table[mixed] = {**table[mixed], "first_name": versions(made, mixed)[-1].row["first_name"]}
    findings = Findings()
    for key in range(600):
        if known := versions(made, key):
            wrong = judge(table.get(key), known)
            if wrong is not None:
                findings.add(wrong[0], key)
    assert findings.counts == {LOST: 1, STALE: 1, MIXED: 1}
    assert [example.split(": ")[1] for example in findings.examples] == [str(gone), str(old), str(mixed)]


def test_letters_are_held_against_what_is_refused() -> None:
    refused = [("a", True), ("b", True), ("c", True), ("d", False), ("e", True)]
    found = letters(refused, rows_of_refused=["c", "e"], strays=["s"], found={"a", "c"})
    assert found.counts == {LOST: 1, DOUBLED: 2, MIXED: 1}  # b; c and s; e
    assert found.compared == 5
    assert not letters([("a", True)], [], [], {"a"}).counts


def test_each_cell_of_a_version_is_its_own() -> None:
    """But for the few values that there are of some columns."""
    made = sent(300)
    shared = {"id", "schema_id", "age", "age_group", "tenure_days", "country_code", "region"}
    for key in range(300):
        rows = [version.row for version in versions(made, key)]
        for one, other in itertools.pairwise(rows):
            assert {column for column in one if column in other and one[column] == other[column]} <= shared
    columns = [frozenset(version.row) for key in range(300) for version in versions(made, key)]
    assert len(set(columns)) > 100
    assert frozenset().union(*columns) == COLUMNS


def test_keys_come_in_one_to_three_versions_some_late_and_some_refused() -> None:
    plans = [CONTENT.plan(key) for key in range(3000)]
    assert {plan.order for plan in plans} == {(0,), (0, 1), (0, 1, 2), (0, 2, 1)}
    assert not any(plan.refused for plan in plans), "the continuous lane goes on"
    refused = [key for key in range(DIRTY.start, DIRTY.start + 3000) if CONTENT.plan(key).refused]
    assert 1 <= len(refused) <= 30
    assert CONTENT.rubbish(refused[0]).startswith(RUBBISH)
    assert versions(sent(refused[0] + 1), refused[0]) == []


def test_a_frame_holds_its_record() -> None:
    decoded = Decoder(lambda schema_id: USER_SCHEMA).decode(CONTENT.frame(3, 0, FIRST))
    wanted = CONTENT.record(3, 0, FIRST)
    assert micros(decoded.pop("event_time")) == micros(decoded.pop("fetched_at")) == FIRST == wanted["event_time"]
    assert decoded | {"id": str(decoded["id"])} == {n: v for n, v in wanted.items() if not n.endswith(("_at", "_time"))}


def test_only_what_is_acknowledged_has_to_be_there() -> None:
    made = Sent(CONTENT)
    key = next(key for key in range(99) if [made.begin(FIRST)] and len(CONTENT.plan(key).order) == MOST)
    made.acknowledge(key, 1)
    assert {v.event: v.acknowledged for v in versions(made, key)} == {
        FIRST: False,
        FIRST + 1000: True,
        FIRST + 2000: False,
    }


def test_a_row_as_the_documents_say() -> None:
    record = {
        "id": "0b1f4c5e-58b4-4b0a-9d5e-0123456789ab",
        "first_name": "Ann",
        "last_name": "Ås",
        "email": "ann@Mail.Example",
        "dob": "1990-06-15T08:00:00.000Z",
        "registered_date": "2026-02-27",
        "country": "Norway",
        "source": "s",
        "flow_version": "v",
        "event_time": micros(dt.datetime(2026, 3, 1, tzinfo=dt.UTC)),
        "fetched_at": micros(dt.datetime(2026, 3, 1, 0, 0, 0, 123_456, tzinfo=dt.UTC)),
    }
    assert row_of(record, 3) == {
        "id": UUID("0b1f4c5e-58b4-4b0a-9d5e-0123456789ab"),
        "first_name": "Ann",
        "last_name": "Ås",
        "full_name": "Ann Ås",
        "email": "ann@Mail.Example",
        "email_domain": "mail.example",
        "dob": "1990-06-15T08:00:00.000Z",
        "age": 35,
        "age_group": "35-44",
        "registered_date": "2026-02-27",
        "tenure_days": 2,
        "country_code": "NO",
        "region": "Europe",
        "source": "s",
        "flow_version": "v",
        "fetched_at": dt.datetime(2026, 3, 1, 0, 0, 0, 123_000),
        "schema_id": 3,
    }
    unborn = record | {"dob": "2026-03-02", "registered_date": None, "country": "Atlantis"}
    assert row_of(unborn, 3).keys() & {"age", "age_group", "tenure_days", "country_code", "region"} == set()


def test_a_served_user_is_the_record_that_the_flow_publishes() -> None:
    users = list(people.users("unit", range(300)))
    page = Page(b'{"results":[' + b",".join(users) + b"]}", 1)
    partitioned = partition(page, Fetch("embedded", "0a1b2c3d", "unit", 300, 1, FIRST), "v1", SCHEMA_ID)
    decode = Decoder(lambda schema_id: USER_SCHEMA).decode
    published = [decode(frame) for _, frame in partitioned.messages]
    expected = [record_of(json.loads(user), FIRST, place, "embedded", "v1") for place, user in enumerate(users)]
    for record in published:
        record |= {name: micros(record[name]) for name in ("event_time", "fetched_at")} | {"id": str(record["id"])}
    assert published == expected


@pytest.fixture
def flow() -> Flow:
    made = Flow(LocalStack({}), "seed", 10, 0.2, 0.0)
    made.receipts = {2: [Receipt(2, FIRST, "v1", 100.0), Receipt(2, FIRST + 5_000, "v1", 105.0)]}
    return made


def test_of_a_page_that_came_again_the_newest_counts(flow: Flow) -> None:
    user = next(user for user in flow.users(2) if user.letter is None)
    new, old = (version.row for version in flow.versions(user, None, SCHEMA_ID))

    def wrong(row: dict[str, Any] | None, before: float | None = 200.0) -> str | None:
        found = judge(row, flow.versions(user, row, SCHEMA_ID, before))
        return found and found[0]

    assert wrong(None) == LOST
    assert wrong(dict(new)) is None
    assert wrong(dict(old)) == STALE
    assert wrong({**new, "phone": "another"}) == MIXED
    later = {**new, "fetched_at": new["fetched_at"] + dt.timedelta(seconds=1)}
    assert wrong(later) is None  # published, and its receipt is not there yet
    assert wrong({**later, "phone": "another"}) == MIXED
    assert wrong(later, before=None) == MIXED  # all receipts are there, and none is of it
    assert wrong(dict(new), before=None) is None
    assert wrong(dict(old), before=102.0) is None
    assert wrong(dict(new), before=102.0) is None  # published, and its receipt does not count yet


def test_users_of_the_flow_that_are_invalid_are_known_by_their_letters(flow: Flow) -> None:
    users = list(flow.users(2))
    assert [user.index for user in users] == list(range(10, 20))
    expected = {user.letter for user in users if user.letter is not None}
    assert expected
    every = [f"{flow.origin}/2#{position}" for position in range(10)]
    assert {letter for letter in every if flow.refused(letter)} == expected
    assert not flow.refused(next(iter(expected)).replace("seed", "other"))


def test_pages_are_due_once_they_were_published_before_the_kill(flow: Flow) -> None:
    flow.receipts[3] = [Receipt(3, FIRST, "v1", 110.0)]
    assert due(flow.receipts, 102.0, set()) == [2]
    assert due(flow.receipts, 110.0, {2}) == [3]


def test_it_flows_again_when_all_of_the_strike_is_consumed_and_pages_come() -> None:
    def sample(committed: int | None, end: int, pages: int) -> Sample:
        return Sample(0.0, {0: Position(0, end, committed), 1: Position(0, 5, 5)}, pages)

    mark = Mark.of(sample(5, 10, 3))
    assert not mark.consumed(sample(None, 20, 9))
    assert not mark.consumed(sample(9, 20, 9))
    assert mark.consumed(sample(10, 20, 3))
    assert not mark.published(sample(10, 20, 4))
    assert mark.published(sample(10, 20, 5))


def test_the_table_has_a_line_a_kind_and_one_for_all() -> None:
    kills = [
        Kill(("kafka killed",), 5.0, 10.0, False, 100, {}),
        Kill(("cassandra killed",), 50.0, 30.0, False, 100, {LOST: 2, STALE: 1}),
        Kill(("cassandra killed",), 90.0, 120.0, True, 100, {LOST: 3}),
        Kill(AT_THE_END, 120.0, 0.0, False, 1000, {DOUBLED: 1}),
    ]
    told = render(kills, "Seed 1.")
    assert told.splitlines() == [
        "Seed 1.",
        "",
        "| kind | times | lost | stale | mixed | doubled | hung | longest heal, s |",
        "|---|---|---|---|---|---|---|---|",
        "| cassandra killed | 2 | 5 | 1 | 0 | 0 | 1 | 120.0 |",
        "| kafka killed | 1 | 0 | 0 | 0 | 0 | 0 | 10.0 |",
        "| (found at the end) | 1 | 0 | 0 | 0 | 1 | 0 | 0.0 |",
        "| all | 3 | 5 | 1 | 0 | 1 | 1 | 120.0 |",
    ]
    assert [kill.right for kill in kills] == [True, False, False, False]
    assert str(kills[1]) == "    50 s  cassandra killed: healed in 30.0 s, 100 compared, 2 lost, 1 stale"
    assert str(kills[2]).startswith("    90 s  cassandra killed: HUNG for 120 s")


def test_what_was_struck_together_counts_for_each() -> None:
    both = Kill(("kafka killed", "source stopped"), 1.0, 9.0, hung=False, counts={LOST: 2})
    told = render([both, Kill(("kafka killed",), 2.0, 3.0, hung=False)], "Seed 1.").splitlines()
    assert str(both) == "     1 s  kafka killed + source stopped: healed in 9.0 s"
    assert [line.split(" | ")[:3] for line in told[-3:]] == [
        ["| kafka killed", "2", "2"],
        ["| source stopped", "1", "2"],
        ["| all", "3", "2"],
    ]
