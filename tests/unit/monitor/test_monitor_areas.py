"""The judgement of each area: what is trouble, and what is not."""

import shutil
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from nifi_flows.errors import TransientError
from nifi_flows.pipeline import USERS
from scripts.monitor.alerts import Deliveries
from scripts.monitor.area import ReadContext
from scripts.monitor.areas import AREAS, engines
from scripts.monitor.areas.drift import DriftReading
from scripts.monitor.areas.engines import EngineReading
from scripts.monitor.areas.flow import FlowReading
from scripts.monitor.deploys import Deploys
from scripts.monitor.judge import judge
from scripts.monitor.missing import Missing
from scripts.observe.canvas import Bulletin, Queue
from scripts.observe.consumer import Batch, ConsumerState
from scripts.observe.engines import Restart
from scripts.stack import configuration
from scripts.stack.engines import watch
from scripts.stack.settings import Settings
from scripts.stack.supervise import Standing, Supervisor
from tests.unit.monitor.well import (
    DISK,
    FLOW,
    FRAME,
    FRESH,
    LIMITS,
    MINUTE,
    NOW,
    WELL,
    after,
    behind,
    counted,
    first,
    well,
)

HOLD = Deploys(held={"who": "ann", "why": "trying a wider page", "since": "2026-03-01"})


def test_an_engine_that_is_down_by_itself_is_trouble_with_what_it_says() -> None:
    states = {"kafka": "FATAL", "consumer": "EXITED", "nifi": "RUNNING"}
    found = EngineReading(states, {"kafka": "", "consumer": "no table (make it)"}, {}, "")
    check = first("engines", engines=found)
    assert (check.verdict, check.healable) == ("suspect", False)
    assert check.says == [
        "kafka ends right after each start: ./scripts/pipeline logs kafka",
        "consumer needs somebody to act: no table (make it)",
    ]
    assert first("engines", engines=replace(found, errors={})).figures == {"running": 1}


def test_an_engine_that_hung_is_told_for_a_while() -> None:
    restart = Restart(datetime(2026, 3, 1, 12, 3), 130)
    check = first("engines", engines=EngineReading({"kafka": "RUNNING"}, {}, {"kafka": restart}, ""))
    assert check.verdict == "suspect"
    assert check.says[0].startswith("kafka did not answer for 130 s and was started again at 12:03:00;")


def test_a_watch_that_is_not_at_work_is_told() -> None:
    check = first("engines", engines=EngineReading({"watch": "RUNNING"}, {}, {}, "its last look was 300 s ago"))
    assert check.verdict == "suspect"
    assert check.says == [
        "the liveness watch is not at work: its last look was 300 s ago; ./scripts/run starts it",
    ]
    down = EngineReading({"watch": "FATAL"}, {"watch": ""}, {}, "it does not run")
    assert first("engines", engines=down).says == ["watch ends right after each start: ./scripts/pipeline logs watch"]


