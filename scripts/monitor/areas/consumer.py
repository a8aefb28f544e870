"""The consumer: its process, how far it is behind, its lane, and its batches, which epochs of that lane are, too."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from scripts.monitor.area import Area, JudgeContext, Judgement, ReadContext
from scripts.monitor.ranges import Count, Positive

if TYPE_CHECKING:
    from scripts.observe.consumer import ConsumerState


class ConsumerLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    lag_frames: Count
    last_batch_seconds: Positive
    batch_seconds: Positive


@dataclass(frozen=True)
class ConsumerMemory:
    pid: int


def read(context: ReadContext[ConsumerLimits, ConsumerMemory]) -> ConsumerState:
    """Raises TransientError when Kafka does not answer."""
    from scripts.observe import consumer

    return consumer.read(context.settings, context.pipeline)


def judge(consumer: ConsumerState, context: JudgeContext[ConsumerLimits, ConsumerMemory]) -> Judgement:
    limits = context.limits
    lag = sum(consumer.lags.values())
    judgement = Judgement(figures={"state": consumer.state, "lag in frames": lag})
    if consumer.lane:
        judgement.figures["lane"] = consumer.lane
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


def remember(consumer: ConsumerState, now: datetime) -> ConsumerMemory:
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
