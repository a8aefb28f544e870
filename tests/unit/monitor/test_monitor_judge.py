"""The monitor's verdicts: what is a suspicion, what is an illness and since when, and what the next look gets."""

import json
from dataclasses import replace
from typing import Any

import pytest

from nifi_flows.errors import TerminalError
from scripts.monitor.areas import AREAS
from scripts.monitor.areas.drift import DriftReading
from scripts.monitor.deploys import Deploys
from scripts.monitor.judge import judge
from scripts.monitor.missing import Missing
from scripts.monitor.record import from_json
from tests.unit.monitor.well import LIMITS, MINUTE, NOW, WELL, after, behind, first, well

HOLD = Deploys(held={"who": "ann", "why": "trying a wider page", "since": "2026-03-01"})


def test_a_pipeline_that_is_well_is_told_with_its_figures() -> None:
    record = judge(None, WELL, LIMITS, NOW)
    assert record.verdict == "ok"
    assert list(record.checks) == list(AREAS)
    read = [record.checks[name] for name, reading in WELL.of.items() if not isinstance(reading, Missing)]
    assert len(read) == 9
    assert all(check.verdict == "ok" and check.since == NOW and check.figures for check in read)
    assert record.checks["consumer"].figures["lag in frames"] == 12


def test_the_first_trouble_is_a_suspicion_and_the_second_in_a_row_an_illness_since_the_first() -> None:
    one = after(judge(None, WELL, LIMITS, NOW), 1, drift=DriftReading(["'Fetch page' has another URL"]))
    two = after(one, 2, drift=DriftReading(["'Fetch page' has another URL"]))
    assert (one.verdict, two.verdict) == ("suspect", "ill")
    assert (one.checks["drift"].verdict, two.checks["drift"].verdict) == ("suspect", "ill")
    assert two.checks["drift"].since == NOW + MINUTE
    assert two.checks["drift"].says == ["'Fetch page' has another URL"]
    assert two.checks["nifi"].since == NOW, "what is well is so since the first look"


def test_trouble_that_goes_away_in_between_is_no_illness() -> None:
    one = judge(None, well(drift=DriftReading(["x"])), LIMITS, NOW)
    back = after(one, 1)
    again = after(back, 2, drift=DriftReading(["x"]))
    assert back.checks["drift"].since == NOW + MINUTE
    assert (again.checks["drift"].verdict, again.checks["drift"].strikes) == ("suspect", 1)
    assert again.checks["drift"].since == NOW + 2 * MINUTE


def test_what_could_not_be_looked_at_meanwhile_stays_as_ill_as_it_was() -> None:
    hidden = Missing("not known: NiFi does not answer", reported=True)
    one = judge(None, well(drift=DriftReading(["x"])), LIMITS, NOW)
    two = after(one, 1, nifi=Missing("refused"), flow=hidden, drift=hidden)
    assert two.checks["drift"].verdict == "unknown"
    assert two.checks["drift"].says == ["not known: NiFi does not answer"]
    assert two.checks["flow"].since == NOW + MINUTE
    three = after(two, 2, drift=DriftReading(["x"]))
    assert three.checks["drift"].verdict == "ill"
    assert three.checks["drift"].since == NOW
    assert after(two, 2).checks["drift"].verdict == "ok"


def test_one_engine_that_is_down_is_one_alarm() -> None:
    hidden = Missing("not known: NiFi does not answer", reported=True)
    down: dict[str, Any] = {"nifi": Missing("NiFi does not answer"), "flow": hidden, "drift": hidden}
    record = after(judge(None, well(**down), LIMITS, NOW), 1, **down)
    assert [area for area, check in record.checks.items() if check.verdict == "ill"] == ["nifi"]
    assert record.verdict == "ill"


def test_a_look_remembers_for_the_next_one_also_what_this_one_could_not_read() -> None:
    one = judge(None, WELL, LIMITS, NOW)
    moment = NOW.isoformat().replace("+00:00", "Z")
    assert one.memory == {
        "consumer": {"pid": 71},
        "dead_letters": {"letters": {"0": 10}, "pages": {"0": 30}, "counted": moment},
    }
    two = after(one, 1, dead_letters=Missing("no Kafka"), consumer=Missing("no Kafka"))
    assert two.memory == one.memory


def test_what_others_wrote_cannot_break_a_line() -> None:
    check = first("drift", drift=DriftReading(["a\nb\x1b[31m" + "c" * 5000] * 30))
    assert all(said.isprintable() and len(said) <= 240 for said in check.says)
    assert check.says[-1] == "and 22 more"


def test_a_record_survives_json_and_nothing_else_is_one() -> None:
    record = judge(None, well(deploys=replace(HOLD, new_version="v7"), drift=Missing("x")), LIMITS, NOW)
    assert from_json(json.loads(json.dumps(record.as_json()))) == record
    value = record.as_json()
    bad: list[Any] = [None, [], {}, "x", {**value, "at": "yesterday"}, {**value, "at": "2026-03-01T12:00:00"}]
    bad += [{**value, "verdict": "fine"}, {**value, "checks": {}}, {**value, "memory": 7}]
    for garbage in bad:
        with pytest.raises(TerminalError):
            from_json(garbage)


def test_a_record_of_before_areas_remembered_for_themselves_is_gone_on_from() -> None:
    """Its verdicts and strikes; what it remembered is counted from now on."""
    value = after(judge(None, WELL, LIMITS, NOW), 1, drift=DriftReading(["x"])).as_json()
    value["memory"] = {"dead_letters": {"0": 10}, "pages": {"0": 30}, "counted": "2026-03-01T12:00:00Z", "pid": 70}
    before = from_json(value)
    assert {name: area.recalled(before.memory.get(name)) for name, area in AREAS.items()} == dict.fromkeys(AREAS)
    record = after(before, 2, drift=DriftReading(["x"]), consumer=behind(0))
    assert (record.checks["drift"].verdict, record.checks["consumer"].verdict) == ("ill", "ok")


@pytest.mark.parametrize("garbage", [7, [], {}, {"pid": "x"}, {"pid": None}])
def test_what_an_area_never_remembered_is_none_of_its_memories(garbage: Any) -> None:
    assert AREAS["consumer"].recalled(garbage) is None
