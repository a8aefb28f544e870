"""To look at a stack changes nothing; to prepare one writes what its configuration says."""

import stat
from pathlib import Path

import pytest

from nifi_flows.errors import TerminalError, TransientError
from nifi_flows.pipeline import USERS
from scripts.stack import credentials, install, preflight, stack
from scripts.stack.credentials import Credentials
from scripts.stack.engine import Engine
from scripts.stack.engines import source
from scripts.stack.layout import Installed
from scripts.stack.settings import Settings
from scripts.stack.supervise import Standing, Supervisor


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Of a home whose supervisor is said to run, with engines that are said to be installed."""
    root = tmp_path / "installed"
    (root / "cassandra").mkdir(parents=True)
    (root / "cassandra" / "jamm-0.4.0.jar").touch()
    monkeypatch.setattr(install, "ensure", lambda cache, maven: Installed(root))
    monkeypatch.setattr(Supervisor, "require", lambda self: None)
    for name in ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
    return Settings(home=tmp_path / "home")


def everything(home: Path) -> dict[str, tuple[int, int, bytes]]:
    """Path -> modification time, mode and content of all that a home holds."""
    return {
        str(path): (
            path.stat().st_mtime_ns,
            stat.S_IMODE(path.stat().st_mode),
            path.read_bytes() if path.is_file() else b"",
        )
        for path in [home, *home.rglob("*")]
    }


def test_to_look_at_a_stack_changes_nothing_in_its_home_and_needs_no_installation(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    configured, _ = stack.prepare(settings, USERS)
    before = everything(settings.home)
    monkeypatch.setattr(install, "ensure", lambda cache, maven: pytest.fail("installs"))
    described = stack.running(settings)
    assert everything(settings.home) == before
    assert [engine.name for engine in described.engines] == [engine.name for engine in configured.engines]


def test_to_work_out_a_configuration_writes_nothing(settings: Settings) -> None:
    made, written = stack.prepare(settings, USERS)
    before = everything(settings.home)
    assert stack.configuration(made, USERS) == written
    assert everything(settings.home) == before


def test_each_configuration_file_is_written_for_its_owner_alone(settings: Settings) -> None:
    _, written = stack.prepare(settings, USERS)
    assert len(written.files) > 10
    for path, content in written.files.items():
        assert path.read_bytes() == content
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert all(folder.is_dir() for folder in (*written.folders, *(one.folder for one in written.launches.values())))


def test_a_configuration_shows_no_secret(settings: Settings) -> None:
    made, written = stack.prepare(settings, USERS)
    secret = made.credentials.cassandra_password
    assert any(secret.encode() in content for content in written.files.values())
    assert secret not in repr(written)


def test_to_look_at_a_stack_makes_no_secrets(settings: Settings) -> None:
    with pytest.raises(TransientError, match="no secrets have been made"):
        stack.running(settings)
    assert not settings.home.exists()


def test_users_are_broken_only_when_that_is_asked_for(settings: Settings) -> None:
    stack.prepare(settings, USERS, 0.25)
    stack.prepare(settings, USERS)
    stack.running(settings)
    assert source.behaviour(settings).invalid_share == 0.25


class _Engine:
    """Answers once it is set up, as a Cassandra does at its first start."""

    def __init__(self, failures: int) -> None:
        self.failures, self.set_up_calls = failures, 0

    def ask(self, credentials: Credentials | None, patience: float) -> str:
        assert credentials is not None
        if self.set_up_calls <= self.failures:
            raise OSError("nobody can log in")
        return "release 5"

    def set_up(self, credentials: Credentials) -> None:
        self.set_up_calls += 1
        if self.set_up_calls <= self.failures:
            raise OSError("it does not listen yet")


def _described(told: _Engine, patience: int = 10) -> Engine:
    return Engine("some", "Some", "", {}, told.ask, set_up=told.set_up, patience=patience)


def _stack(engine: Engine, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> stack.Stack:
    monkeypatch.setattr(Supervisor, "standing", lambda self, name: Standing("RUNNING", 7, 60))
    return stack.Stack(settings, credentials.ensure(settings.secrets), [engine], Supervisor(settings))


@pytest.mark.parametrize("failures", [0, 2])
def test_an_engine_is_set_up_while_it_is_waited_for(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, failures: int
) -> None:
    told, reports = _Engine(failures), []
    made = _stack(_described(told), settings, monkeypatch)
    stack.wait_ready(made, ["some"], lambda name, how: reports.append((name, how)))
    assert told.set_up_calls == failures + 1
    assert [name for name, _ in reports] == ["some"]


def test_an_engine_that_is_never_ready_is_given_up_although_it_can_be_set_up(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = _Engine(0)
    monkeypatch.setattr(told, "ask", lambda credentials, patience: 1 / 0)
    made = _stack(_described(told, patience=1), settings, monkeypatch)
    with pytest.raises(TerminalError, match="is not ready after 1 s: division by zero"):
        stack.wait_ready(made, ["some"], lambda name, how: None)


def test_what_a_dead_supervisor_left_is_ended_before_its_memory_is_missed(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    monkeypatch.setattr(Supervisor, "running", lambda self: False)
    monkeypatch.setattr(Supervisor, "end_leftovers", lambda self: steps.append("leftovers"))
    monkeypatch.setattr(preflight, "check_memory", lambda: steps.append("memory"))
    monkeypatch.setattr(preflight, "check_disk", lambda folder: None)
    stack.prepare(settings, USERS)
    assert steps == ["leftovers", "memory"]


def test_what_is_configured_is_checked_only_before_a_start(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "check_memory", lambda: pytest.fail("it runs already"))
    stack.prepare(settings, USERS)
