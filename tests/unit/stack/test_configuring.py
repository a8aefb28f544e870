"""What puts the engines on this machine: whom a configuration is for, and what the user's machine adds to it."""

from dataclasses import replace
from pathlib import Path

import pytest

from nifi_flows.errors import TerminalError
from nifi_flows.pipeline import USERS
from scripts.stack import credentials, engines
from scripts.stack.engine import Configuration, Launch, Local, together
from scripts.stack.engines import kafka, nifi, spark
from scripts.stack.layout import Installed
from scripts.stack.settings import Settings


@pytest.fixture
def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Local:
    for name in ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
    settings = Settings(home=tmp_path / "home")
    (tmp_path / "installed" / "cassandra").mkdir(parents=True)
    (tmp_path / "installed" / "cassandra" / "jamm-0.4.0.jar").touch()
    made = credentials.ensure(settings.secrets)
    return Local(settings, Installed(tmp_path / "installed"), made, USERS)


def test_every_engine_that_is_described_is_configured(local: Local) -> None:
    described = [engine.name for engine in engines.describe(local.settings)]
    assert list(engines.configure(local).launches) == described


def test_the_consumer_is_told_its_pipeline(local: Local) -> None:
    environment = spark.configure(local).launches["consumer"].environment
    told = {
        "CONSUMER_TOPIC": USERS.topic,
        "CONSUMER_DEAD_LETTER_TOPIC": USERS.dead_letters,
        "CONSUMER_GROUP": USERS.consumer_group,
        "CONSUMER_KEYSPACE": USERS.keyspace,
        "CONSUMER_TABLE": USERS.table,
        "CONSUMER_LANE": USERS.lane,
    }
    assert environment.items() >= told.items()


@pytest.mark.parametrize(
    ("partitions", "executors", "cores"),
    [(1, 1, (1, 1)), (2, 1, (2, 2)), (4, 1, (4, 4)), (4, 2, (2, 4)), (5, 2, (3, 6))],
)
def test_every_partition_has_a_slot(local: Local, partitions: int, executors: int, cores: tuple[int, int]) -> None:
    pipeline = replace(local.pipeline, partitions=partitions, executors=executors)
    made = spark.configure(replace(local, pipeline=pipeline))
    defaults = next(text for file, text in made.files.items() if file.name == "spark-defaults.conf").decode()
    assert f"spark.executor.cores {cores[0]}\n" in defaults
    assert f"spark.cores.max {cores[1]}\n" in defaults
    worker = made.launches["spark-worker"].command
    assert worker[worker.index("--cores") + 1] == str(cores[1])


def test_the_consumer_starts_again_with_other_executors_for_as_many_slots(local: Local) -> None:
    one, two = (replace(local, pipeline=replace(local.pipeline, partitions=4, executors=n)) for n in (1, 2))
    launch = spark.configure(one).launches["consumer"]
    assert launch == spark.configure(one).launches["consumer"]
    assert launch != spark.configure(two).launches["consumer"]


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"])
def test_nifi_trusts_the_users_bundle(local: Local, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    plain = nifi.configure(local)
    monkeypatch.setenv(variable, str(local.credentials.ca))
    trusting = nifi.configure(local)
    (store,) = set(trusting.files) - set(plain.files)
    assert f"-Djavax.net.ssl.trustStore={store}" in trusting.launches["nifi"].command
    assert not any("trustStore" in option for option in plain.launches["nifi"].command)


@pytest.mark.parametrize("content", [None, "rubbish"])
def test_a_bundle_that_cannot_be_read_is_named(
    local: Local, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str | None
) -> None:
    bundle = tmp_path / "bundle.pem"
    if content is not None:
        bundle.write_text(content)
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    with pytest.raises(TerminalError, match=f"the CA bundle {bundle} cannot be read"):
        nifi.configure(local)


def test_the_master_forgets_a_stack_that_no_longer_runs(local: Local) -> None:
    written = spark.configure(local)
    written.write()
    recovery = written.folders[0]
    (recovery / "worker").touch()
    spark.forget(local.settings)
    assert list(recovery.iterdir()) == []


SYNCED = {
    "nifi.properties": {
        f"nifi.{repository}.repository.always.sync=true" for repository in ("flowfile", "content", "provenance")
    },
    "state-management.xml": {'<property name="Always Sync">true</property>'},
    "server.properties": {"log.flush.interval.messages=1"},
}


def test_a_durable_stack_has_on_disk_what_it_acknowledges(local: Local) -> None:
    durable = replace(local, settings=replace(local.settings, durable=True))
    for engine, configure in {"nifi": nifi.configure, "kafka": kafka.configure}.items():
        plain, synced = configure(local), configure(durable)
        assert plain.launches[engine] != synced.launches[engine], "or one that runs would go on as it is"
        for path in synced.files:
            if path.name in SYNCED:
                lines = [{line.strip() for line in one.files[path].decode().splitlines()} for one in (plain, synced)]
                assert SYNCED[path.name] == lines[1] - lines[0]


def test_configurations_together_keep_their_order(tmp_path: Path) -> None:
    one = Configuration({"b": Launch([], tmp_path)}, {tmp_path / "x": b"x"}, [tmp_path / "f"])
    two = Configuration({"a": Launch([], tmp_path)}, {tmp_path / "y": b"y"}, [tmp_path / "g"])
    joined = together([one, two])
    assert list(joined.launches) == ["b", "a"]
    assert joined.files == {tmp_path / "x": b"x", tmp_path / "y": b"y"}
    assert list(joined.folders) == [tmp_path / "f", tmp_path / "g"]
