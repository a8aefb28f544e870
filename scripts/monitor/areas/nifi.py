"""NiFi itself: whether it answers."""

from dataclasses import dataclass

from scripts.monitor.area import Area, JudgeContext, Judgement, ReadContext
from scripts.stack.wording import one_line


@dataclass(frozen=True)
class NiFiReading:
    version: str


def read(context: ReadContext[None, None]) -> NiFiReading:
    """Raises PipelineError when NiFi does not answer or refuses."""
    import nipyapi

    from nifi_flows import connection
    from scripts.stack import credentials
    from scripts.stack.stack import nifi_of

    with connection.connected(nifi_of(context.settings, credentials.require(context.settings.secrets))):
        return NiFiReading(str(nipyapi.nifi.FlowApi().get_about_info().about.version))


def judge(nifi: NiFiReading, context: JudgeContext[None, None]) -> Judgement:
    return Judgement(figures={"version": one_line(nifi.version)})


AREA = Area(meaning="NiFi answers", order=10, engine="NiFi", read=read, judge=judge)
