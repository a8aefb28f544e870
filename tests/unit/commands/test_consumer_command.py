"""`consumer reset` moves only a consumer that is known to stand still."""

from pathlib import Path

import pytest

from nifi_flows.errors import PipelineError, TerminalError, TransientError
from scripts.commands import consumer
from scripts.stack import configuration
from scripts.stack.settings import Settings
from scripts.stack.supervise import Standing, Supervisor


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Of a stack whose supervisor has just answered; nobody sets the consumer to another place."""
    settings = Settings(home=tmp_path)
    settings.run.mkdir(parents=True)
    monkeypatch.setattr(configuration, "load", lambda: settings)
    monkeypatch.setattr(Supervisor, "require", lambda self: None)
    monkeypatch.setattr(consumer, "set_back", lambda settings, pipeline, to: pytest.fail("it is set back"))
    return settings


def test_a_supervisor_that_does_not_answer_is_no_consumer_that_stands_still(settings: Settings) -> None:
    with pytest.raises(TransientError, match="the stack is not running"):
        consumer.reset(earliest=True, to=None)


@pytest.mark.parametrize("state", ["STARTING", "RUNNING", "BACKOFF", "STOPPING"])
def test_a_consumer_that_runs_or_is_about_to_is_not_set_back(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    monkeypatch.setattr(Supervisor, "standing", lambda self, name: Standing(state, 7, 60))
    with pytest.raises(TerminalError, match="the consumer runs"):
        consumer.reset(earliest=True, to=None)


def test_nobody_starts_the_consumer_while_it_is_set_back(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def set_back(*arguments: object) -> None:
        with pytest.raises(TransientError, match="consumer is being started or stopped"):
            Supervisor(settings).alone("consumer", 0.1).__enter__()
        raise PipelineError("Kafka is away")

    monkeypatch.setattr(Supervisor, "standing", lambda self, name: Standing("STOPPED", 0, 0))
    monkeypatch.setattr(consumer, "set_back", set_back)
    with pytest.raises(PipelineError, match="Kafka is away"):
        consumer.reset(earliest=True, to=None)
