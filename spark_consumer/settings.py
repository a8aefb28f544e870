"""What an operator may set, each as an environment variable CONSUMER_<NAME>; nothing secret is among them."""

from typing import Annotated

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from spark_consumer import users
from spark_consumer.errors import TerminalError
from spark_consumer.names import MICRO_BATCH, Lane


class ConsumerSettings(BaseSettings):
    """Settings of one consumer; frozen, so that what was checked at the start stays true."""

    model_config = SettingsConfigDict(env_prefix="CONSUMER_", frozen=True)

    kafka_brokers: str
    """host:port, several with commas"""
    registry_url: str
    """root of the Confluent API, without a trailing slash, such as http://127.0.0.1:8081/apis/ccompat/v7"""
    checkpoint_dir: str
    """directory or URI that driver and executors share, for what Spark notes of a stream; the folder in it that has the
    name of the group is emptied at each start"""

    topic: str = users.TOPIC
    """whose frames become rows; its schemas are registered under `<topic>-value`"""
    dead_letter_topic: str = users.DEAD_LETTER_TOPIC
    group: str = users.CONSUMER_GROUP
    """consumer group that keeps the position; also the name of the stream and of its application"""
    keyspace: str = users.TABLE.keyspace
    table: str = users.TABLE.table
    """where the rows go, in that keyspace"""

    lane: Lane = MICRO_BATCH
    """`continuous`: tasks that never end, one for each partition of the topic, write what they read at the latest at
    the end of its epoch, as long as no frame is refused. `micro-batch`: planned and counted batch by batch"""
    epoch_milliseconds: Annotated[int, Field(gt=0)] = 100
    """Continuous: how often what was read is committed, after all of it is acknowledged"""
    calm_seconds: Annotated[float, Field(gt=0)] = 60
    """Continuous: how long the stream goes in micro-batches after the last frame that was refused"""
    trigger_seconds: Annotated[float, Field(ge=0)] = 0.2
    """Micro-batch: how often to look for new frames; a batch that takes longer is followed by the next one at once"""
    safe_seconds: Annotated[float, Field(gt=0)] = 25
    """How long a node of Cassandra must live on after it acknowledged rows, for them to be on its disk: the
    commitlog_sync_period of its cassandra.yaml, ten seconds by default, and the time that its disk may take; after one
    and a half periods it acknowledges nothing more. Every start reads again what is younger"""
    max_offsets_per_trigger: Annotated[int, Field(gt=0)] = 20_000
    """Frames of a micro-batch, at most, and of those that are swept at once"""
    batch_bytes: Annotated[int, Field(gt=0)] = 3_500
    """Bytes of values in one Cassandra batch. Cassandra adds some for each cell, also for one that is deleted, before
    it holds the sum against its limit of 50 KiB: of the smallest row 37 are values, and some 500 count. Where
    batch_size_fail_threshold is higher, as on the stack of this project, 20000 takes less CPU."""
    concurrent_writes: Annotated[int, Field(gt=0)] = 8
    """Cassandra batches under way at once, for each task"""


def load_settings() -> ConsumerSettings:
    """The settings in the environment; raises TerminalError naming each variable that is wrong or missing."""
    try:
        return ConsumerSettings.model_validate({})
    except ValidationError as error:
        wrong = "; ".join(f"CONSUMER_{'_'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors())
        raise TerminalError(f"settings: {wrong}", "set these environment variables") from error
