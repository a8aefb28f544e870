"""The conditions of the benchmark, fixed so that two runs of it can be held against each other."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Conditions:
    """users: of one throughput run. page: users a page of it. runs: throughput runs, of which the median counts.

    warm_up: users that pass before anything is measured, so that JVMs are compiled. latency_page: users a page of the
    latency run, which asks for one every latency_interval seconds, for latency_seconds; its first latency_skipped
    seconds don't count: the JVMs meet small batches for the first time in them. cold_age: seconds from the start of
    its youngest engine up to which a stack is cold. cold_seconds: how long its latency is then measured, with nothing
    before it.
    """

    users: int = 200_000
    page: int = 2_500
    runs: int = 3
    warm_up: int = 100_000
    latency_page: int = 50
    latency_interval: float = 0.1
    latency_seconds: float = 90
    latency_skipped: float = 30
    cold_age: float = 120
    cold_seconds: float = 60

    @property
    def pages(self) -> int:
        return self.users // self.page

    @property
    def latency_pages(self) -> int:
        return round(self.latency_seconds / self.latency_interval)

    @property
    def latency_pages_skipped(self) -> int:
        return round(self.latency_skipped / self.latency_interval)

    @property
    def cold_pages(self) -> int:
        return round(self.cold_seconds / self.latency_interval)


FULL = Conditions()
