"""What flow and consumer find ready: schemas in the registry, topics in Kafka, the table in Cassandra."""

from scripts.stack import names
from scripts.stack.engines import cassandra, kafka, registry
from scripts.stack.stack import Stack
from spark_consumer import table


def provision(stack: Stack) -> None:
    """Register first schemas, create topics, keyspace and table; what is there already stays as it is.

    Later schemas come with the version of the flow that needs them.
    """
    subjects = registry.subjects(stack.settings)
    for topic, path in names.SCHEMAS.items():
        if names.subject(topic) not in subjects:
            registry.register(stack.settings, names.subject(topic), path.read_text())
    kafka.create_topics(stack.settings, names.TOPICS)
    with cassandra.session(stack.settings, stack.credentials, admin=True) as session:
        table.create_keyspace(session)
        table.create_table(session)
        cassandra.grant(session, table.KEYSPACE)
    cassandra.write_cqlshrc(stack.settings, stack.credentials)
