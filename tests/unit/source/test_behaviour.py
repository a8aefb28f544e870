"""The file that tells a source how to behave."""

import logging
import os
import re
from pathlib import Path

import pytest

from scripts.source.behaviour import Behaviour, BehaviourFile


@pytest.mark.parametrize(
    "told",
    [
        Behaviour(),
        Behaviour(faults={"429": 0.2, "hang": 0.8}, invalid={"uuid_null": 0.3}, invalid_share=0.7),
        Behaviour(faults={"429": 0.1, "500": 0.7, "slow": 0.2}),  # more than 1 by a rounding error
    ],
)
def test_a_behaviour_comes_back_from_its_json(told: Behaviour) -> None:
    assert Behaviour.parse(told.json()) == told


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"faults": {"418": 0.1}}', "no fault is called '418'; there is 429, 429-bare, 500, "),
        ('{"invalid": {"nose": 0.1}}', "no kind of invalid user is called 'nose'; there is record_null, "),
        ('{"faults": {"500": 1.5}}', "the rate of 500 is not between 0 and 1: 1.5"),
        ('{"invalid": {"uuid_null": -0.1}}', "the rate of uuid_null is not between 0 and 1: -0.1"),
        ('{"invalid_share": 7}', "the rate of invalid is not between 0 and 1: 7"),
        ('{"faults": {"500": 0.6, "429": 0.5}}', "the rates of faults come to 1.1, more than 1"),
        ('{"invalid": {"uuid_null": 0.6}, "invalid_share": 0.5}', "the rates of invalid users come to 1.1, more"),
        ('{"faults": {"500": "often"}}', "Expected `float`"),
        ('{"fault": {"500": 0.1}}', "unknown field `fault`"),
        ('{"faults": {"500": 0.1}', "truncated"),
        ("", "truncated"),
    ],
)
def test_what_is_no_behaviour_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        Behaviour.parse(text.encode())


def test_not_a_number_is_no_rate() -> None:
    with pytest.raises(ValueError, match="the rate of 500 is not between 0 and 1: nan"):
        Behaviour(faults={"500": float("nan")})


def test_the_file_is_followed_and_read_only_as_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "source.json"
    file = BehaviourFile(path)
    assert file.read() == Behaviour()
    path.write_text('{"faults": {"500": 0.5}}')
    first = file.read()
    assert first.faults == {"500": 0.5}
    assert file.read() is first
    path.unlink()
    assert file.read() == Behaviour()


def test_a_file_that_was_replaced_within_the_clocks_tick_is_seen(tmp_path: Path) -> None:
    path, other = tmp_path / "source.json", tmp_path / "other.json"
    path.write_text('{"faults": {"500": 0.5}}')
    file = BehaviourFile(path)
    file.read()
    other.write_text('{"faults": {"429": 0.5}}')
    times = path.stat()
    os.utime(other, ns=(times.st_atime_ns, times.st_mtime_ns))
    other.replace(path)
    assert file.read().faults == {"429": 0.5}


def test_a_file_that_is_damaged_changes_nothing_and_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "source.json"
    path.write_text('{"faults": {"500": 0.5}}')
    file = BehaviourFile(path)
    before = file.read()
    path.write_text('{"faults": {"500": 0.')
    with caplog.at_level(logging.ERROR, "source"):
        assert [file.read() for _ in range(5)] == [before] * 5
    (line,) = (record.getMessage() for record in caplog.records)
    assert line.startswith(f"{path} is not read, so nothing changes: ")
    path.write_text('{"faults": {"500": 0.25}}')
    assert file.read().faults == {"500": 0.25}
