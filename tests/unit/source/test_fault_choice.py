"""Which requests a fault strikes."""

from collections import Counter

import pytest

from scripts.source import faults
from scripts.source.faults import Attempts, fault


@pytest.mark.parametrize("rates", [{"500": 0.2}, {"reset": 0.05, "429": 0.3, "hang": 0.1}])
def test_each_fault_strikes_its_part_of_the_requests(rates: dict[str, float]) -> None:
    struck = Counter(fault(("rate", 100, number), 0, rates) for number in range(20_000))
    assert set(struck) == {None, *rates}
    for name, rate in rates.items():
        assert struck[name] == pytest.approx(rate * 20_000, rel=0.1)


def test_which_request_is_struck_is_a_matter_of_its_name_alone() -> None:
    rates = {"429": 0.3, "html": 0.4}
    struck = [fault(("pinned", 100, number), 0, rates) for number in range(8)]
    assert struck == [fault(("pinned", 100, number), 0, dict(reversed(rates.items()))) for number in range(8)]
    assert struck == [None, "html", "html", None, "html", "html", None, None]


@pytest.mark.parametrize("other", [("b", 10, 1, 0), ("a", 11, 1, 0), ("a", 10, 2, 0), ("a", 10, 1, 1)])
def test_seed_page_size_page_and_attempt_all_count(other: tuple[str, int, int, int]) -> None:
    def struck(seed: str, size: int, number: int, attempt: int) -> list[str | None]:
        return [fault((f"{seed}{i}", size, number), attempt, {"500": 0.5}) for i in range(200)]

    same = sum(one == another for one, another in zip(struck("a", 10, 1, 0), struck(*other), strict=True))
    assert 60 < same < 140


def test_no_page_fails_for_ever_below_a_rate_of_one() -> None:
    rates = {"429": 0.5, "reset": 0.4}
    for number in range(200):
        assert None in [fault(("ever", 100, number), attempt, rates) for attempt in range(150)]


def test_at_a_rate_of_one_every_request_fails() -> None:
    assert {fault(("all", 1, number), 0, {"empty": 1.0}) for number in range(2_000)} == {"empty"}


def test_attempts_are_counted_page_by_page_until_the_rates_are_set_again() -> None:
    rates = {"500": 0.5}
    attempts = Attempts()
    pages = [("count", 10, number) for number in range(1, 4)]
    for attempt in range(6):
        assert [attempts.fault(page, rates) for page in pages] == [fault(page, attempt, rates) for page in pages]
    again = dict(rates)
    assert [attempts.fault(pages[0], again) for _ in range(6)] == [fault(pages[0], n, rates) for n in range(6)]


def test_an_endless_run_fills_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faults, "REMEMBERED", 100)
    attempts, rates = Attempts(), {"500": 0.5}
    for number in range(1_000):
        attempts.fault(("endless", 1, number), rates)
        attempts.fault(("endless", 1, 0), rates)
    assert len(attempts._counts) == 100
    assert attempts.fault(("endless", 1, 0), rates) == fault(("endless", 1, 0), 1_001, rates)
