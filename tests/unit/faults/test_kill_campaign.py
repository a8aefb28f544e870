"""What the kills' harness waits for and tells, without engines: waits end, kills are told whatever follows."""

import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nifi_flows.errors import TransientError
from scripts.observe import records, topics
from scripts.observe.topics import Message, Position
from tests.engines import conftest
from tests.engines.conftest import LocalStack, Outcome
from tests.faults.kills import campaign as module
from tests.faults.kills import publisher as publishing
from tests.faults.kills import watch as watching
from tests.faults.kills.again import Letter, came_again, told
from tests.faults.kills.campaign import Campaign
from tests.faults.kills.compare import Findings
from tests.faults.kills.flow import Receipt
from tests.faults.kills.processes import Kind
from tests.faults.kills.publisher import Publisher
from tests.faults.kills.versions import Content
from tests.faults.kills.watch import Mark, Sample, Watch, ends_of, lane_of

NOWHERE = "127.0.0.1:1"


def sample(done: int, swept: int, pages: int = 0) -> Sample:
    return Sample(time.time() + 60, {0: Position(0, 10, done, swept)}, pages)


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    monkeypatch.setattr(Watch, "explain", lambda _: "explained")
    return Watch(LocalStack({}), lambda lag: None)


def test_it_is_drained_when_the_dead_letters_are_out_as_well(watch: Watch) -> None:
    watch.latest = sample(done=10, swept=9)
    with pytest.raises(AssertionError, match="explained"):
        watch.drain(0.1)
    watch.latest = sample(done=10, swept=10)
    watch.drain(0.1)


def test_the_first_kill_waits_for_a_consumer_that_keeps_up(watch: Watch) -> None:
    watch.latest = sample(done=3, swept=3)
    with pytest.raises(AssertionError, match="7 frames behind"):
        watch.keeps_up(6, 0.1)
    watch.keeps_up(7, 0.1)


def test_what_stands_is_named() -> None:
    mark = Mark({0: 10}, 5)
    assert mark.standing(sample(9, 0, 7)) == "the consumer stands: partition 0 is finished up to 9 of 10"
    assert mark.standing(sample(10, 0, 6)) == "the flow stands: 1 of 2 pages are published"
    assert mark.standing(sample(10, 0, 7)) == "it flows by now"
    assert mark.standing(None) == "nothing was ever seen of Kafka"


def test_ends_of_the_stream_are_found_in_the_log() -> None:
    lines = ["the stream was ended by SIGABRT; it is started again in 1 s", "batch 1: 2 frames", "it ended"]
    assert ends_of("\n".join(lines)) == lines[:1]


def test_the_lane_is_that_of_the_last_start() -> None:
    starts = [f"2026-03-01 INFO streaming: started in the lane {lane} at {{0: 5}}" for lane in ("slow", "fast")]
    assert lane_of("\n".join([*starts, "batch 1: 2 frames"])) == "fast"
    assert lane_of("batch 1: 2 frames") == ""


def test_a_look_without_end_fails_the_campaign_and_hides_no_other_failure(
    watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "_JOIN", 0.1)
    monkeypatch.setattr(watch, "_thread", SimpleNamespace(join=lambda seconds: None, is_alive=lambda: True))
    with pytest.raises(AssertionError, match="did not end"):
        watch.__exit__(None, None, None)
    watch.__exit__(ValueError, ValueError(), None)


def test_the_publisher_ends_beside_a_kafka_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishing, "_UNSENT", 10)
    monkeypatch.setattr(publishing, "_END", 0.5)
    begun = time.monotonic()
    with pytest.raises(AssertionError, match="did not take"), Publisher(NOWHERE, Content("unit", 7), 1000) as made:
        time.sleep(0.3)
        made.finish()
    assert time.monotonic() - begun < 5
    assert not made._thread.is_alive()


def _campaign(
    monkeypatch: pytest.MonkeyPatch, folder: Path, watch: Any, *, each: bool = False
) -> tuple[Campaign, list[str]]:
    monkeypatch.setattr(module, "_CALM", (0.0, 0.0))
    monkeypatch.setattr(module, "strike", lambda *_: 1.0)
    said: list[str] = []
    made = Campaign(LocalStack({}), 1, said.append, folder, each=each)
    made._begun = time.time()
    made.publisher = SimpleNamespace(sent=SimpleNamespace(acknowledged=bytearray(), firsts=[]), complete=3)  # type: ignore[assignment]
    made.watch = watch
    made.flow.read = lambda: None  # type: ignore[method-assign]
    return made, said


