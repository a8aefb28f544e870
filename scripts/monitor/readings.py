"""The readings of one look, one function an area: what the engines say. Nothing in an engine changes by them."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import nipyapi
import requests
from cassandra.cluster import Session

from nifi_flows import canvas, connection
from nifi_flows.canvas import Part
from nifi_flows.pipeline import USERS
from scripts.deployment import state
from scripts.deployment.context import Context
from scripts.monitor import alerts, tail
from scripts.monitor.facts import (
    Bulletin,
    Consumer,
    DeadLetters,
    Drift,
    Flow,
    Freshness,
    Newest,
    NiFi,
    Queue,
    Readings,
    Surroundings,
    Unread,
)
from scripts.monitor.gather import Step, gather, words
from scripts.monitor.parse import age_of, last_batch, micros, seconds_of
from scripts.monitor.record import Memory
from scripts.stack import credentials, hops
from scripts.stack.engines import cassandra
from scripts.stack.settings import Settings
from scripts.stack.stack import ending, nifi_of
from scripts.stack.supervise import Supervisor

_LOG_END = 64 * 1024  # bytes of the consumer's log that are read
_BULLETINS = 50  # that NiFi is asked for
_LETTERS = 200  # the newest dead letters, among which a frame that is no row is looked for
_LONGEST_QUERY = 10  # seconds
_RECEIPTS = 20_000  # page receipts that are read in one look


def read(settings: Settings, memory: Memory, most_letters: int, seconds: float) -> Readings:
    """Take all readings, in `seconds` at most; whatever goes wrong in one is what that one says.

    memory: of the look before. most_letters: dead letters that are read for their reasons.
    """
    chains = [
        [
            Step("nifi", lambda: nifi(settings), "NiFi"),
            Step("flow", lambda: flow(settings)),
            Step("drift", lambda: drift(settings)),
        ],
        [
            Step("consumer", lambda: consumer(settings), "Kafka"),
            Step("dead_letters", lambda: dead_letters(settings, memory, most_letters)),
            Step("freshness", lambda: freshness(settings)),
        ],
        [Step("alerts", lambda: alerts.read(settings))],
        [Step("surroundings", lambda: surroundings(settings))],
    ]
    found = gather(chains, seconds)
    around = found.pop("surroundings")
    if isinstance(around, Unread):
        around = Surroundings(trouble=(f"hold, deploys and git: {around.why}",))
    if found["flow"] is None:  # then there is nothing to compare
        found["drift"] = Unread("not known: the flow is not on the canvas", told=True)
    return Readings(**found, surroundings=around)


def nifi(settings: Settings) -> NiFi:
    """Raises PipelineError when NiFi does not answer or refuses."""
    with connection.connected(nifi_of(settings, credentials.require(settings.secrets))):
        return NiFi(str(nipyapi.nifi.FlowApi().get_about_info().about.version))


def flow(settings: Settings) -> Flow | None:
    """None when the flow is not on the canvas. Raises PipelineError when NiFi does not answer or refuses."""
    with connection.connected(nifi_of(settings, credentials.require(settings.secrets))):
        group = canvas.find_group(USERS.name)
        if group is None:
            return None
        parts = canvas.parts(group)
        status = nipyapi.nifi.FlowApi().get_process_group_status(group, recursive=True).process_group_status
        board = nipyapi.nifi.FlowApi().get_bulletin_board(limit=_BULLETINS).bulletin_board
        run, at_rest, interval = _run(group)
    now = datetime.now().astimezone()
    return Flow(
        len(parts),
        [told for part in parts if (told := ill(part))],
        [
            Queue(
                queue.name or f"{queue.source_name} to {queue.destination_name}",
                queue.flow_files_queued or 0,
                max(queue.percent_use_count or 0, queue.percent_use_bytes or 0),
                queue.flow_files_out or 0,
                queue.source_name == queue.destination_name,  # NiFi 2.3 leaves the ids out here
            )
            for queue in canvas.connection_statuses(status.aggregate_snapshot)
        ],
        [
            Bulletin(b.level, b.source_name or "NiFi", b.message or "", age_of(b.timestamp or "", now))
            for b in (entity.bulletin for entity in board.bulletins or [])
            if b is not None
        ],
        run,
        at_rest,
        interval,
    )


def _run(group: str) -> tuple[str, bool | None, float]:
    """The pull run in words, whether it is at rest, and its interval in seconds."""
    try:
        state = hops.flow(USERS.name)
        return hops.describe(state), hops.at_rest(state), seconds_of(canvas.parameters(group).get("run.interval") or "")
    except Exception:  # noqa: BLE001 - its parts are judged; what has no pull run is drift
        return "", None, 0.0


def ill(part: Part) -> str:
    """What is wrong with a component, in words; empty when nothing is."""
    if not part.meant_to_run:
        return ""
    if part.ghost:
        return f"{part} has no code: NiFi does not know its type"
    if part.validation == "VALIDATING":
        return f"{part} is still being validated"
    if part.validation != "VALID":
        return f"{part} is invalid: {'; '.join(part.errors) or 'NiFi gives no reason'}"
    return "" if part.running else f"{part} is {part.state.lower()}"


def drift(settings: Settings) -> Drift:
    """Raises PipelineError when it cannot be told."""
    return Drift(state.drift(Context(settings, USERS)))


def consumer(settings: Settings) -> Consumer:
    """Raises TransientError when Kafka does not answer."""
    supervisor = Supervisor(settings)
    positions = hops.positions(settings)
    return Consumer(
        supervisor.state("consumer"),
        supervisor.pid("consumer"),
        {partition: position.lag for partition, position in positions.items()},
        sum(max(0, p.first - p.committed) for p in positions.values() if p.committed is not None),
        last_batch(ending(settings.logs / "consumer.log", _LOG_END)),
    )


def dead_letters(settings: Settings, memory: Memory, most: int) -> DeadLetters:
    """Raises TransientError when Kafka does not answer.

    Without the registry no reasons are read; what is new is counted all the same.
    """
    decoder = hops.Decoder(settings)
    letters, values = tail.since(settings, USERS.dead_letters, memory.dead_letters, most)
    reasons: Counter[str] = Counter()
    count = 0
    pages, receipts = tail.since(settings, USERS.pages, memory.pages, _RECEIPTS)
    fetched = 0
    try:
        for value in values:
            reasons.update(reasons_of(_decoded(decoder, value)))
            count += 1
        counts = (_decoded(decoder, value).get("fetched") for value in receipts)
        fetched = sum(number for number in counts if isinstance(number, int))
    except requests.RequestException:
        fetched = 0  # the registry is away: no share of a part
    return DeadLetters(memory.counted, letters.new, count, dict(reasons), fetched, letters.ends, pages.ends)


def reasons_of(letter: Mapping[str, Any]) -> set[str]:
    """The reason codes of a dead letter; one for what is none."""
    told = letter.get("reasons")
    return {str(reason) for reason in told} if told and isinstance(told, list) else {"not_readable"}


def _decoded(decoder: hops.Decoder, value: bytes) -> Mapping[str, Any]:
    """A frame's record, empty for what is none of ours. Raises RequestException without the registry."""
    try:
        return decoder.decode(value)
    except requests.RequestException:
        raise
    except Exception:  # noqa: BLE001 - untrusted bytes: whatever decoding raises
        return {}


