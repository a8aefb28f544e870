"""The audit: a balanced world is left in peace, and each way of losing or doubling a record is named."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID, uuid5

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nifi_flows.pipeline import USERS
from scripts.audit.judge import Audit, audit
from scripts.observe.pull_run import RunCursor, RunState
from scripts.observe.records import Frames

RUN = "embedded/users/10"
EARLIER = "embedded/before/10"
_SPACE = UUID("00000000-0000-0000-0000-00000000cafe")


def key(name: str) -> UUID:
    return uuid5(_SPACE, name)


@dataclass
class World:
    """What the engines would say. Each page has 10 users: 2 invalid, 1 key twice, so 8 published and 7 keys."""

    receipts: dict[str, dict[str, Any]] = field(default_factory=dict)
    keys: dict[str, set[UUID]] = field(default_factory=dict)
    letters: dict[str, dict[str, Any]] = field(default_factory=dict)
    rows: set[UUID] = field(default_factory=set)
    undecodable: set[str] = field(default_factory=set)
    cursor: RunCursor | None = None
    gone: int = 0

    def page(self, run: str, number: int, published: int = 8, keys: int = 7, invalid: int = 2) -> None:
        name = f"{run}/{number}"
        self.receipts[name] = {
            "page": number,
            "fetched": published + invalid,
            "published": published,
            "keys": keys,
            "invalid": invalid,
        }
        if keys:
            self.keys[name] = {key(f"{name}:{user}") for user in range(keys)}
            self.rows |= self.keys[name]
        for position in range(invalid):
            self.letter("flow", name, position, ["no_at:email"])

    def letter(self, stage: str, origin: str, position: int, reasons: list[str]) -> str:
        name = f"{origin}#{position}"
        self.letters[name] = {"id": name, "stage": stage, "origin": origin, "reasons": reasons}
        return name

    def refused(self, offset: int, reason: str) -> str:
        return self.letter("consumer", f"{USERS.topic}/0", offset, [reason])

    def audit(self) -> Audit:
        count = sum(len(keys) for keys in self.keys.values()) + len(self.undecodable)
        run = RunState(self.cursor, RUN, 3, 0.0, {}, 0, [])
        frames = Frames(count, self.keys, self.undecodable, self.gone)
        return audit(run, self.receipts, frames, self.letters, self.rows)

    def without(self, number: int) -> None:
        """Lose a page with all that it left."""
        name = f"{RUN}/{number}"
        del self.receipts[name]
        self.rows -= self.keys.pop(name)
        self.letters = {n: letter for n, letter in self.letters.items() if letter["origin"] != name}


def balanced() -> World:
    """Three pages of a run under way and two of an earlier one, a foreign frame, and what the consumer refused."""
    world = World(cursor=RunCursor(RUN, 4))
    for number in (1, 2, 3):
        world.page(RUN, number)
    for number in (1, 2):
        world.page(EARLIER, number)
    world.keys[""] = {key("foreign")}
    world.rows.add(key("foreign"))
    world.undecodable = {world.refused(7, "bad_magic")}
    world.refused(9, "bad_event_time")
    world.keys[""].add(key("from another century"))
    return world


def test_a_balanced_world_is_left_in_peace_and_counted() -> None:
    found = balanced().audit()
    assert found.findings == []
    assert found.counts == {
        "pages": 5,
        "users fetched": 50,
        "users published": 40,
        "users invalid": 10,
        "frames in topic": 38,
        "distinct keys in topic": 37,
        "dead letters of the flow": 10,
        "dead letters of the consumer": 2,
        "rows": 36,
    }
    assert found.reasons == {"no_at:email": 10, "bad_magic": 1, "bad_event_time": 1}
    assert next(iter(found.reasons)) == "no_at:email", "the most frequent first"


def test_nothing_at_all_adds_up() -> None:
    assert World().audit().findings == []


def _lose_receipt(world: World) -> None:
    del world.receipts[f"{RUN}/2"]


def _lose_page(world: World) -> None:
    world.without(2)


def _lose_last_page(world: World) -> None:
    world.without(3)


def _lose_key(world: World) -> None:
    world.keys[f"{RUN}/1"].remove(key(f"{RUN}/1:3"))
    world.rows.remove(key(f"{RUN}/1:3"))


def _add_key(world: World) -> None:
    world.keys[f"{RUN}/1"].add(key("stowaway"))
    world.rows.add(key("stowaway"))


def _swap_pages(world: World) -> None:
    moved = world.keys[f"{RUN}/1"].pop()
    world.keys[f"{RUN}/2"].add(moved)


def _lose_letter(world: World) -> None:
    del world.letters[f"{RUN}/1#0"]


def _add_letter(world: World) -> None:
    world.letter("flow", f"{RUN}/1", 5, ["no_at:email"])


def _letters_of_an_unknown_page(world: World) -> None:
    world.letter("flow", "elsewhere/users/10/1", 0, ["no_at:email"])


def _lose_row(world: World) -> None:
    world.rows -= {key(f"{RUN}/1:0"), key(f"{RUN}/1:1")}


def _add_row(world: World) -> None:
    world.rows.add(key("nobody"))


def _undecodable_without_letter(world: World) -> None:
    world.undecodable.add(f"{USERS.topic}/1#3")


def _frames_without_receipt(world: World) -> None:
    world.keys["elsewhere/users/10/1"] = {key("elsewhere")}
    world.rows.add(key("elsewhere"))


def _receipt_does_not_sum(world: World) -> None:
    world.receipts[f"{RUN}/1"]["fetched"] = 11


_TAMPERED: list[tuple[Callable[[World], None], list[str]]] = [
    (
        _lose_receipt,
        [
            f"run {RUN}: handed out but without a receipt: pages 2",
            f"page {RUN}/2: 7 keys in the topic, but no receipt",
            f"page {RUN}/2: 2 dead letters, but no receipt",
        ],
    ),
    (_lose_page, [f"run {RUN}: handed out but without a receipt: pages 2"]),
    (_lose_last_page, [f"run {RUN}: handed out but without a receipt: pages 3"]),
    (_lose_key, [f"page {RUN}/1: 7 keys published, but 6 in the topic"]),
    (_add_key, [f"page {RUN}/1: 7 keys published, but 8 in the topic"]),
    (
        _swap_pages,
        [f"page {RUN}/1: 7 keys published, but 6 in the topic", f"page {RUN}/2: 7 keys published, but 8 in the topic"],
    ),
    (_lose_letter, [f"page {RUN}/1: 2 invalid, but 1 dead letters"]),
    (_add_letter, [f"page {RUN}/1: 2 invalid, but 3 dead letters"]),
    (_letters_of_an_unknown_page, ["page elsewhere/users/10/1: 1 dead letters, but no receipt"]),
    (_add_row, [f"rows without a frame in the topic: {key('nobody')}"]),
    (_undecodable_without_letter, [f"undecodable frames without a dead letter: {USERS.topic}/1#3"]),
    (_frames_without_receipt, ["page elsewhere/users/10/1: 1 keys in the topic, but no receipt"]),
    (_receipt_does_not_sum, [f"page {RUN}/1: 11 fetched, but 8 published and 2 invalid"]),
]


@pytest.mark.parametrize(("tamper", "findings"), _TAMPERED, ids=[tamper.__name__[1:] for tamper, _ in _TAMPERED])
def test_each_tampering_is_named_and_nothing_else(tamper: Callable[[World], None], findings: list[str]) -> None:
    world = balanced()
    tamper(world)
    assert world.audit().findings == findings


def test_a_lost_row_is_named_by_its_key() -> None:
    world = balanced()
    _lose_row(world)
    (finding,) = world.audit().findings
    assert finding.startswith("keys of the topic without a row: ")
    assert str(key(f"{RUN}/1:0")) in finding
    assert str(key(f"{RUN}/1:1")) in finding


def test_a_key_without_a_row_is_fine_only_as_far_as_the_consumer_refused_frames_that_decode() -> None:
    world = balanced()
    del world.letters[f"{USERS.topic}/0#9"]
    assert world.audit().findings == [f"keys of the topic without a row: {key('from another century')}"]
    world.refused(11, "bad_magic")
    world.undecodable.add(f"{USERS.topic}/0#11")
    assert world.audit().findings, "a letter for an undecodable frame excuses no key"


def test_many_offenders_are_counted_and_only_a_few_named() -> None:
    world = balanced()
    world.rows |= {key(str(number)) for number in range(12)}
    (finding,) = world.audit().findings
    assert finding.count(",") == 4
    assert finding.endswith(" and 7 more")


def test_what_retention_has_removed_is_no_loss_but_what_is_too_much_still_is() -> None:
    world = replace(balanced(), gone=9)
    world.keys[f"{RUN}/1"] = set()
    assert world.audit().findings == []
    _add_key(world)
    world.keys[f"{RUN}/2"].add(key("another stowaway"))
    world.rows.add(key("another stowaway"))
    assert world.audit().findings == [f"page {RUN}/2: 7 keys published, but 8 in the topic"]


def test_a_page_that_was_abandoned_with_its_run_is_no_loss() -> None:
    world = balanced()
    world.page(EARLIER, 4)
    assert world.audit().findings == []


def test_pages_from_before_the_run_had_its_key_are_not_looked_for() -> None:
    world = balanced()
    world.without(1)
    assert world.audit().findings
    world.cursor = RunCursor(RUN, 4, first_page=2)
    assert world.audit().findings == []
    world.without(2)
    assert world.audit().findings == [f"run {RUN}: handed out but without a receipt: pages 2"]


def test_pages_that_were_fetched_again_change_nothing() -> None:
    """A receipt beyond the cursor: NiFi was killed after the page was published and before its state was."""
    world = balanced()
    world.cursor = RunCursor(RUN, 3)
    assert world.audit().findings == []


pages = st.lists(
    st.tuples(st.integers(0, 5), st.integers(0, 3), st.integers(0, 4)).map(
        lambda page: {"published": page[0] + page[1], "keys": page[0], "invalid": page[2]}
    ),
    min_size=1,
    max_size=6,
)


@given(pages, st.data())
def test_any_world_balances_and_any_single_loss_or_doubling_is_found(
    numbers: list[dict[str, int]], data: st.DataObject
) -> None:
    world = World(cursor=RunCursor(RUN, len(numbers) + 1))
    for number, counts in enumerate(numbers, 1):
        world.page(RUN, number, **counts)
    assert world.audit().findings == []
    lossy = copy.deepcopy(world)
    places: list[Any] = [lossy.receipts, lossy.letters, lossy.rows, *lossy.keys.values()]
    losable = [(place, item) for place in places for item in sorted(place, key=str)]
    place, item = data.draw(st.sampled_from(losable))
    if isinstance(place, set):
        place.remove(item)
    else:
        del place[item]
    assert lossy.audit().findings
    place = data.draw(st.sampled_from([world.rows, *world.keys.values()]))
    place.add(key("one too many"))
    assert world.audit().findings
