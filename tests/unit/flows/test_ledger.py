"""The ledger says what is deployed, what was begun, and what happened, across processes."""

import stat
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from nifi_flows.errors import TerminalError
from nifi_flows.ledger import Deployed, Ledger, State, now

FIRST = Deployed(
    "v1", "c1", "dev", {"rate": "5", "städte": "köln"}, {"rate": "5"}, {"key": "ab"}, "g", "abc", "abc", "me", now()
)
SECOND, THIRD = replace(FIRST, version="v2"), replace(FIRST, version="v3")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "deployed" / "users"


@pytest.fixture
def ledger(folder: Path) -> Ledger:
    return Ledger(folder)


def test_a_new_ledger_says_nothing(ledger: Ledger, folder: Path) -> None:
    assert (ledger.state(), ledger.history()) == (State(), [])
    assert not folder.exists()


def test_another_process_reads_all_of_it(ledger: Ledger, folder: Path) -> None:
    ledger.begin(FIRST)
    assert Ledger(folder).state() == State(unfinished=FIRST)
    ledger.finish(FIRST)
    assert Ledger(folder).state() == State(deployed=FIRST)


def test_what_is_finished_comes_before_the_next(ledger: Ledger) -> None:
    ledger.finish(FIRST)
    ledger.begin(SECOND)
    assert ledger.state() == State(deployed=FIRST, unfinished=SECOND)
    ledger.finish(SECOND)
    assert ledger.state() == State(deployed=SECOND, previous=FIRST)
    ledger.finish(THIRD)
    assert ledger.state() == State(deployed=THIRD, previous=SECOND)


def test_the_same_version_with_other_values_is_not_its_own_predecessor(ledger: Ledger) -> None:
    ledger.finish(FIRST)
    ledger.finish(SECOND)
    other = replace(SECOND, values={"rate": "9"})
    ledger.finish(other)
    assert ledger.state() == State(deployed=other, previous=FIRST)


def test_undone_is_as_before(ledger: Ledger) -> None:
    ledger.finish(FIRST)
    ledger.finish(SECOND)
    before = ledger.state()
    ledger.begin(THIRD)
    ledger.undo()
    assert ledger.state() == before


def test_only_the_owner_can_read_it(ledger: Ledger, folder: Path) -> None:
    ledger.begin(FIRST)
    ledger.note_done("deploy", "me", "v1", "imported")
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"deployed": {"version": "v1"}}', '{"other": {}, "x": 1}'])
def test_a_state_that_is_not_ours_is_told(ledger: Ledger, folder: Path, text: str) -> None:
    folder.mkdir(parents=True)
    (folder / "state.json").write_text(text)
    with pytest.raises(TerminalError, match="does not say what is deployed") as told:
        ledger.state()
    assert "remove it" in told.value.remedy


def test_the_history_is_in_order_and_in_utc(ledger: Ledger, folder: Path) -> None:
    ledger.note_done("deploy", "me", "v1", "imported; started 3")
    ledger.note_failed("rollback", "airflow", "v2", "two\nlines in köln")
    events = Ledger(folder).history()
    assert [(e.what, e.ok, e.by, e.version, e.says) for e in events] == [
        ("deploy", True, "me", "v1", "imported; started 3"),
        ("rollback", False, "airflow", "v2", "two\nlines in köln"),
    ]
    at = datetime.fromisoformat(events[0].at)
    assert at.utcoffset() == UTC.utcoffset(None) and abs((datetime.now(UTC) - at).total_seconds()) < 60


def test_the_history_keeps_the_last_200(ledger: Ledger) -> None:
    for number in range(203):
        ledger.note_done("deploy", "me", str(number), "")
    assert [event.version for event in ledger.history()] == [str(number) for number in range(3, 203)]


def test_a_line_that_cannot_be_read_is_left_out(ledger: Ledger, folder: Path) -> None:
    ledger.note_done("deploy", "me", "v1", "")
    with (folder / "history.jsonl").open("a") as file:
        file.write('{"at": \n{"other": 1}\n[]\n\n')
    ledger.note_done("deploy", "me", "v2", "")
    assert [event.version for event in ledger.history()] == ["v1", "v2"]


@pytest.mark.parametrize(
    "said",
    [
        "a\u2028b",
        "a\x85b",
        "a\ud800b",
    ],
)
def test_whatever_nifi_says_can_be_noted(ledger: Ledger, said: str) -> None:
    ledger.note_failed("deploy", "me", "v1", said)
    assert [event.version for event in ledger.history()] == ["v1"]
