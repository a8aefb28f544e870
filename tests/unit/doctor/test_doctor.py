"""The doctor as a whole: no state of the machine or the stack is too broken to be told."""

import json
import socket
import time
from pathlib import Path

import pytest
import typer

from nifi_flows.pipeline import USERS
from scripts.commands import console
from scripts.commands import doctor as command
from scripts.doctor import examine, machine
from scripts.doctor.diagnosis import exit_code, ok, problem, warning
from scripts.observe import engines as running
from scripts.observe import machine as readings
from scripts.observe.engines import Process, Supervised
from scripts.observe.machine import Disk, Proxies
from scripts.stack import credentials
from scripts.stack import machine as resources
from scripts.stack.engines import describe, kafka
from scripts.stack.machine import Memory
from scripts.stack.settings import Settings
from tests.unit.doctor.severities import GIB, OK, severities


def room(folder: Path) -> Disk:
    return Disk("PIPELINE_HOME", folder, folder, True, True, 1, 50 * GIB)


@pytest.fixture
def roomy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with room, whose network is nobody's business here."""
    monkeypatch.setattr(resources, "memory", lambda: Memory(20 * GIB, False))
    monkeypatch.setattr(resources, "cores", lambda: 4.0)
    monkeypatch.setattr(readings, "read_bundles", lambda: [])
    monkeypatch.setattr(readings, "read_proxies", lambda: Proxies({}, False))
    monkeypatch.setattr(readings, "read_disk", lambda variable, folder: room(folder))
    monkeypatch.setattr(machine, "check_python", lambda *arguments: [ok("Python", "fine")])


@pytest.mark.usefixtures("roomy")
def test_a_machine_on_which_nothing_is_set_up_is_fine_and_stays_as_it_is(settings: Settings) -> None:
    found = examine.examine(settings, USERS)
    assert exit_code(found, later=75) == 0, found
    assert ok("engines", "nothing is set up yet; ./scripts/run does it") in found
    assert not settings.home.exists()
    assert not settings.cache.exists()


@pytest.mark.usefixtures("roomy")
def test_a_half_dead_stack_is_told_in_time(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kafka takes connections and says nothing, the registry is closed, the rest is stopped."""
    monkeypatch.setattr(examine, "_PATIENCE", 1.5)
    processes = dict.fromkeys([engine.name for engine in describe(settings)], Process("STOPPED", 0, 0))
    processes |= dict.fromkeys(("kafka", "registry", "cassandra"), Process("RUNNING", 900, GIB))
    monkeypatch.setattr(running, "supervised", lambda *arguments: Supervised(running=True, processes=processes))
    credentials.ensure(settings.secrets)
    settings.home.chmod(0o700)
    with socket.create_server(("127.0.0.1", settings.port(kafka.PORT))):
        begun = time.monotonic()
        found = examine.examine(settings, USERS)
        took = time.monotonic() - begun
    assert took < 4
    told = {finding.what for finding in found if finding.area == "engines"}
    assert told >= {"nifi is stopped", "source is stopped", "consumer is stopped", "kafka: no answer in time"}
    assert any(what.startswith("registry does not answer: Connection refused") for what in told), told
    assert any(what.startswith("cassandra does not answer: ") for what in told), told
    assert not [finding for finding in found if finding.area in ("flow", "lag", "dead letters")]
    assert exit_code(found, later=75) == 1
    assert severities(found).count(OK) >= 5


def test_a_supervisor_that_is_silent_is_told_with_what_to_do(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(examine, "_SUPERVISOR", 0.1)
    monkeypatch.setattr(running, "supervised", lambda *arguments: time.sleep(1))
    found, told = examine._supervised(settings, [])
    assert found.running, "the engines may still be asked"
    assert told == [
        problem("engines", "supervisor: no answer in time", "./scripts/run wakes it, or ends it and starts another")
    ]


def test_the_command_prints_each_finding_with_its_remedy(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], settings: Settings
) -> None:
    found = [ok("memory", "much"), problem("ports", "[taken]", "free it"), warning("ports", "soon", "look")]
    monkeypatch.setattr(examine, "examine", lambda settings, pipeline: found)
    with pytest.raises(typer.Exit) as ended:
        command.doctor(console.Output.text)
    assert ended.value.exit_code == 1
    assert capsys.readouterr().out.splitlines() == [
        "memory",
        "  ok      much",
        "ports",
        "  problem [taken]",
        "          next: free it",
        "  warning soon",
        "          next: look",
        "",
        "1 problem",
        "1 warning",
    ]
    with pytest.raises(typer.Exit):
        command.doctor(console.Output.json)
    read = json.loads(capsys.readouterr().out)
    assert read[1] == {
        "area": "ports",
        "severity": "problem",
        "what": "[taken]",
        "remedy": "free it",
        "passing": False,
    }
    monkeypatch.setattr(examine, "examine", lambda settings, pipeline: found[:1])
    command.doctor(console.Output.text)  # nothing wrong: no exit code


def test_a_wrong_setting_is_a_finding(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], settings: Settings
) -> None:
    monkeypatch.setenv("PIPELINE_NIFI_PORT", "door")
    with pytest.raises(typer.Exit) as ended:
        command.doctor(console.Output.json)
    assert ended.value.exit_code == 1
    (finding,) = json.loads(capsys.readouterr().out)
    assert (finding["area"], finding["remedy"]) == ("settings", "correct or unset PIPELINE_NIFI_PORT")
