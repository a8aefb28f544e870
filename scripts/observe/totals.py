"""How much has passed each hop, from what is cheap to ask."""

from cassandra.cluster import Session

from nifi_flows.pipeline import Pipeline
from scripts.observe import records, rows, topics
from scripts.stack.settings import Settings


def read(settings: Settings, session: Session, pipeline: Pipeline) -> dict[str, int]:
    """hop -> count, by receipts, offsets and the keys of the rows. Raises TransientError when Kafka does not answer."""
    pages = records.receipts(settings, pipeline).values()
    return {
        "users fetched": sum(page["fetched"] for page in pages),
        "users published": sum(page["published"] for page in pages),
        "users invalid": sum(page["invalid"] for page in pages),
        f"frames in {pipeline.topic}": topics.length(settings, pipeline.topic),
        f"frames in {pipeline.dead_letters}": topics.length(settings, pipeline.dead_letters),
        f"rows in {pipeline.table}": len(rows.keys(session, pipeline)),
    }
