"""Alerts: those that the webhook did not get."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nifi_flows.wording import one_line
from scripts.monitor.area import Area, JudgeContext, Judgement, ReadContext

if TYPE_CHECKING:
    from scripts.monitor.alerts import Deliveries


def read(context: ReadContext[None, None]) -> Deliveries:
    """Raises TerminalError when the record of alerts cannot be read or the webhook's URL is none."""
    from scripts.monitor import alerts

    return alerts.deliveries(context.settings)


def judge(deliveries: Deliveries, context: JudgeContext[None, None]) -> Judgement:
    judgement = Judgement(figures={"undelivered": deliveries.undelivered})
    if not deliveries.webhook:
        judgement.notes.append(f"no webhook: alerts are only recorded in {deliveries.file}")
    elif deliveries.undelivered:
        judgement.trouble.append(one_line(f"{deliveries.undelivered} not delivered: {deliveries.why}"))
    return judgement


AREA = Area(meaning="alerts reach the webhook", order=70, read=read, judge=judge)
