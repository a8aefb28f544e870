"""A second pipeline, from a folder of its own under names of its own: nothing here is only for the users'."""

import json
import os
import shutil
import subprocess
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from nifi_flows import definition, environments, hold, lint, revisions, version
from nifi_flows.diff import compare
from nifi_flows.errors import TerminalError
from nifi_flows.ledger import Deployed, Ledger, now
from nifi_flows.pipeline import USERS, Pipeline
from scripts.bootstrap import ROOT
from scripts.deployment.context import Context
from scripts.stack.settings import Settings
from spark_consumer.names import subject


@pytest.fixture
def orders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    """Orders from nifi_flows/orders to table orders, in a repository of their own; there are no users in it."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    made = Pipeline(
        name="orders",
        record="order",
        topic="order_topic",
        consumer_group="order_consumer",
        keyspace="shop",
        table="orders",
        partitions=1,
        lane="micro-batch",
        tree=tmp_path / "tree",
    )
    ignored = shutil.ignore_patterns("__pycache__", "*.png")
    shutil.copytree(USERS.folder, made.folder, ignore=ignored)
    shutil.copytree(Path(ROOT, "nifi_processors"), made.tree / "nifi_processors", ignore=ignored)
    shutil.copy(Path(ROOT, "requirements.lock"), made.tree)
    (made.tree / "nifi_processors" / "requirements.txt").write_text("msgspec\n")
    (made.folder / "user.avsc").rename(made.folder / "order.avsc")
    for path in (made.flow, made.lint):
        path.write_text(path.read_text().replace('"name": "users"', '"name": "orders"').replace("users /", "orders /"))
    _git(made.tree, "init", "--initial-branch", "main")
    _git(made.tree, "add", ".")
    _git(made.tree, "commit", "-m", "orders")
    return made


def _git(repository: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=somebody", "-c", "user.email=somebody@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "-C", str(repository), *identity, *arguments], check=True, capture_output=True)


def _edited(orders: Pipeline) -> dict[str, Any]:
    flow = definition.load(orders.flow)
    flow["flowContents"]["processors"][0]["name"] = "Renamed"
    orders.flow.write_text(json.dumps(flow))
    return flow


def _not_asked() -> dict[str, Any]:
    raise AssertionError("NiFi was asked")


def test_its_names(orders: Pipeline) -> None:
    assert orders.flow == orders.tree / "nifi_flows" / "orders" / "flow.json"
    assert {name: topic.contract.name for name, topic in orders.topics.items()} == {
        "order_topic": "order.avsc",
        "order_topic.dlq": "dead_letter.avsc",
        "order_topic.pages": "page_receipt.avsc",
    }
    assert all(topic.contract.is_file() for topic in orders.topics.values())
    assert subject(orders.topic) == "order_topic-value"


def test_lint(orders: Pipeline) -> None:
    config = lint.load_config(orders.lint)
    processors = orders.tree / "nifi_processors" / "processors"
    found = lint.lint_file(orders.flow, config, processors=processors)
    assert found == []
    flow = definition.load(orders.flow)
    flow["flowContents"]["connections"][0]["destination"]["id"] = "nowhere"
    assert {one.where.split(" / ")[0] for one in lint.lint(flow, config, processors=processors)} == {"orders"}


def test_diff_and_revisions(orders: Pipeline) -> None:
    edited = _edited(orders)
    committed = revisions.read("HEAD", orders, _not_asked)
    assert committed["flowContents"]["name"] == "orders"
    assert compare(committed, edited).summary() == "1 renamed"
    assert compare(committed, edited).sections[0].title == "orders"
    with pytest.raises(TerminalError) as refused:
        revisions.read("nowhere", orders, _not_asked)
    assert "HEAD~1:nifi_flows/orders/flow.json" in refused.value.remedy
    with pytest.raises(TerminalError, match=r"no file nifi_flows/users/flow\.json in revision HEAD"):
        revisions.read("HEAD", replace(orders, name="users"), _not_asked)


def test_version(orders: Pipeline, tmp_path: Path) -> None:
    first = version.make(orders, tmp_path / "store")
    assert first.flow["flowContents"]["name"] == "orders"
    assert first.schemas.keys() == {"order", "dead_letter", "page_receipt"}
    assert first.name != version.name_of(USERS)
    _edited(orders)
    assert version.name_of(orders) != first.name
    with version.at_revision(orders.tree, "HEAD") as tree:
        assert version.name_of(orders.within(tree)) == first.name
    assert version.source_of(orders.tree, None).endswith("and changes to it")


def test_environments(orders: Pipeline) -> None:
    declared = definition.parameters(definition.load(orders.flow))
    places = {"kafka": "k:1", "registry": "http://r", "source": "http://s"}
    places |= {"topic": orders.topic, "dead_letters": orders.dead_letters}
    loaded = environments.load(orders.environments)
    values = environments.resolve(loaded, "local", places, declared, given=["flow.version"]).values
    assert (values["kafka.topic"], values["kafka.dead.letter.topic"]) == ("order_topic", "order_topic.dlq")


def test_ledger_and_hold_beside_those_of_the_users(orders: Pipeline, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home")
    ours, theirs = Context(settings, orders), Context(settings, USERS)
    assert ours.folder == settings.flows / "orders"
    made = version.make(orders, ours.folder)
    entry = Deployed(made.name, made.code, "local", {"rate": "1"}, by="me", at=now())
    ours.ledger.begin(entry)
    ours.ledger.finish(entry)
    ours.ledger.note_done("deploy", "me", made.name, "imported")
    assert Ledger(settings.flows / "orders").state().deployed == entry
    assert version.stored(ours.folder, entry.version, entry.code) == made
    hold.hold(ours.hold, "ann", "other orders", datetime.now(UTC))
    held = hold.read(ours.hold)
    assert held and held.who == "ann"
    assert theirs.ledger.state().deployed is None and hold.read(theirs.hold) is None
