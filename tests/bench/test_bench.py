"""The benchmark itself, on the real engines and with few users: what it gives, and that it leaves all as it was."""

from nifi_flows.pipeline import USERS
from scripts.bench import bench
from scripts.bench.conditions import Conditions
from scripts.deployment import state
from scripts.deployment.context import Context
from scripts.stack import stack as stacks
from tests.engines.conftest import LocalStack

FEW = Conditions(
    users=10_000,
    page=1_000,
    runs=1,
    warm_up=5_000,
    latency_seconds=30,
    latency_skipped=2,
    latency_interval=0.2,
    cold_age=86_400,
    cold_seconds=30,
)


def test_both_contenders_are_measured_and_the_stack_is_as_before(stack: LocalStack) -> None:
    made = stacks.running(stack.settings)
    context = Context(stack.settings, USERS)
    before = state.deployed(context)
    done = bench.run(made, USERS, FEW, lambda step: None)

    assert done.findings == []
    assert done.counts["users fetched"] >= 10_000 + 5_000
    for result in (done.pipeline, done.baseline):
        assert [run.users for run in result.throughput] == [10_000]
        hops = list(result.median.seconds.values())
        assert hops == sorted(hops), "a hop had everything before the one in front of it"
        assert 0 < result.latency.p50 <= result.latency.p95 <= result.latency.p99 <= result.latency.longest < 60
        assert 20 <= result.latency.pages <= 140, "those that come while nobody looks for them don't count"
        assert 0 < sum(result.latency.cores.values()) < 16
        assert result.median.cpu_per_100k > 0
    assert done.cold and 0 < done.cold.p50 < 60
    assert (done.with_airflow is None) is not done.airflow
    assert set(done.ceilings) == {"source answers", "Python publishes to Kafka", "Spark appends to Cassandra"}
    assert all(rate > done.pipeline.median.rate for rate in done.ceilings.values())

    after = state.deployed(context)
    assert before and after and after.values == before.values
    assert made.engine("consumer").ask(made.credentials, 5)
    stack.run()  # what it pulled before comes once more, and to rest
    assert stack.audit()["findings"] == []
