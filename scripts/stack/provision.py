"""What flow and consumer find ready: schemas in the registry, topics in Kafka, the table in Cassandra."""

from pathlib import Path

from nifi_flows.errors import TerminalError
from nifi_processors import bundle
from scripts.bootstrap import ROOT
from scripts.stack import names
from scripts.stack.engines import cassandra, kafka, nifi, registry
from scripts.stack.settings import Settings
from scripts.stack.stack import Stack
from spark_consumer import table


def build_processors(settings: Settings) -> str:
    """Put the processors where NiFi loads them from; returns the version of flow, code and schemas together."""
    lock = Path(ROOT) / "requirements.lock"
    try:
        return bundle.build(nifi.extensions(settings), lock, names.USERS_FLOW, names.FLOW)
    except bundle.BundleError as error:
        raise TerminalError(str(error), error.remedy) from error


def provision(stack: Stack) -> None:
    """Register the schemas, create topics, keyspace and table; what is there already stays as it is."""
    for topic, path in names.SCHEMAS.items():
        registry.register(stack.settings, names.subject(topic), path.read_text())
    kafka.create_topics(stack.settings, names.TOPICS)
    with cassandra.session(stack.settings, stack.credentials, admin=True) as session:
        table.create_keyspace(session)
        table.create_table(session)
        cassandra.grant(session, table.KEYSPACE)
    cassandra.write_cqlshrc(stack.settings, stack.credentials)
