"""The monitor's judgement: what is trouble, when it is an illness, since when, and what it is not."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from nifi_flows.errors import TerminalError
from scripts.monitor import thresholds
from scripts.monitor.areas import AREAS
from scripts.monitor.facts import (
    Alerts,
    Batch,
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
from scripts.monitor.judge import judge
from scripts.monitor.record import Check, Record, from_json

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
LIMITS = thresholds.load()

FLOW = Flow(7, [], [Queue("stamped", 3, 40, 90, False)], [], "3 of endless pages handed out", False, 0.0)
CONSUMER = Consumer("RUNNING", 71, {0: 5, 1: 7}, 0, Batch(9, 400, NOW - timedelta(seconds=2), 0.7))
LETTERS = DeadLetters(NOW - MINUTE, 0, 0, {}, 30_000, {0: 10}, {0: 30})
FRESH = Freshness(Newest("users/0#4", NOW, NOW - timedelta(seconds=1), True, False), NOW - timedelta(seconds=1))
WELL = Readings(
    NiFi("2.3.0"), FLOW, Drift([]), CONSUMER, LETTERS, FRESH, Alerts(True, 0, "", "alerts.jsonl"), Surroundings()
)
HOLD = Surroundings(held={"who": "ann", "why": "trying a wider page", "since": "2026-03-01"})


def first(area: str, **read: Any) -> Check:
    """The check of one area at a first look, all others being well."""
    return judge(None, replace(WELL, **read), LIMITS, NOW).checks[area]


def after(before: Record, minutes: int, **read: Any) -> Record:
    return judge(before, replace(WELL, **read), LIMITS, NOW + minutes * MINUTE)


def test_a_pipeline_that_is_well_is_told_with_its_figures() -> None:
    record = judge(None, WELL, LIMITS, NOW)
    assert record.verdict == "ok"
    assert tuple(record.checks) == AREAS
    assert all(check.verdict == "ok" and check.since == NOW and check.figures for check in record.checks.values())
    assert record.checks["consumer"].figures["lag in frames"] == 12


def test_the_first_trouble_is_a_suspicion_and_the_second_in_a_row_an_illness_since_the_first() -> None:
    one = after(judge(None, WELL, LIMITS, NOW), 1, drift=Drift(["'Fetch page' has another URL"]))
    two = after(one, 2, drift=Drift(["'Fetch page' has another URL"]))
    assert (one.verdict, two.verdict) == ("suspect", "ill")
    assert (one.checks["drift"].verdict, two.checks["drift"].verdict) == ("suspect", "ill")
    assert two.checks["drift"].since == NOW + MINUTE
    assert two.checks["drift"].says == ["'Fetch page' has another URL"]
    assert two.checks["nifi"].since == NOW, "what is well is so since the first look"


def test_trouble_that_goes_away_in_between_is_no_illness() -> None:
    one = judge(None, replace(WELL, drift=Drift(["x"])), LIMITS, NOW)
    back = after(one, 1)
    again = after(back, 2, drift=Drift(["x"]))
    assert back.checks["drift"].since == NOW + MINUTE
    assert (again.checks["drift"].verdict, again.checks["drift"].strikes) == ("suspect", 1)
    assert again.checks["drift"].since == NOW + 2 * MINUTE


def test_what_could_not_be_looked_at_meanwhile_stays_as_ill_as_it_was() -> None:
    hidden = Unread("not known: NiFi does not answer", told=True)
    one = judge(None, replace(WELL, drift=Drift(["x"])), LIMITS, NOW)
    two = after(one, 1, nifi=Unread("refused"), flow=hidden, drift=hidden)
    assert two.checks["drift"].verdict == "unknown"
    assert two.checks["drift"].says == ["not known: NiFi does not answer"]
    assert two.checks["flow"].since == NOW + MINUTE
    three = after(two, 2, drift=Drift(["x"]))
    assert three.checks["drift"].verdict == "ill"
    assert three.checks["drift"].since == NOW
    assert after(two, 2).checks["drift"].verdict == "ok"


def test_one_engine_that_is_down_is_one_alarm() -> None:
    hidden = Unread("not known: NiFi does not answer", told=True)
    down: dict[str, Any] = {"nifi": Unread("NiFi does not answer"), "flow": hidden, "drift": hidden}
    record = after(judge(None, replace(WELL, **down), LIMITS, NOW), 1, **down)
    assert [area for area, check in record.checks.items() if check.verdict == "ill"] == ["nifi"]
    assert record.verdict == "ill"


def test_drift_under_a_hold_is_shown_and_no_illness() -> None:
    record = judge(None, replace(WELL, drift=Drift(["x"]), surroundings=HOLD), LIMITS, NOW)
    check = record.checks["drift"]
    assert (check.verdict, check.strikes, check.healable) == ("ok", 0, False)
    assert "ann" in check.says[0]
    assert check.says[1] == "x"
    assert record.held == HOLD.held
    assert "trying a wider page" in record.says[0]


def test_a_deploy_under_way_is_neither_drift_nor_illness() -> None:
    record = judge(
        None, replace(WELL, flow=None, drift=Drift(["x"]), surroundings=Surroundings(deploying="bob")), LIMITS, NOW
    )
    assert (record.checks["flow"].verdict, record.checks["drift"].verdict) == ("unknown", "unknown")
    assert record.verdict == "ok"
    assert "bob" in record.checks["flow"].says[0]


def test_a_deploy_can_heal_what_does_not_run_but_no_full_queue() -> None:
    stuck = Queue("stamped", 8, 100, 0, False)
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
        (Queue("full and moving, as at full speed", 8, 100, 500, False), "ok"),
        (Queue("full and stuck", 8, 100, 0, False), "suspect"),
        (Queue("nearly empty and stuck", 1, 12, 0, False), "ok"),
        (Queue("waits to be tried again", 3, 3, 0, True), "ok"),
    ],
)
def test_a_queue_is_trouble_when_it_is_full_and_does_not_move(queue: Queue, verdict: str) -> None:
    assert first("flow", flow=replace(FLOW, queues=[queue])).verdict == verdict


def test_a_bulletin_is_one_strike_however_long_nifi_shows_it() -> None:
    def seen(age: float, level: str = "ERROR") -> Flow:
        return replace(FLOW, bulletins=[Bulletin(level, "Publish users", "no brokers", age)])

    one = judge(None, replace(WELL, flow=seen(20)), LIMITS, NOW)
    assert one.checks["flow"].says[0] == "ERROR from Publish users: no brokers"
    assert after(one, 1, flow=seen(80)).checks["flow"].verdict == "ok", "the look before has seen it"
    assert after(one, 1, flow=seen(20)).checks["flow"].verdict == "ill"
    assert first("flow", flow=seen(300)).verdict == "ok"
    assert first("flow", flow=seen(20, "WARN")).verdict == "ok"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"state": "FATAL"}, "FATAL"),
        ({"lags": {0: 300_000}}, "300,000 frames behind"),
        ({"lost": 3}, "removed 3 frames"),
        ({"batch": Batch(9, 1, NOW - timedelta(seconds=300), 0.7)}, "300 s ago"),
        ({"batch": Batch(9, 1, NOW, 50.0)}, "took 50.0 s"),
        ({"batch": None}, "no batch"),
    ],
)
def test_a_consumer_is_in_trouble(change: dict[str, Any], said: str) -> None:
    check = first("consumer", consumer=replace(CONSUMER, **change))
    assert check.verdict == "suspect"
    assert said in check.says[0]


@pytest.mark.parametrize(
    "change",
    [
        {"lags": {0: 0}, "batch": Batch(9, 1, NOW - timedelta(hours=5), 0.7)},
        {"lags": {0: 0}, "batch": Batch(9, 1, NOW - timedelta(hours=5), 50.0)},
        {"lags": {0: 0}, "batch": None},
        {"batch": Batch(9, 1, NOW + timedelta(hours=1), 0.7)},
    ],
    ids=["rests", "rests after a slow batch", "never had anything to do", "clock set back"],
)
def test_a_consumer_that_has_nothing_to_do_is_well(change: dict[str, Any]) -> None:
    assert first("consumer", consumer=replace(CONSUMER, **change)).verdict == "ok"


def test_a_consumer_that_is_started_anew_at_each_look_is_ill() -> None:
    one = judge(None, WELL, LIMITS, NOW)
    two = after(one, 1, consumer=replace(CONSUMER, pid=72, batch=Batch(1, 1, NOW + MINUTE, 1)))
    assert two.checks["consumer"].verdict == "suspect"
    assert after(two, 2, consumer=replace(CONSUMER, pid=72, lags={0: 0})).checks["consumer"].verdict == "ok"
    assert after(two, 2, consumer=replace(CONSUMER, pid=73, lags={0: 0})).checks["consumer"].verdict == "ill"


def test_dead_letters_are_counted_from_the_first_look_on() -> None:
    check = first("dead_letters", dead_letters=replace(LETTERS, since=None, new=0))
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
    check = first("dead_letters", dead_letters=replace(LETTERS, **{"fetched": 100_000, **change}))
    assert check.verdict == "suspect"
    assert said in check.says[0]


def test_dead_letters_are_a_rate_also_after_a_long_or_short_time_between_looks() -> None:
    many = replace(LETTERS, new=900, read=900, reasons={"x": 900})
    assert first("dead_letters", dead_letters=replace(many, since=NOW - timedelta(seconds=2))).verdict == "ok"
    late = first("dead_letters", dead_letters=replace(many, since=NOW - timedelta(minutes=10)))
    assert late.figures["x per minute"] == 90


def test_newest_frame_that_is_no_row_in_time_is_trouble() -> None:
    waiting = replace(FRESH, newest=Newest("users/0#4", NOW - timedelta(seconds=150), NOW, False, False))
    check = first("freshness", freshness=waiting)
    assert check.says[0] == "frame users/0#4 is no row yet, 150 s after it was published"
    young = replace(FRESH, newest=Newest("users/0#4", NOW - timedelta(seconds=15), NOW, False, False))
    refused = replace(FRESH, newest=Newest("users/0#4", NOW - timedelta(seconds=150), NOW, False, True))
    assert [first("freshness", freshness=fresh).verdict for fresh in (young, refused)] == ["ok", "ok"]


def test_a_finished_run_is_rest_and_one_that_goes_on_without_pages_is_stale() -> None:
    old = replace(FRESH, page=NOW - timedelta(hours=3))
    assert first("freshness", freshness=old, flow=replace(FLOW, at_rest=True)).verdict == "ok"
    assert first("freshness", freshness=old).says == ["the last page came in 10,800 s ago, more than 120"]
    assert first("freshness", freshness=old, flow=replace(FLOW, interval=86_400.0)).verdict == "ok"
    assert first("freshness", freshness=replace(FRESH, page=None)).verdict == "suspect"
    unknown = first("freshness", freshness=old, flow=Unread("not known", told=True))
    assert unknown.verdict == "ok"
    assert "not judged" in unknown.says[0]


def test_undelivered_alerts_are_trouble_and_no_webhook_is_none() -> None:
    assert first("alerts", alerts=Alerts(True, 2, "the webhook answered 500", "f")).verdict == "suspect"
    check = first("alerts", alerts=Alerts(False, 2, "", "home/alerts.jsonl"))
    assert check.verdict == "ok"
    assert "home/alerts.jsonl" in check.says[0]


def test_a_look_remembers_for_the_next_one_also_what_this_one_could_not_read() -> None:
    one = judge(None, WELL, LIMITS, NOW)
    assert (one.memory.dead_letters, one.memory.pages, one.memory.counted, one.memory.pid) == (
        {0: 10},
        {0: 30},
        NOW,
        71,
    )
    two = after(one, 1, dead_letters=Unread("no Kafka"), consumer=Unread("no Kafka"))
    assert two.memory == one.memory


def test_what_others_wrote_cannot_break_a_line() -> None:
    check = first("drift", drift=Drift(["a\nb\x1b[31m" + "c" * 5000] * 30))
    assert all(said.isprintable() and len(said) <= 240 for said in check.says)
    assert check.says[-1] == "and 22 more"


def test_a_record_survives_json_and_nothing_else_is_one() -> None:
    record = judge(None, replace(WELL, surroundings=replace(HOLD, new_version="v7"), drift=Unread("x")), LIMITS, NOW)
    assert from_json(json.loads(json.dumps(record.as_json()))) == record
    value = record.as_json()
    bad: list[Any] = [None, [], {}, "x", {**value, "at": "yesterday"}, {**value, "at": "2026-03-01T12:00:00"}]
    bad += [{**value, "verdict": "fine"}, {**value, "checks": {}}, {**value, "memory": {"pid": "x"}}]
    for garbage in bad:
        with pytest.raises(TerminalError):
            from_json(garbage)


@pytest.mark.parametrize(
    ("was", "becomes", "named"),
    [
        ("strikes = 2", "strikes = 0", "strikes"),
        ("strikes = 2", "", "strikes"),
        ("queue_percent = 80", "queue_procent = 80", "queue_procent"),
        ("heals = 3", 'heals = "three"', "guard.heals"),
        ("no_value = 10", "no_value = -1", "per_minute_by_reason"),
        ("strikes = 2", "strikes =", "line"),
    ],
)
def test_a_wrong_threshold_is_named(tmp_path: Path, was: str, becomes: str, named: str) -> None:
    text = thresholds.FILE.read_text()
    assert was in text
    (tmp_path / "thresholds.toml").write_text(text.replace(was, becomes, 1))
    with pytest.raises(TerminalError, match=named):
        thresholds.load(tmp_path / "thresholds.toml")