def test_the_stack_ends_although_its_logs_cannot_be_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[tuple[str, ...]] = []

    def pipeline(*arguments: str) -> Outcome:
        asked.append(arguments)
        return Outcome(0, "", "")

    made = SimpleNamespace(settings=SimpleNamespace(logs=tmp_path / "gone"), pipeline=pipeline, processes=list)
    monkeypatch.setattr(conftest, "place", lambda _: made)
    monkeypatch.setenv("PIPELINE_KEEP_LOGS", str(tmp_path / "kept"))
    with pytest.raises(FileNotFoundError), conftest.placed("kills"):
        assert not asked
    assert asked == [("down", "--wipe")]


def test_a_kill_after_which_kafka_is_not_seen_is_told_and_due(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def mark(*_: float) -> Mark:
        raise AssertionError("no look")

    made, said = _campaign(monkeypatch, tmp_path, SimpleNamespace(lane=lambda: "", mark=mark))
    with pytest.raises(AssertionError, match="no look"):
        made.kill([Kind("kafka", stop=False)])
    assert made._keys == 3
    assert [kill.hung for kill in made.kills] == [True]
    assert made._due == [(0, range(3), 1.0)]
    assert "kafka killed: HUNG" in said[0]
    assert "| kafka killed | 1 |" in (tmp_path / "kills.md").read_text()


def test_what_was_sent_last_before_each_strike_is_compared_at_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    watch = SimpleNamespace(lane=lambda: "fast", mark=lambda *_: Mark({}, 0), heal=lambda *_: True)
    made, _ = _campaign(monkeypatch, tmp_path, watch, each=True)
    sent: Any = made.publisher.sent
    sent.firsts += range(10_000)

    def strike(*_: Any) -> float:
        sent.firsts += range(500)
        return time.time()

    receipts = {page: [Receipt(page, 0, "v", time.time() - 60 + page)] for page in range(1, 10)}
    made.flow.receipts = {**receipts, 10: [Receipt(10, 0, "v", time.time() + 60)]}
    compared: list[tuple[list[int], list[int]]] = []

    def compare(keys: Any, acknowledged: Any, pages: Any, before: Any) -> Findings:
        compared.append((list(keys), list(pages)))
        return Findings(compared=7)

    monkeypatch.setattr(module, "strike", strike)
    monkeypatch.setattr(made, "compare", compare)
    made.kill([Kind("nifi", stop=True), Kind("cassandra", stop=False)])
    assert compared == [(list(range(4_000, 10_500)), [6, 7, 8, 9])]
    assert made.kills[0].kinds == ("nifi stopped", "cassandra killed")
    assert made.kills[0].compared == 7


def test_a_kill_that_hangs_says_what_stood_and_fails_at_the_end(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    healed = iter([False, True])
    watch = SimpleNamespace(
        lane=lambda: "",
        mark=lambda *_: Mark({0: 10}, 0),
        heal=lambda *_: next(healed),
        latest=sample(9, 9, 2),
        explain=lambda: "explained",
    )
    monkeypatch.setattr(module, "by_hand", lambda *_: ["consumer"])
    made, said = _campaign(monkeypatch, tmp_path, watch)
    made.kill([Kind("consumer", stop=False)])
    assert not made.kills[0].right
    assert "the consumer stands: partition 0 is finished up to 9 of 10\nexplained" in made.examples[0]
    assert said[-1] == "killed by hand: consumer"


def test_a_reading_of_letters_that_fails_halfway_counts_none_twice(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    letter = {"id": "stray", "stage": "consumer", "reasons": ["not_avro"], "original": b"another's"}
    message = Message(0, 7, b"stray", b"", {}, 1000)
    readings: Iterator[list[Message | TransientError]] = iter([[message, TransientError("Kafka is away")], [message]])

    def since(*_: Any) -> tuple[Any, Iterator[Message]]:
        def messages() -> Iterator[Message]:
            for found in next(readings):
                if isinstance(found, Exception):
                    raise found
                yield found

        return SimpleNamespace(ends={0: 8}), messages()

    monkeypatch.setattr(topics, "since", since)
    monkeypatch.setattr(records, "decoder_of", lambda _: SimpleNamespace(decode=lambda _: letter))
    made, _ = _campaign(monkeypatch, tmp_path, None)
    with pytest.raises(TransientError):
        made._read_letters()
    made._read_letters()
    assert came_again(made._letters) == []
    assert made._strays == ["stray"]
    assert made._letter_ends == {0: 8}


def test_letters_that_came_again_are_told_with_their_places() -> None:
    def letter(id_: str, offset: int, at: float) -> Letter:
        return Letter(id_, id_, "consumer", ("unknown_schema",), 1, offset, at)

    found = came_again([letter("t/0#5", 8, 130.0), letter("t/0#6", 9, 120.0), letter("t/0#5", 7, 110.0)])
    assert [[one.offset for one in group] for group in found] == [[7, 8]]
    assert told(found[0], 100.0) == "again: t/0#5 of the consumer (unknown_schema): 1#7 at 10 s, 1#8 at 30 s"