def test_the_engines_are_read_from_their_supervisor_and_the_logs(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    context: ReadContext[Any, Any] = ReadContext(settings, USERS, LIMITS.areas["engines"], None, {})
    with pytest.raises(TransientError, match="the stack is not running"):
        engines.read(context)
    standings = {"kafka": Standing("RUNNING", 7, 60), "consumer": Standing("EXITED", 0, 0)}
    monkeypatch.setattr(Supervisor, "require", lambda self: None)
    monkeypatch.setattr(Supervisor, "standings", lambda self: standings)
    settings.logs.mkdir(parents=True)
    (settings.logs / "consumer.log").write_text("2026-03-01 12:00:00,000 ERROR spark_consumer: no table\n")
    recent, old = (datetime.now().replace(microsecond=0) - timedelta(seconds=age) for age in (20, 7200))
    (settings.logs / "watch.log").write_text(
        "".join(f"{at},000 WARNING kafka did not answer for 130 s and was started again\n" for at in (old, recent))
    )
    found = engines.read(context)
    assert found == EngineReading(
        {"kafka": "RUNNING", "consumer": "EXITED"},
        {"consumer": "no table"},
        {"kafka": Restart(recent, 130)},
        "it has not looked yet",
    )
    settings.run.mkdir(parents=True)
    watch.note(settings)
    assert engines.read(context).unwatched == ""


def test_little_room_on_the_disk_is_trouble_with_what_to_do() -> None:
    assert first("disk").verdict == "ok"
    check = first("disk", disk=replace(DISK, free=512 * 1024**2))
    assert check.verdict == "suspect"
    [said] = check.says
    assert said.startswith("512 MiB free in /home/data, less than 2,048: Kafka and Cassandra stop")


def test_the_disk_is_read_where_the_engines_data_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPELINE_HOME", str(tmp_path))
    context: ReadContext[Any, Any] = ReadContext(configuration.load(), USERS, LIMITS.areas["disk"], None, {})
    disk: Any = AREAS["disk"].read(context)
    assert disk.folder == tmp_path / "data"
    assert 0 < disk.free <= shutil.disk_usage(tmp_path).total


def test_drift_under_a_hold_is_shown_and_no_illness() -> None:
    record = judge(None, well(drift=DriftReading(["x"]), deploys=HOLD), LIMITS, NOW)
    check = record.checks["drift"]
    assert (check.verdict, check.strikes, check.healable) == ("ok", 0, False)
    assert "ann" in check.says[0]
    assert check.says[1] == "x"
    assert record.held == HOLD.held
    assert "trying a wider page" in record.says[0]


def test_a_deploy_under_way_is_neither_drift_nor_illness() -> None:
    record = judge(None, well(flow=None, drift=DriftReading(["x"]), deploys=Deploys(deploying="bob")), LIMITS, NOW)
    assert (record.checks["flow"].verdict, record.checks["drift"].verdict) == ("unknown", "unknown")
    assert record.verdict == "ok"
    assert "bob" in record.checks["flow"].says[0]


def test_a_deploy_can_heal_what_does_not_run_but_no_full_queue() -> None:
    stuck = Queue("stamped", 8, 100, 0, retries=False)
    for flow, healable in (
        (None, True),
        (replace(FLOW, ill=["processor 'Publish users' is stopped"]), True),
        (replace(FLOW, queues=[stuck]), False),
        (replace(FLOW, ill=["processor 'Publish users' is stopped"], queues=[stuck]), True),
    ):
        check = first("flow", flow=flow)
        assert (check.verdict, check.healable) == ("suspect", healable)


@pytest.mark.parametrize(
    ("queue", "verdict"),
    [
        (Queue("full and moving, as at full speed", 8, 100, 500, retries=False), "ok"),
        (Queue("full and stuck", 8, 100, 0, retries=False), "suspect"),
        (Queue("nearly empty and stuck", 1, 12, 0, retries=False), "ok"),
        (Queue("waits to be tried again", 3, 3, 0, retries=True), "ok"),
    ],
)
def test_a_queue_is_trouble_when_it_is_full_and_does_not_move(queue: Queue, verdict: str) -> None:
    assert first("flow", flow=replace(FLOW, queues=[queue])).verdict == verdict


def test_a_bulletin_is_one_strike_however_long_nifi_shows_it() -> None:
    def seen(age: float, level: str = "ERROR") -> FlowReading:
        return replace(FLOW, bulletins=[Bulletin("", age, level, "Publish users", "no brokers")])

    one = judge(None, well(flow=seen(20)), LIMITS, NOW)
    assert one.checks["flow"].says[0] == "ERROR from Publish users: no brokers"
    assert after(one, 1, flow=seen(80)).checks["flow"].verdict == "ok", "the look before has seen it"
    assert after(one, 1, flow=seen(20)).checks["flow"].verdict == "ill"
    assert first("flow", flow=seen(300)).verdict == "ok"
    assert first("flow", flow=seen(20, "WARN")).verdict == "ok"


@pytest.mark.parametrize(
    ("consumer", "said"),
    [
        (behind(5, state="FATAL"), "FATAL"),
        (behind(300_000), "300,000 frames behind"),
        (behind(5, lost=3), "removed 3 frames"),
        (behind(5, batch=Batch(9, 1, NOW - timedelta(seconds=300), 0.7)), "300 s ago"),
        (behind(5, batch=Batch(9, 1, NOW, 50.0)), "took 50.0 s"),
        (behind(5, batch=None), "no batch"),
    ],
)
def test_a_consumer_is_in_trouble(consumer: ConsumerState, said: str) -> None:
    check = first("consumer", consumer=consumer)
    assert check.verdict == "suspect"
    assert said in check.says[0]


@pytest.mark.parametrize(
    "consumer",
    [
        behind(0, batch=Batch(9, 1, NOW - timedelta(hours=5), 0.7)),
        behind(0, batch=Batch(9, 1, NOW - timedelta(hours=5), 50.0)),
        behind(0, batch=None),
        behind(5, batch=Batch(9, 1, NOW + timedelta(hours=1), 0.7)),
    ],
    ids=["rests", "rests after a slow batch", "never had anything to do", "clock set back"],
)
def test_a_consumer_that_has_nothing_to_do_is_well(consumer: ConsumerState) -> None:
    assert first("consumer", consumer=consumer).verdict == "ok"


def test_a_consumer_that_is_started_anew_at_each_look_is_ill() -> None:
    one = judge(None, WELL, LIMITS, NOW)
    two = after(one, 1, consumer=behind(5, pid=72, batch=Batch(1, 1, NOW + MINUTE, 1)))
    assert two.checks["consumer"].verdict == "suspect"
    assert after(two, 2, consumer=behind(0, pid=72)).checks["consumer"].verdict == "ok"
    assert after(two, 2, consumer=behind(0, pid=73)).checks["consumer"].verdict == "ill"


def test_dead_letters_are_counted_from_the_first_look_on() -> None:
    check = first("dead_letters", dead_letters=counted(None))
    assert check.verdict == "ok"
    assert check.figures == {"in the topic": 10}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"new": 1200, "read": 1200, "reasons": {"missing:email": 1200}},
            "1,200 dead letters a minute for missing:email",
        ),
        ({"new": 4000, "read": 2000, "reasons": {"missing:email": 600, "x": 600}}, "1,200 dead letters a minute for"),
        ({"new": 11, "read": 11, "reasons": {"bad_magic": 11}}, "11 dead letters a minute for bad_magic"),
        ({"new": 1200}, "1,200 dead letters a minute"),
        ({"new": 100, "read": 100, "reasons": {"x": 100}, "fetched": 1000}, "10.0% of what was fetched"),
    ],
    ids=["of one reason", "by those that were read", "of a reason with a limit of its own", "unread", "share"],
)
def test_too_many_dead_letters(change: dict[str, Any], said: str) -> None:
    check = first("dead_letters", dead_letters=counted(**{"fetched": 100_000, **change}))
    assert check.verdict == "suspect"
    assert said in check.says[0]


