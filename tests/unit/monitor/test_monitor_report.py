"""The monitor's report: what a person reads first, and that nobody's words break it."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from nifi_flows.errors import TerminalError
from scripts.monitor.areas import AREAS
from scripts.monitor.record import AreaCheck, Record
from scripts.monitor.report import brief, markdown

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
FINE = AreaCheck("ok", NOW, 0, [], {"lag in frames": 12_000})
FIRST = AreaCheck("suspect", NOW, 1, ["a first strike"], {})
SICK = AreaCheck("ill", NOW, 2, ["processor 'Fetch page' is stopped"], {}, True)
HIDDEN = replace(SICK, verdict="unknown", says=["not known"])
WELL = Record(NOW, "ok", dict.fromkeys(AREAS, FINE))


def with_flow(check: AreaCheck) -> Record:
    return replace(WELL, verdict="ill" if check.verdict == "ill" else "ok", checks={**WELL.checks, "flow": check})


def rows(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("|")][2:]


def test_the_first_line_tells_the_verdict() -> None:
    assert markdown(WELL.as_json()).startswith("**🟢 ok**")
    both = replace(with_flow(SICK), checks={**WELL.checks, "flow": SICK, "dead_letters": FIRST})
    assert markdown(both.as_json()).splitlines()[0] == "**🔴 ill**: flow; suspect: dead\\_letters"


def test_each_area_has_a_row_with_verdict_since_figures_and_words() -> None:
    found = rows(markdown(with_flow(SICK).as_json()))
    assert len(found) == len(AREAS)
    flow = found[list(AREAS).index("flow")]
    assert "🔴 ill" in flow
    assert "03-01 12:00:00" in flow
    assert "processor 'Fetch page' is stopped" in flow
    assert "lag in frames: 12,000" in found[0]


def test_what_belongs_to_no_area_is_told() -> None:
    assert "- held by ann" in markdown(replace(WELL, says=["held by ann"]).as_json())


def test_words_of_others_stay_words() -> None:
    nasty = replace(SICK, says=["a | b\n| c | <script>x</script> [y](http://z) `q`"], figures={"a|b": "c|d\n"})
    found = rows(markdown(with_flow(nasty).as_json()))
    assert len(found) == len(AREAS)
    flow = found[list(AREAS).index("flow")]
    assert flow.replace("\\|", "").count("|") == 6
    assert "<script>" not in flow.replace("\\<", "")
    assert "[y]" not in flow


def test_in_brief_only_what_is_not_well_is_told() -> None:
    assert brief(WELL.as_json()) == "**🟢 ok**: nothing is ill\n"
    told = replace(with_flow(SICK), checks={**WELL.checks, "flow": SICK, "drift": HIDDEN}, says=["held by ann"])
    assert brief(told.as_json()).splitlines() == [
        "**🔴 ill**: flow",
        "",
        "- held by ann",
        "- 🔴 flow since 12:00:00: processor 'Fetch page' is stopped",
        "- ⚪ drift since 12:00:00: not known",
    ]


def test_what_is_no_record_is_refused() -> None:
    with pytest.raises(TerminalError):
        markdown({"verdict": "ok"})
    with pytest.raises(TerminalError):
        brief({})
