"""PullRun as NiFi calls it."""

import pytest

from nifi_processors.page import MAX_RECORDS
from tests.nifi_harness import context
from tests.unit.processors.thin import RUN, processor, take


def test_a_run_is_pulled_and_rests_without_asking_nifi() -> None:
    source = processor("pull_run")
    nifi = context(source, **RUN)
    source.onScheduled(nifi)
    source.setContext(nifi)
    assert [take(source) for _ in range(4)] == ["1", "2", None, None]
    assert nifi.state_manager.stored == {"run": "randomuser@325265a0/x/10", "next_page": "3", "first_page": "1"}
    asked = nifi.state_manager.calls
    assert [take(source) for _ in range(5)] == [None] * 5
    assert nifi.state_manager.calls == asked


def test_a_new_process_goes_on_from_the_state_and_repeats_the_page_in_doubt() -> None:
    source = processor("pull_run")
    nifi = context(source, **RUN)
    source.setContext(nifi)
    assert [take(source), take(source)] == ["1", "2"]
    restarted = processor("pull_run")
    restarted.setContext(nifi)
    assert [take(restarted), take(restarted)] == ["2", None]


def test_a_page_that_nifi_could_not_read_is_named_again() -> None:
    source = processor("pull_run")
    source.setContext(context(source, **RUN))
    assert source.createFlowFile().getAttributes()["page:number"] == "1"
    assert [take(source), take(source)] == ["1", "2"]


def test_no_page_is_named_while_the_state_cannot_be_written() -> None:
    from nifiapi.componentstate import StateException

    source = processor("pull_run")
    nifi = context(source, **RUN)
    source.setContext(nifi)
    assert take(source) == "1"
    nifi.state_manager.broken = True
    with pytest.raises(StateException):
        take(source)
    assert nifi.state_manager.stored == {}
    nifi.state_manager.broken = False
    assert take(source) == "2"
    assert nifi.state_manager.stored["next_page"] == "2"


def test_changed_properties_count_from_the_next_start() -> None:
    source = processor("pull_run")
    nifi = context(source, **RUN)
    source.setContext(nifi)
    assert take(source) == "1"
    changed = context(source, **{**RUN, "seed": "y"})
    changed.state_manager = nifi.state_manager
    source.onScheduled(changed)
    source.setContext(changed)
    assert take(source) == "1"
    assert take(source) == "2"
    assert nifi.state_manager.stored["run"] == "randomuser@325265a0/y/10"


def test_the_cursor_of_an_earlier_version_is_taken_over_once() -> None:
    source = processor("pull_run")
    nifi = context(source, **RUN)
    nifi.state_manager.stored = {"run": "randomuser/x/10", "next_page": "3"}
    source.setContext(nifi)
    assert take(source) is None, "the run has ended"
    assert nifi.state_manager.stored["run"].startswith("randomuser@")
    elsewhere = processor("pull_run")
    other = context(elsewhere, **{**RUN, "source_url": "http://s.test/api/?nat=gb"})
    other.state_manager = nifi.state_manager
    elsewhere.setContext(other)
    assert [take(elsewhere) for _ in range(3)] == ["1", "2", None]


def test_the_interval_is_kept() -> None:
    source = processor("pull_run")
    source.setContext(context(source, **RUN, interval="10 min"))
    assert [take(source), take(source)] == ["1", None]


@pytest.mark.parametrize(
    ("values", "subjects"),
    [
        ({}, []),
        ({"page_size": f"{MAX_RECORDS + 1}"}, ["Page Size"]),
        ({"source_name": "a/b", "page_size": f"{MAX_RECORDS}"}, ["Source Name"]),
    ],
)
def test_what_no_validator_of_nifi_checks(values: dict[str, str], subjects: list[str]) -> None:
    source = processor("pull_run")
    assert [result.subject for result in source.customValidate(context(source, **{**RUN, **values}))] == subjects


def test_the_page_size_is_described_with_its_bound() -> None:
    """Which NiFi reads as syntax: no name can stand for it."""
    assert f"1 to {MAX_RECORDS}." in processor("pull_run").PAGE_SIZE.description