def freshness(settings: Settings) -> Freshness:
    """Raises PipelineError when Kafka or Cassandra does not answer, RequestException without the registry."""
    decoder = hops.Decoder(settings)
    receipts = [_decoded(decoder, message.value() or b"") for message in hops.read(settings, USERS.pages, last=1)]
    page = max((at for receipt in receipts if isinstance(at := receipt.get("fetched_at"), datetime)), default=None)
    frames = []
    for message in hops.read(settings, USERS.topic, last=1):
        user = user_of(_decoded(decoder, message.value() or b""))
        if user is not None:
            frames.append((user, message))
    if not frames:
        return Freshness(None, page)
    user, message = max(frames, key=lambda frame: frame[0].event_time)
    # also the id of its dead letter, if it becomes one
    place = f"{USERS.topic}/{message.partition()}#{message.offset()}"
    with cassandra.session(settings, credentials.require(settings.secrets)) as session:
        arrived = _written(session, user.id) >= micros(user.event_time)
    refused = not arrived and any(
        letter.key() == place.encode() for letter in hops.read(settings, USERS.dead_letters, last=_LETTERS)
    )
    sent = datetime.fromtimestamp(message.timestamp()[1] / 1000, UTC)
    return Freshness(Newest(place, sent, user.fetched_at, arrived, refused), page)


@dataclass(frozen=True)
class User:
    """Of a user's record, what tells its row."""

    id: UUID
    event_time: datetime
    fetched_at: datetime


def user_of(record: Mapping[str, Any]) -> User | None:
    """None for a record of another contract."""
    event_time, fetched_at = record.get("event_time"), record.get("fetched_at")
    try:
        key = UUID(str(record.get("id")))
    except ValueError:
        return None
    if isinstance(event_time, datetime) and isinstance(fetched_at, datetime):
        return User(key, event_time, fetched_at)
    return None


def _written(session: Session, key: UUID) -> int:
    """Write timestamp of a user's row in microseconds since 1970, -1 when there is none."""
    query = "SELECT writetime(first_name) FROM spark_streams.created_users WHERE id = %s"
    row = session.execute(query, [key], timeout=_LONGEST_QUERY).one()
    return -1 if row is None or row[0] is None else int(row[0])


def surroundings(settings: Settings) -> Surroundings:
    """What is going on around the flow; what cannot be read of it is said in its trouble."""
    trouble: list[str] = []

    def ask(what: str, question: Callable[[Context], Any]) -> Any:
        try:
            return question(Context(settings, USERS))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told
            trouble.append(f"{what}: {words(error)}")
            return None

    hold = ask("hold", state.held)
    deploying = ask("deploy under way", state.deploying)
    new = ask("version in git", state.new_version)
    held = None if hold is None else {key: str(value) for key, value in asdict(hold).items()}
    return Surroundings(held, str(deploying) if deploying else None, new, tuple(trouble))
