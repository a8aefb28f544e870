"""`consumer`: the stream into Cassandra, stopped, started, and set to another place of its topic."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Annotated

import typer

from nifi_flows.errors import TerminalError, TransientError
from nifi_flows.pipeline import USERS, Pipeline
from scripts.commands import console
from scripts.stack import configuration
from scripts.stack.engines import kafka
from scripts.stack.settings import Settings
from scripts.stack.supervise import Supervisor

if TYPE_CHECKING:
    from spark_consumer.position import Position

_NAME = "consumer"
_GOES_ON = ("STARTING", "RUNNING", "BACKOFF", "STOPPING")  # states in which it may keep its own position any moment

app = typer.Typer(name="consumer", no_args_is_help=True, help="The stream into Cassandra.")


@app.command()
def stop() -> None:
    """Stop the consumer, once what it has under way is kept. Frames wait in Kafka, rows in Cassandra stay."""
    supervisor = _supervisor(configuration.load())
    with console.err.status("Stopping the consumer"):
        supervisor.stop_engine(_NAME)
    console.out.print("Stopped")


@app.command()
def start() -> None:
    """Start the consumer from where it stopped, some seconds before: what it writes twice changes nothing."""
    _supervisor(configuration.load()).start_engine(_NAME)
    console.out.print("Started")


@app.command()
def reset(
    earliest: Annotated[bool, typer.Option("--earliest", help="Go back to the first frame that Kafka holds.")] = False,
    to: Annotated[
        dt.datetime | None,
        typer.Option(
            metavar="TIME",
            formats=["%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d"],
            help="Go to the first frame of this time or later, UTC, such as 2026-01-31T08:00:00.",
        ),
    ] = None,
) -> None:
    """Set the stopped consumer to another place of its topic, and start it there.

    For frames that were removed unread, a topic that was made anew, or rows that are to be written again. Frames that
    are read again change no row that is newer, and make no second dead letter.
    """
    if earliest == (to is not None):
        raise TerminalError("consumer reset: where to?", "give --earliest or --to TIME")
    settings = configuration.load()
    supervisor = _supervisor(settings)
    with supervisor.alone(_NAME):
        if supervisor.standing(_NAME).state in _GOES_ON:
            raise TerminalError(
                "the consumer runs, and would go on where it is", "stop it first: ./scripts/pipeline consumer stop"
            )
        position = set_back(settings, USERS, to)
    supervisor.start_engine(_NAME)
    offsets = ", ".join(f"{offset:,} of partition {partition}" for partition, offset in position.done.items())
    console.out.print(f"The consumer goes on at offset {offsets}", highlight=False)


def set_back(settings: Settings, pipeline: Pipeline, to: dt.datetime | None) -> Position:
    """Keep another position for the pipeline's consumer and return it. to: UTC; None for the earliest frame.

    Raises TerminalError when there is no such topic, TransientError when Kafka does not answer.
    """
    from spark_consumer.broker import Broker  # with Kafka's client
    from spark_consumer.errors import ConsumerError
    from spark_consumer.errors import TransientError as Waiting
    from spark_consumer.position import reset as reset_position

    broker = Broker(kafka.address(settings), pipeline.consumer_group)
    try:
        topic = broker.topic(pipeline.topic)
        if to is None:
            offsets = {partition: span.first for partition, span in topic.spans.items()}
        else:
            offsets = broker.at(topic, round(to.replace(tzinfo=dt.UTC).timestamp() * 1000))
        position = reset_position(broker.position(topic.name, topic.spans), topic, offsets)
        broker.keep(pipeline.topic, position)
    except ConsumerError as error:
        kind = TransientError if isinstance(error, Waiting) else TerminalError
        raise kind(str(error), error.remedy) from error
    return position


def _supervisor(settings: Settings) -> Supervisor:
    supervisor = Supervisor(settings)
    supervisor.require()
    return supervisor
