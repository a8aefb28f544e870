"""NiFi itself: whether it answers."""

from dataclasses import dataclass

from nifi_flows.wording import one_line
from scripts.monitor.area import Area, JudgeContext, Judgement, ReadContext


@dataclass(frozen=True)
class NiFiReading:
    version: str


def read(context: ReadContext[None, None]) -> NiFiReading:
    """Raises PipelineError when NiFi does not answer or refuses."""
    from scripts.observe import canvas
    from scripts.stack import credentials
    from scripts.stack.stack import nifi_of

    return NiFiReading(canvas.version(nifi_of(context.settings, credentials.require(context.settings.secrets))))


def judge(nifi: NiFiReading, context: JudgeContext[None, None]) -> Judgement:
    return Judgement(figures={"version": one_line(nifi.version)})


AREA = Area(meaning="NiFi answers", order=10, engine="NiFi", read=read, judge=judge)
