"""The frames of a span that are no rows, read again and made dead letters: beside the stream, which goes on."""

import json
import logging
from collections.abc import Callable, Iterator, Mapping

from pyspark.sql import DataFrame, SparkSession

from spark_consumer.contract import DEAD_LETTER_SCHEMA, USER_SCHEMA
from spark_consumer.dead_letters import DeadLetterTopic, Letter, dead_letters
from spark_consumer.decode import REFUSED, decode
from spark_consumer.names import subject
from spark_consumer.position import Offsets
from spark_consumer.registry import registered_id
from spark_consumer.settings import ConsumerSettings
from spark_consumer.unsettled import Batch

_log = logging.getLogger(__name__)


def sweep(
    spark: SparkSession,
    settings: ConsumerSettings,
    batch: Batch,
    writers: Mapping[int, str],
    sent: tuple[Offsets, Offsets] | None,
    learn: Callable[[], None],
) -> int:
    """Publish a letter for each frame of the batch that the stream refused; returns how many, all acknowledged.

    writers: those that the stream decoded it with. sent: the span of the dead letter topic in which letters of an
    earlier attempt may be: those are not sent again. learn: called before the first letter of a frame that is of none
    of the writers' schemas; ends the sweep by what it raises. Raises TransientError when Kafka or the registry is away,
    TerminalError when the schema of dead letters isn't registered, and what Spark raises.
    """
    letter_id = registered_id(settings.registry_url, subject(settings.dead_letter_topic), DEAD_LETTER_SCHEMA)
    topic = DeadLetterTopic(settings.kafka_brokers, settings.dead_letter_topic)
    known = topic.keys(*sent) if sent else set()
    made = letters(_frames(spark, settings, batch), writers, letter_id, learn)
    count = topic.publish(letter for letter in made if letter[0] not in known)
    _log.warning("%d of %d frames are dead letters, up to %s", count, batch.frames, dict(batch.end))
    return count


def letters(
    frames: DataFrame, writers: Mapping[int, str], letter_id: int, learn: Callable[[], None]
) -> Iterator[Letter]:
    """Those of the frames that are refused. learn: as of `sweep`."""
    refused = decode(frames, writers, USER_SCHEMA).where(REFUSED)
    learned = False
    for row in dead_letters(refused, letter_id).toLocalIterator():
        if row.unknown and not learned:
            learn()
            learned = True
        yield bytes(row.key), bytes(row.value)


def _frames(spark: SparkSession, settings: ConsumerSettings, batch: Batch) -> DataFrame:
    start = {p: batch.start.get(p, 0) for p, end in batch.end.items() if end > batch.start.get(p, 0)}
    return (
        spark.read.format("kafka")
        .option("kafka.bootstrap.servers", settings.kafka_brokers)
        .option("assign", json.dumps({settings.topic: sorted(start)}))
        .option("startingOffsets", json.dumps({settings.topic: start}))
        .option("endingOffsets", json.dumps({settings.topic: {p: batch.end[p] for p in start}}))
        .load()
    )