def test_dead_letters_are_a_rate_also_after_a_long_or_short_time_between_looks() -> None:
    many: dict[str, Any] = {"new": 900, "read": 900, "reasons": {"x": 900}}
    assert first("dead_letters", dead_letters=counted(NOW - timedelta(seconds=2), **many)).verdict == "ok"
    late = first("dead_letters", dead_letters=counted(NOW - timedelta(minutes=10), **many))
    assert late.figures["x per minute"] == 90


def test_newest_frame_that_is_no_row_in_time_is_trouble() -> None:
    waiting = replace(FRAME, sent=NOW - timedelta(seconds=150), arrived=False)
    check = first("freshness", freshness=replace(FRESH, frame=waiting))
    assert check.says[0] == "frame users/0#4 is no row yet, 150 s after it was published"
    for fine in (replace(waiting, sent=NOW - timedelta(seconds=15)), replace(waiting, refused=True), None):
        assert first("freshness", freshness=replace(FRESH, frame=fine)).verdict == "ok"


def test_a_finished_run_is_rest_and_one_that_goes_on_without_pages_is_stale() -> None:
    old = replace(FRESH, page=NOW - timedelta(hours=3))
    assert first("freshness", freshness=old, flow=replace(FLOW, at_rest=True)).verdict == "ok"
    assert first("freshness", freshness=old).says == ["the last page came in 10,800 s ago, more than 120"]
    assert first("freshness", freshness=old, flow=replace(FLOW, interval=86_400.0)).verdict == "ok"
    assert first("freshness", freshness=replace(FRESH, page=None)).verdict == "suspect"
    unknown = first("freshness", freshness=old, flow=Missing("not known", reported=True))
    assert unknown.verdict == "ok"
    assert "not judged" in unknown.says[0]


def test_undelivered_alerts_are_trouble_and_no_webhook_is_none() -> None:
    undelivered = Deliveries(webhook=True, undelivered=2, why="the webhook answered 500", file="home/alerts.jsonl")
    assert first("alerts", alerts=undelivered).says == ["2 not delivered: the webhook answered 500"]
    check = first("alerts", alerts=replace(undelivered, webhook=False))
    assert check.verdict == "ok"
    assert "home/alerts.jsonl" in check.says[0]
