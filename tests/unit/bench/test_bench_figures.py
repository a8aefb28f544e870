"""From moments to figures."""

from uuid import UUID

import pytest

from nifi_flows.errors import TransientError
from scripts.bench import measure
from scripts.bench.watch import Answered

KEYS = [UUID(int=number) for number in range(1, 41)]
ANSWERED = {page: Answered(page, page - 0.5, float(page)) for page in range(1, 41)}


def test_pages_count_once_their_rows_are_looked_for() -> None:
    assert measure.counting(ANSWERED, skipped=10, begun=0.0) == list(range(10, 40))
    assert measure.counting(ANSWERED, skipped=10, begun=15.0) == list(range(14, 40)), "answered while nobody looked"


def test_a_handful_of_pages_makes_no_percentile() -> None:
    with pytest.raises(TransientError, match=r"^only 5 pages came"):
        measure.counting(ANSWERED, skipped=35, begun=0.0)


def test_a_page_is_as_late_as_its_row() -> None:
    seen = {key: number + 1 + 0.1 * (number + 1) for number, key in enumerate(KEYS)}
    late = measure.delays(ANSWERED, [3, 0, 2], KEYS, seen)
    assert late == pytest.approx([0.1, 0.3, 0.4])
