"""What the stream leaves out and what a sweep takes up meet at every frame: none is skipped, none counts twice."""

import datetime as dt
import itertools
import random
import re
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from confluent_kafka import Producer

from nifi_flows.pipeline import USERS
from scripts.observe import records, topics
from scripts.stack import schema_registry
from scripts.stack.engines import kafka
from spark_consumer.contract import USER_SCHEMA
from spark_consumer.decode import MET_REFUSED
from spark_consumer.names import CONTINUOUS, MICRO_BATCH, subject
from tests.engines.conftest import CALM, LocalStack, until
from tests.engines.test_rows_of_records import cql, finished, publish, rows, send
from tests.unit.consumer.frames import ANN, frame, with_fields

ALL = 10**12
GOOD, REFUSED, NEW = "good", "refused", "new"  # new: good, of a schema that the stream does not know yet
SAFE = 5.0  # seconds that the stack's Cassandra has to live on, until what was refused won't be read again
_BESIDE = [GOOD] * 3  # on the other partition


class Frames:
    """Frames of these kinds, in this order, each of a key of its own."""

    def __init__(self, stack: LocalStack, kinds: Sequence[str]) -> None:
        newer = with_fields({"name": f"added_{uuid.uuid4().hex}", "type": ["null", "string"], "default": None})
        of = subject(USERS.topic)
        current = schema_registry.register(stack.settings, of, USER_SCHEMA)
        new = schema_registry.register(stack.settings, of, newer) if NEW in kinds else 0
        now = dt.datetime.now(dt.UTC)

        def made(kind: str, key: uuid.UUID) -> bytes:
            record = ANN | {"id": str(key), "event_time": now, "fetched_at": now, "source": kind}
            if kind == REFUSED:
                return b"refused " + key.bytes
            return frame(record, current) if kind == GOOD else frame(record, new, newer)

        self._stack, self._schema_ids = stack, {GOOD: current, NEW: new}
        self.kinds = {uuid.uuid4(): kind for kind in kinds}
        self.sent = [(key, made(kind, key)) for key, kind in self.kinds.items()]
        self._letters = len(list(self._originals()))

    def hold(self) -> None:
        """Each is a row, or a dead letter where it is refused, and none is both or twice."""
        wanted = {key: kind for key, kind in self.kinds.items() if kind != REFUSED}
        with cql(self._stack) as session:
            found = rows(session, list(wanted))
            select = session.prepare(f"SELECT id FROM {USERS.table_name} WHERE id IN ?")
            assert not list(session.execute(select, [[key for key in self.kinds if key not in wanted]]))
        assert [(row["source"], row["schema_id"]) for row in found] == [
            (kind, self._schema_ids[kind]) for kind in wanted.values()
        ]
        letters = list(self._originals())[self._letters :]
        assert sorted(letters) == sorted(value for key, value in self.sent if key not in wanted)

    def _originals(self) -> Iterator[bytes]:
        decode = records.decoder_of(self._stack.settings).decode
        _, messages = topics.since(self._stack.settings, USERS.dead_letters, {}, ALL, ALL)
        return (decode(message.value)["original"] for message in messages)


@pytest.mark.parametrize("partition", range(USERS.partitions))
def test_frames_of_each_kind_beside_each_other(stack: LocalStack, partition: int) -> None:
    """Two of each in every order, on one partition."""
    orders = sorted(set(itertools.permutations([GOOD, REFUSED, NEW] * 2)))
    frames = Frames(stack, list(itertools.chain(*orders)))
    send(stack, frames.sent, partition)
    frames.hold()


