"""Whatever is killed, however long it is stopped: no acknowledged record is lost, stale, mixed or doubled."""

import time

import pytest

from nifi_flows.pipeline import USERS
from tests.faults.kills.campaign import Campaign
from tests.faults.kills.compare import LOST, MIXED
from tests.faults.kills.processes import KINDS, Kind

# The consumer's side and the flow's are struck together where they don't hide each other: it saves a wait.
SHORT = (
    *[[Kind("cassandra", stop=False)]] * 2,
    [Kind("cassandra", stop=True)],
    [Kind("kafka", stop=False)],
    [Kind("nifi", stop=False), Kind("executor", stop=False)],
    [Kind("registry", stop=False), Kind("driver", stop=False)],
    [Kind("consumer", stop=False)],
    [Kind("spark-worker", stop=False)],
)
CASSANDRA = 0.3  # part of the kills at random


def test_nothing_is_lost_whatever_is_killed(campaign: Campaign) -> None:
    kinds = list(SHORT)
    campaign.chance.shuffle(kinds)
    with campaign.load():
        for kind in kinds:
            campaign.kill(kind)
    _finds_what_cqlsh_does(campaign)
    _holds(campaign)


@pytest.mark.long
def test_nothing_is_lost_by_kills_at_random(campaign: Campaign, request: pytest.FixtureRequest) -> None:
    end = time.monotonic() + 60 * request.config.getoption("--minutes")
    with campaign.load():
        while time.monotonic() < end:
            at_random = campaign.chance.choice(KINDS)
            campaign.kill([Kind("cassandra", stop=False) if campaign.chance.random() < CASSANDRA else at_random])
    _holds(campaign)


def _finds_what_cqlsh_does(campaign: Campaign) -> None:
    """The comparison has to see one row that goes, and one cell that changes."""
    sent = campaign.publisher.sent
    some = [key for key in range(1000) if not sent.content.plan(key).refused][:2]
    gone, changed = map(sent.content.id, some)
    said = campaign.stack.pipeline(
        *("cqlsh", "-e"),
        f"DELETE FROM {USERS.table_name} WHERE id = {gone}; "
        f"UPDATE {USERS.table_name} SET phone = 'another' WHERE id = {changed};",
    )
    assert said.code == 0, said.err
    findings = campaign.compare(range(1000), sent.acknowledged, [])
    assert findings.counts == {LOST: 1, MIXED: 1}, findings.examples


def _holds(campaign: Campaign) -> None:
    assert all(kill.right for kill in campaign.kills), "\n".join([campaign.table(), *campaign.examples])
