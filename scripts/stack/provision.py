"""What flow and consumer find ready: schemas in the registry, topics in Kafka, the table in Cassandra."""

from nifi_flows.pipeline import Pipeline
from scripts.stack import schema_registry
from scripts.stack.engines import cassandra, kafka
from scripts.stack.stack import Stack
from spark_consumer.names import subject


def provision(stack: Stack, pipeline: Pipeline) -> None:
    """Register first schemas, create topics, keyspace and table; what is there already stays as it is.

    Later schemas come with the version of the flow that needs them. Raises TerminalError for partitions that can't be
    had.
    """
    from spark_consumer.table import create_keyspace, create_table  # with Cassandra's driver

    kafka.check_partitions(stack.settings, pipeline)
    subjects = schema_registry.subjects(stack.settings)
    for name, topic in pipeline.topics.items():
        if subject(name) not in subjects:
            schema_registry.register(stack.settings, subject(name), topic.contract.read_text())
    kafka.create_topics(stack.settings, pipeline.topics)
    table = pipeline.table_name
    with cassandra.session(stack.settings, stack.credentials, admin=True) as session:
        create_keyspace(session, table)
        create_table(session, table)
        cassandra.grant(session, table.keyspace)
    cassandra.write_cqlshrc(stack.settings, stack.credentials)
