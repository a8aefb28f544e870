"""Whatever is killed, however long it is stopped: no acknowledged record is lost, stale, mixed or doubled."""

import random
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
    [Kind("nifi's python controller", stop=False), Kind("consumer", stop=False)],
    *[[Kind("nifi's python", stop=False)]] * 3,  # those of PullRun, PublishUsers and PublishDeadLetters
    [Kind("spark-worker", stop=False)],
)
HEALED = 60.0  # seconds, on a machine that has the time
CASSANDRA = 0.45  # part of the random strikes that begin with a kill of it
TWO = 0.6  # part of them that have a second one, while the first one heals
SLOW = {"nifi", "kafka", "cassandra", "consumer", "stream", "driver"}  # two that take long to start are not both killed


@pytest.mark.timeout(2700)
def test_nothing_is_lost_whatever_is_killed(campaign: Campaign) -> None:
    kinds = list(SHORT)
    campaign.chance.shuffle(kinds)
    with campaign.load():
        for kind in kinds:
            campaign.kill(kind)
    _holds(campaign)
    assert campaign.publisher.sent.places, "no frame was refused"
    _finds_what_cqlsh_does(campaign)


@pytest.mark.long
@pytest.mark.timeout(0)  # none: it takes as long as it is told to
def test_nothing_is_lost_by_kills_at_random(campaign: Campaign, request: pytest.FixtureRequest) -> None:
    end = time.monotonic() + 60 * request.config.getoption("--minutes")
    with campaign.load():
        while time.monotonic() < end:
            campaign.kill(at_random(campaign.chance))
    _holds(campaign)
    slow = [str(kill) for kill in campaign.kills if kill.heal > HEALED]
    assert not slow, f"it took more than {HEALED:g} s to flow again:\n" + "\n".join(slow)


def at_random(chance: random.Random) -> list[Kind]:
    """One or two kinds, of two processes."""
    first = Kind("cassandra", stop=False) if chance.random() < CASSANDRA else chance.choice(KINDS)
    if chance.random() >= TWO:
        return [first]
    others = [kind for kind in KINDS if kind.process != first.process and (kind.stop or kind.process not in SLOW)]
    return [first, chance.choice(others)]


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
