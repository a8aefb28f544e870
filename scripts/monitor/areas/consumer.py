"""The consumer: its process, how far it is behind, and its batches."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from scripts.monitor.area import Area, JudgeContext, Judgement, ReadContext
from scripts.monitor.ranges import Count, Positive

if TYPE_CHECKING:
    from scripts.monitor.parse import Batch

_LOG_END = 64 * 1024  # bytes of the consumer's log that are read


class ConsumerLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    lag_frames: Count
    last_batch_seconds: Positive
    batch_seconds: Positive


@dataclass(frozen=True)
class ConsumerReading:
    """state and pid: the supervisor's. lags: partition -> frames to read. lost: frames removed before they were read.

    batch: the last one in the log, None when there is none.
    """

    state: str
    pid: int
    lags: dict[int, int]
    lost: int
    batch: Batch | None


@dataclass(frozen=True)
class ConsumerMemory:
    pid: int


def read(context: ReadContext[ConsumerLimits, ConsumerMemory]) -> ConsumerReading:
    """Raises TransientError when Kafka does not answer."""
    from scripts.monitor.parse import last_batch
    from scripts.stack import hops
    from scripts.stack.stack import ending
    from scripts.stack.supervise import Supervisor

    supervisor = Supervisor(context.settings)
    positions = hops.positions(context.settings)
    return ConsumerReading(
        supervisor.state("consumer"),
        supervisor.pid("consumer"),
        {partition: position.lag for partition, position in positions.items()},
        sum(max(0, p.first - p.committed) for p in positions.values() if p.committed is not None),
        last_batch(ending(context.settings.logs / "consumer.log", _LOG_END)),
    )


def judge(consumer: ConsumerReading, context: JudgeContext[ConsumerLimits, ConsumerMemory]) -> Judgement:
    limits = context.limits
    lag = sum(consumer.lags.values())
    judgement = Judgement(figures={"state": consumer.state, "lag in frames": lag})
    if len(consumer.lags) > 1:
        each = ", ".join(f"{partition}: {frames}" for partition, frames in sorted(consumer.lags.items()))
        judgement.figures["lag by partition"] = each
    if consumer.state != "RUNNING":
        judgement.trouble.append(f"the consumer's state is {consumer.state}")
    elif context.memory and context.memory.pid and consumer.pid != context.memory.pid:
        judgement.trouble.append("the consumer has been started anew since the look before")
    if lag > limits.lag_frames:
        judgement.trouble.append(f"{lag:,} frames behind, more than {limits.lag_frames:,}")
    if consumer.lost:
        judgement.trouble.append(f"Kafka has removed {consumer.lost:,} frames that were not read")
    batch = consumer.batch
    if batch is None:
        if lag:
            judgement.trouble.append("there are frames to read, and its log shows no batch")
        return judgement
    age = context.age(batch.ended)
    judgement.figures |= {
        "last batch": batch.number,
        "its frames": batch.frames,
        "its seconds": round(batch.seconds, 2),
        "seconds since": round(age),
    }
    if age > limits.last_batch_seconds:
        if lag:
            judgement.trouble.append(f"{lag:,} frames to read, and the last batch ended {age:,.0f} s ago")
    elif batch.seconds > limits.batch_seconds:
        judgement.trouble.append(f"the last batch took {batch.seconds:.1f} s, more than {limits.batch_seconds:g}")
    return judgement


def remember(consumer: ConsumerReading, now: datetime) -> ConsumerMemory:
    return ConsumerMemory(consumer.pid)


AREA = Area(
    meaning="the consumer is alive, keeps up, and its batches end in time",
    order=40,
    engine="Kafka",
    limits=ConsumerLimits,
    memory=ConsumerMemory,
    read=read,
    judge=judge,
    remember=remember,
)
