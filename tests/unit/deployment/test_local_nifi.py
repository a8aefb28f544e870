"""This machine's NiFi: its processors in place, whether they are loaded, its restarts, and the schemas beside it."""

import os
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nipyapi
import pytest
import requests

from nifi_flows import version
from nifi_flows.errors import TerminalError, TransientError
from nifi_flows.pipeline import USERS
from nifi_flows.version import Version
from scripts.deployment import local_nifi, watch
from scripts.deployment.context import Context
from scripts.deployment.local_nifi import LocalNiFi, certificate_refused
from scripts.stack import credentials, schema_registry
from scripts.stack.engines import nifi as nifi_engine
from scripts.stack.settings import Settings
from tests.unit.deployment.world import World
from tests.unit.flows.fake_nifi import Clock


class Engine:
    """The supervisor's and NiFi's side of it. fails: what asking NiFi raises, one after the other."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.fails: list[Exception] = []
        self.running = 100.0  # seconds

    def start_engine(self, name: str) -> None:
        self.done.append(f"start {name}")

    def restart_engine(self, name: str) -> None:
        self.done.append(f"restart {name}")

    def restart_hung(self, name: str, waited: float, hangs: float) -> bool:
        if waited < hangs:
            return False
        self.done.append(f"restart hung {name}")
        return True

    def uptime(self, name: str) -> float:
        return self.running

    def ask(self, settings: Settings, credentials: object, patience: float) -> str:
        if self.fails:
            raise self.fails.pop(0)
        return "version 2.3.0"


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    made = Engine()
    monkeypatch.setattr(local_nifi, "Supervisor", lambda settings: made)
    monkeypatch.setattr(nifi_engine, "ask", made.ask)
    clock = Clock()
    monkeypatch.setattr(
        local_nifi, "time", SimpleNamespace(monotonic=clock.monotonic, sleep=clock.sleep, time=time.time)
    )
    return made


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    made = Settings(home=tmp_path / "home")
    credentials.ensure(made.secrets)
    return made


@pytest.fixture
def nifi(settings: Settings, engine: Engine) -> LocalNiFi:
    return local_nifi.of(Context(settings, USERS))


def _stored(settings: Settings, code: str) -> Version:
    made = Version("v", code, settings.flows / "users")
    (made.processors / "NAR-INF").mkdir(parents=True)
    (made.processors / "NAR-INF" / "version").write_text(code)
    (made.processors / "manifest.json").write_text("{}")
    return made


# -- credentials ----------------------------------------------------------------------------------------------------


def test_a_stack_that_never_started_is_told(tmp_path: Path) -> None:
    with pytest.raises(TransientError, match="no secrets have been made"):
        local_nifi.of(Context(Settings(home=tmp_path), USERS))


def test_it_connects_with_the_stacks_certificates(nifi: LocalNiFi, settings: Settings) -> None:
    with nifi.connected():
        assert nipyapi.config.nifi_config.host == nifi_engine.address(settings)


# -- processors -----------------------------------------------------------------------------------------------------


def test_processors_are_placed_by_a_link_that_survives_a_move_of_the_home(settings: Settings) -> None:
    assert not local_nifi.placed(settings)
    first, second = _stored(settings, "c1"), _stored(settings, "c2")
    link = settings.home / "nifi_extensions"
    for made in (first, second):
        local_nifi.place(settings, made)
        assert link.is_symlink() and link.resolve() == made.processors.resolve()
        assert not os.path.isabs(os.readlink(link))
        assert local_nifi.placed(settings)
    assert sorted(path.name for path in settings.home.iterdir()) == ["flows", "nifi_extensions", "secrets"]


def test_a_folder_in_place_of_the_link_is_replaced(settings: Settings) -> None:
    """As very old homes have it."""
    link = settings.home / "nifi_extensions"
    (link / "NAR-INF").mkdir(parents=True)
    made = _stored(settings, "c1")
    local_nifi.place(settings, made)
    assert link.is_symlink() and link.resolve() == made.processors.resolve()


def test_what_nifi_has_loaded_is_what_was_in_place_when_it_started(
    nifi: LocalNiFi, engine: Engine, settings: Settings
) -> None:
    assert nifi.loaded() is None
    made = _stored(settings, "c1")
    local_nifi.place(settings, made)
    engine.running = -5
    assert nifi.loaded() == "c1", "it started after that"
    engine.running = 100
    assert nifi.loaded() is None, "it was put in place since"


def test_processors_that_were_made_anew_since_are_not_loaded(
    nifi: LocalNiFi, engine: Engine, settings: Settings
) -> None:
    made = _stored(settings, "c1")
    local_nifi.place(settings, made)
    past = time.time() - 1_000
    os.utime(settings.home / "nifi_extensions", (past, past), follow_symlinks=False)
    os.utime(made.processors / "manifest.json", (past, past))
    assert nifi.loaded() == "c1"
    os.utime(made.processors / "manifest.json")
    assert nifi.loaded() is None


def test_loading_places_the_processors_and_restarts(nifi: LocalNiFi, engine: Engine, settings: Settings) -> None:
    made = _stored(settings, "c1")
    nifi.load(made)
    assert engine.done == ["restart nifi", "start nifi"]
    assert (settings.home / "nifi_extensions").resolve() == made.processors.resolve()


def test_what_a_version_makes_can_be_loaded(world: World) -> None:
    made = version.make(world.pipeline, world.context.folder)
    local_nifi.place(world.context.settings, made)
    assert local_nifi.placed(world.context.settings)


# -- answering ------------------------------------------------------------------------------------------------------


def test_it_is_waited_for(nifi: LocalNiFi, engine: Engine) -> None:
    engine.fails = [requests.ConnectionError("refused")] * 3
    nifi.awake(60)
    assert engine.done == ["start nifi"]


def test_one_that_hangs_is_restarted_and_given_up_in_the_end(nifi: LocalNiFi, engine: Engine) -> None:
    engine.fails = [TransientError("no answer within 5 s")] * 2_000
    with pytest.raises(TransientError, match="NiFi does not answer after 240 s: no answer within 5 s"):
        nifi.awake(240)
    assert "restart hung nifi" in engine.done


def _caused_by(fault: requests.RequestException) -> TransientError:
    """As an engine's question raises what the network did."""
    error = TransientError(str(fault))
    error.__cause__ = fault
    return error


