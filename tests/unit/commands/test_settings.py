"""The settings that the environment says: what is wrong is named, and what is not set has its default."""

from pathlib import Path

import pytest

from nifi_flows.errors import TerminalError
from scripts.bootstrap import ROOT
from scripts.stack import configuration
from scripts.stack.engines import kafka, nifi
from tests.unit.commands.command_line import Pipeline

COMMANDS = ["run", "status", "logs", "cqlsh", "audit", "source", "canvas", "bench", "down"]
NEEDED = {"logs": ["kafka"]}  # arguments that a command does not do without


@pytest.mark.parametrize("command", COMMANDS)
def test_a_setting_that_is_wrong_is_named(
    pipeline: Pipeline, home: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv("PIPELINE_KAFKA_PORT", "abc")
    ended = pipeline(command, *NEEDED.get(command, []))
    assert ended.code == 1
    error, remedy = ended.error
    assert error.startswith("PIPELINE_KAFKA_PORT: ")
    assert error.endswith("got 'abc'")
    assert remedy == "correct or unset PIPELINE_KAFKA_PORT"
    assert not home.exists()


@pytest.mark.parametrize("value", ["0", "-1", "65536", "9092.5", "9092 "])
def test_only_a_port_is_a_port(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("PIPELINE_NIFI_PORT", value)
    if value.strip().isdigit() and 0 < int(value) < 65536:
        assert configuration.load().port(nifi.PORT) == 9092
        return
    with pytest.raises(TerminalError, match=r"^PIPELINE_NIFI_PORT: "):
        configuration.load()


def test_durable_is_yes_or_no(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPELINE_DURABLE", "true")
    durable = configuration.load()
    assert durable.durable
    assert configuration.read(durable.variables).durable, "also in a process that is given these settings"
    for no in ("false", ""):
        monkeypatch.setenv("PIPELINE_DURABLE", no)
        assert not configuration.load().durable
    monkeypatch.setenv("PIPELINE_DURABLE", "yes")
    with pytest.raises(TerminalError) as refused:
        configuration.load()
    assert (str(refused.value), refused.value.remedy) == (
        "PIPELINE_DURABLE is neither true nor false: 'yes'",
        "correct or unset PIPELINE_DURABLE",
    )


def test_one_port_for_two_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPELINE_KAFKA_PORT", "20001")
    monkeypatch.setenv("PIPELINE_SPARK_MASTER_PORT", "20001")
    with pytest.raises(TerminalError) as refused:
        configuration.load()
    assert str(refused.value) == "PIPELINE_KAFKA_PORT and PIPELINE_SPARK_MASTER_PORT are both 20001"


def test_the_ports_that_are_not_set_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in configuration.load().variables:
        monkeypatch.delenv(name, raising=False)
    assert configuration.load().home == Path(ROOT) / ".pipeline"


def test_a_relative_home_is_one_folder_from_wherever_an_engine_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PIPELINE_HOME", "here/../there")
    monkeypatch.setenv("PIPELINE_CACHE", "kept")
    configured = configuration.load()
    assert (configured.home, configured.cache) == (tmp_path / "there", tmp_path / "kept")


def test_an_empty_setting_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPELINE_HOME", "")
    monkeypatch.setenv("PIPELINE_KAFKA_PORT", "")
    configured = configuration.load()
    assert (configured.home, configured.port(kafka.PORT)) == (Path(ROOT) / ".pipeline", 9092)
