"""The disk that the engines write to: a full one under Cassandra's commit log or Kafka stops them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from scripts.monitor.area import Area, JudgeContext, Judgement, ReadContext
from scripts.monitor.ranges import Count

if TYPE_CHECKING:
    from scripts.observe.machine import Disk

_MIB = 1024**2


class DiskLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    free_mib: Count


def read(context: ReadContext[DiskLimits, None]) -> Disk:
    """Raises OSError when the folder cannot be looked at."""
    from scripts.observe import machine

    return machine.read_disk("PIPELINE_HOME", context.settings.data)


def judge(disk: Disk, context: JudgeContext[DiskLimits, None]) -> Judgement:
    free = disk.free // _MIB
    judgement = Judgement(figures={"free, MiB": free})
    if free < context.limits.free_mib:
        judgement.trouble.append(
            f"{free:,} MiB free in {disk.folder}, less than {context.limits.free_mib:,}: Kafka and Cassandra stop when "
            "it is full; free some"
        )
    return judgement


AREA = Area(
    meaning="the disk of the engines' data has room",
    order=7,
    limits=DiskLimits,
    read=read,
    judge=judge,
)