def _answered(status: int) -> requests.HTTPError:
    response = requests.Response()
    response.status_code = status
    return requests.HTTPError(response=response)


def test_another_nifi_is_not_waited_for(nifi: LocalNiFi, engine: Engine) -> None:
    engine.fails = [_caused_by(requests.exceptions.SSLError("certificate verify failed"))]
    with pytest.raises(TerminalError, match="do not accept each other's certificates"):
        nifi.awake(60)


@pytest.mark.parametrize(
    ("error", "refused"),
    [
        (_caused_by(requests.exceptions.SSLError("tlsv1 alert certificate required")), True),
        (_caused_by(requests.exceptions.SSLError("unexpected EOF")), False),
        (_caused_by(requests.ConnectionError("a certificate, but of no handshake")), False),
        (_answered(401), True),
        (_answered(403), True),
        (_answered(503), False),
    ],
)
def test_only_a_refusal_of_a_certificate_is_one(error: Exception, refused: bool) -> None:
    assert certificate_refused(error) is refused


# -- schemas --------------------------------------------------------------------------------------------------------


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Subject -> the schema that the registry holds; it refuses one that says bad."""
    held: dict[str, str] = {}

    def check(settings: Settings, subject: str, schema: str) -> None:
        if schema == "bad":
            raise TerminalError(f"refuses the schema of {subject}")

    def register(settings: Settings, subject: str, schema: str) -> None:
        held[subject] = schema

    fake: dict[str, Any] = {
        "registered": lambda settings, subject, schema: held.get(subject) == schema,
        "check_compatible": check,
        "register": register,
    }
    for name, does in fake.items():
        monkeypatch.setattr(schema_registry, name, does)
    return held


def test_schemas_are_registered_under_the_subjects_of_their_topics(nifi: LocalNiFi, registry: dict[str, str]) -> None:
    schemas = {"user": "u", "dead_letter": "d", "page_receipt": "p"}
    assert nifi.unregistered(schemas) == ["user", "dead_letter", "page_receipt"] and registry == {}
    nifi.register(schemas)
    assert registry == {
        f"{USERS.topic}-value": "u",
        f"{USERS.dead_letters}-value": "d",
        f"{USERS.pages}-value": "p",
    }
    assert nifi.unregistered({**schemas, "user": "new"}) == ["user"]


def test_a_schema_that_would_be_refused_is_told(nifi: LocalNiFi, registry: dict[str, str]) -> None:
    with pytest.raises(TerminalError, match=f"refuses the schema of {USERS.topic}-value"):
        nifi.unregistered({"user": "bad"})
    assert registry == {}


def test_a_schema_without_a_topic_is_told(nifi: LocalNiFi, registry: dict[str, str]) -> None:
    with pytest.raises(TerminalError, match=r"no topic takes order\.avsc") as told:
        nifi.unregistered({"order": "{}"})
    assert told.value.remedy == "the flow has schemas for dead_letter, page_receipt, user"


def test_the_watch_is_on_the_pipelines_flow(nifi: LocalNiFi, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    monkeypatch.setattr(watch, "begin", lambda *given: asked.extend(given))
    nifi.watch("group")
    assert asked[1:] == [USERS, "group"]