@pytest.mark.parametrize(
    ("kinds", "partition"),
    [
        ([REFUSED, GOOD], 0),
        ([GOOD, REFUSED], 1),
        ([NEW, REFUSED, GOOD], 1),
        ([GOOD, REFUSED, NEW, GOOD], 0),
    ],
)
def test_the_first_refused_frame_ends_the_continuous_lane_for_a_while(
    stack: LocalStack, kinds: list[str], partition: int
) -> None:
    log = stack.settings.logs / "consumer.log"
    before = steady_lanes(log)
    frames = Frames(stack, [*_BESIDE, *kinds])
    send(stack, frames.sent[: len(_BESIDE)], 1 - partition)
    offsets = send(stack, frames.sent[len(_BESIDE) :], partition)
    frames.hold()
    assert MICRO_BATCH in lanes(log)[before:]
    *_, met = re.findall(MET_REFUSED + r"(\S+/\d+#\d+)", log.read_text())
    assert met == f"{USERS.topic}/{partition}#{offsets[kinds.index(REFUSED)]}"
    until(lambda: lanes(log)[-1:] == [CONTINUOUS], 180, "a stream in the continuous lane again")
    after = Frames(stack, [GOOD])
    send(stack, after.sent)
    after.hold()
    assert lanes(log)[-1] == CONTINUOUS


def test_a_schema_that_is_new_to_the_stream_keeps_the_continuous_lane(stack: LocalStack) -> None:
    log = stack.settings.logs / "consumer.log"
    before = steady_lanes(log)
    frames = Frames(stack, [GOOD, NEW, GOOD])
    send(stack, frames.sent, 0)
    frames.hold()
    assert lanes(log)[before:] == [CONTINUOUS]


def test_what_a_transaction_leaves_in_the_topic_is_passed(stack: LocalStack) -> None:
    """Kafka ends each with a record of its own, which no consumer is given."""
    log = stack.settings.logs / "consumer.log"
    before = steady_lanes(log)
    frames = Frames(stack, [GOOD])
    producer = Producer({"bootstrap.servers": kafka.address(stack.settings), "transactional.id": f"{uuid.uuid4()}"})
    producer.init_transactions(30)
    producer.begin_transaction()
    for key, value in frames.sent:
        producer.produce(USERS.topic, key=str(key), value=value)
    producer.commit_transaction(30)
    finished(stack)
    frames.hold()
    assert lanes(log)[before:][:1] == [MICRO_BATCH]
    steady_lanes(log)
    after = Frames(stack, [GOOD])
    send(stack, after.sent)
    after.hold()
    assert lanes(log)[-1] == CONTINUOUS


def test_frames_of_each_kind_while_the_lanes_change(stack: LocalStack) -> None:
    """Waves of any kinds at any time, so that some are read while the stream is on its way from one lane to the other.

    A pause is long enough for the way back to the continuous lane, or too short for it.
    """
    back = CALM + SAFE + 3
    log = stack.settings.logs / "consumer.log"
    before = steady_lanes(log)
    chance = random.Random(random.getrandbits(64))
    waves = [chance.choices([GOOD, REFUSED, NEW], [20, 1, 1], k=chance.randint(1, 40)) for _ in range(30)]
    waves[0][0] = REFUSED
    frames = Frames(stack, list(itertools.chain(*waves)))
    sent = iter(frames.sent)
    for number, wave in enumerate(waves):
        publish(stack, list(itertools.islice(sent, len(wave))))
        time.sleep(back if number % 6 == 5 else chance.uniform(0, CALM))
    finished(stack)
    frames.hold()
    until(lambda: lanes(log)[-1:] == [CONTINUOUS], 180, "a stream in the continuous lane again")
    assert MICRO_BATCH in lanes(log)[before:]


def steady_lanes(log: Path) -> int:
    """How many starts there were, once the continuous lane has lasted: a short stay has a longer calm after it."""
    until(lambda: lanes(log)[-1:] == [CONTINUOUS], 180, "a stream in the continuous lane")
    time.sleep(CALM)
    return len(lanes(log))


def lanes(log: Path) -> list[str]:
    """Those of all starts of the stream, by its log."""
    return re.findall(r": started in the lane (\S+) at ", log.read_text())
