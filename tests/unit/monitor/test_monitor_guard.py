"""The guard of redeploys: only what a deploy heals, never over somebody's head, and no loops."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from nifi_flows.hold import Hold
from nifi_flows.ledger import Event
from nifi_flows.pipeline import USERS
from scripts.deployment import edits, state
from scripts.deployment.context import Context
from scripts.monitor.areas import AREAS
from scripts.monitor.guard import ACTOR, Decision, decide, decision
from scripts.monitor.record import AreaCheck, Record
from scripts.monitor.thresholds import GuardLimits
from scripts.stack import configuration

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
BEGAN = NOW - timedelta(minutes=2)
LIMITS = GuardLimits(heals=3, window_minutes=60)
FINE = AreaCheck("ok", NOW, 0, [], {})
SICK = AreaCheck("ill", BEGAN, 2, ["processor 'Fetch page' is stopped"], {}, healable=True)
WELL = Record(NOW, "ok", dict.fromkeys(AREAS, FINE))
STOPPED = replace(WELL, verdict="ill", checks={**WELL.checks, "flow": SICK})
DRIFTED = replace(WELL, verdict="ill", checks={**WELL.checks, "drift": SICK})
RELEASED = replace(WELL, new_version="v2")


def event(
    minutes: float,
    what: str = "redeploy",
    *,
    ok: bool = True,
    by: str = ACTOR,
    version: str = "v1",
    says: str = "in words",
    passing: bool = False,
) -> Event:
    """minutes: before NOW."""
    at = (NOW - timedelta(minutes=minutes)).isoformat(timespec="seconds")
    return Event(at, what, ok=ok, by=by, version=version, says=says, passing=passing)


def decided(record: Record, *history: Event, busy: str | None = None, heals: bool = True) -> Decision:
    made = decision(record, history, LIMITS, NOW, busy=busy, heals=heals)
    assert made.why, "it always says why"
    return made


def test_an_illness_that_a_deploy_heals_is_healed_with_what_was_deployed() -> None:
    made = decided(STOPPED)
    assert (made.go, made.revision) == (True, None)
    assert "'Fetch page' is stopped" in made.why


def test_a_new_version_is_deployed_from_git() -> None:
    assert decided(RELEASED) == Decision(go=True, why="git has the new version v2", revision="HEAD")
    assert decided(replace(STOPPED, new_version="v2")).revision == "HEAD"


@pytest.mark.parametrize(
    "check",
    [FINE, replace(SICK, verdict="suspect"), replace(SICK, healable=False), replace(SICK, verdict="unknown")],
    ids=["well", "first strike", "no deploy heals it", "unknown"],
)
def test_nothing_is_done_without_an_illness_that_a_deploy_heals(check: AreaCheck) -> None:
    assert not decided(replace(WELL, checks={**WELL.checks, "flow": check})).go


@pytest.mark.parametrize("record", [STOPPED, RELEASED], ids=["illness", "new version"])
def test_nothing_is_done_over_somebodys_head_or_where_the_environment_does_not_say_so(record: Record) -> None:
    held = decided(record, busy="ann holds the flow: trying")
    assert (held.go, held.why) == (False, "ann holds the flow: trying")
    assert not decided(record, heals=False).go
    without = replace(record, checks={**record.checks, "nifi": replace(SICK, healable=False)})
    assert not decided(without).go


@pytest.mark.parametrize("record", [STOPPED, RELEASED], ids=["illness", "new version"])
def test_a_look_from_before_the_last_deploy_decides_nothing(record: Record) -> None:
    earlier = replace(record, at=NOW - timedelta(minutes=2))
    assert not decided(earlier, event(1, by="ann")).go
    assert decided(earlier, event(3, by="ann")).go


@pytest.mark.parametrize("record", [STOPPED, RELEASED], ids=["illness", "new version"])
def test_what_is_done_by_itself_ends_after_some_times(record: Record) -> None:
    assert decided(record, event(50), event(30)).go
    assert not decided(record, event(50), event(30), event(10)).go
    assert decided(record, event(61), event(30), event(10)).go, "the window is over"
    assert decided(record, *(event(minutes, by="ann") for minutes in range(50, 40, -1))).go, "people may"


def test_an_illness_whose_healing_failed_is_not_healed_again_at_once() -> None:
    assert not decided(STOPPED, event(1, ok=False, says="never VALID")).go
    assert "never VALID" in decided(STOPPED, event(1, ok=False, says="never VALID")).why
    assert decided(STOPPED, event(10, ok=False)).go, "that was another illness"


@pytest.mark.parametrize("record", [STOPPED, RELEASED], ids=["illness", "new version"])
def test_what_failed_and_may_pass_is_tried_again_as_often_as_the_guard_allows(record: Record) -> None:
    away = [
        event(minutes, "deploy", ok=False, version="v2", says="the registry is away", passing=True)
        for minutes in (9, 5, 1)
    ]
    assert decided(record, *away[:2]).go
    assert not decided(record, *away).go


def test_a_version_that_failed_is_not_deployed_again_until_git_has_another() -> None:
    failed = event(50, "deploy", ok=False, version="v2", says="never VALID")
    assert not decided(RELEASED, failed).go
    assert "never VALID" in decided(RELEASED, failed).why
    assert not decided(RELEASED, event(5000, "deploy", ok=False, version="v2")).go
    assert decided(replace(RELEASED, new_version="v3"), failed).go
    healed = decided(replace(STOPPED, new_version="v2"), failed)
    assert (healed.go, healed.revision) == (True, None), "what was deployed may be healed all the same"


def test_a_version_that_somebody_rolled_back_is_not_deployed_again() -> None:
    one, two = event(90, "deploy", version="v1"), event(80, "deploy", version="v2")
    back = event(70, "rollback", by="ann", version="v1")
    assert not decided(RELEASED, one, two, back).go
    assert not decided(RELEASED, one, two, back, event(65)).go, "a redeploy changes no decision"
    assert decided(replace(RELEASED, new_version="v3"), one, two, back).go


def test_a_version_that_ran_long_ago_may_come_back_through_git() -> None:
    failed = event(95, "deploy", ok=False, version="v2")
    assert decided(RELEASED, failed, event(90, "deploy", version="v2"), event(80, "deploy", version="v3")).go


def test_an_event_without_a_readable_moment_stops_nothing() -> None:
    assert decided(STOPPED, replace(event(0, ok=False), at="yesterday")).go


@pytest.mark.parametrize(
    ("record", "heals", "held", "unsaved", "save"),
    [
        (DRIFTED, False, None, True, True),
        (DRIFTED, False, None, False, False),
        (DRIFTED, True, None, True, False),
        (STOPPED, False, None, True, False),
        (DRIFTED, False, Hold("ann", "trying", NOW), True, False),
    ],
    ids=["not healed", "saved already", "healed, which saves it", "nothing changed", "somebody is at it"],
)
def test_what_somebody_changed_is_saved_also_where_it_is_not_healed(
    record: Record, heals: bool, held: Hold | None, unsaved: bool, save: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: dict[str, Any] = {
        "held": held,
        "deploying": None,
        "unfinished": None,
        "history": [],
        "heals": heals,
    }
    for name, value in said.items():
        monkeypatch.setattr(state, name, lambda context, value=value: value)
    monkeypatch.setattr(edits, "unsaved_edit", lambda context: unsaved)
    made = decide(Context(configuration.load(), USERS), record.as_json())
    assert (made.go, made.save) == (heals and held is None, save)
