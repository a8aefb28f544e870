"""The monitor's thresholds: what is wrong in their file is named."""

from pathlib import Path

import pytest

from nifi_flows.errors import TerminalError
from scripts.monitor import thresholds


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
