"""What the pipeline's table holds. Each function takes a session of `cassandra.session`."""

from uuid import UUID

from cassandra.cluster import Session

from nifi_flows.pipeline import Pipeline

_LONGEST = 10.0  # seconds for one row
_WRITTEN = "first_name"  # a column that each row has


def keys(session: Session, pipeline: Pipeline) -> set[UUID]:
    """The key of every row."""
    return {row.id for row in session.execute(f"SELECT id FROM {pipeline.table_name}")}


def any_row(session: Session, pipeline: Pipeline) -> bool:
    return session.execute(f"SELECT id FROM {pipeline.table_name} LIMIT 1").one() is not None


def written(session: Session, pipeline: Pipeline, key: UUID) -> int | None:
    """Write timestamp of a row in microseconds since 1970, None when there is no such row."""
    query = f"SELECT writetime({_WRITTEN}) FROM {pipeline.table_name} WHERE id = %s"
    row = session.execute(query, [key], timeout=_LONGEST).one()
    return None if row is None or row[0] is None else int(row[0])
