"""The Spark session: only what belongs to the application. Master, jars, memory and secrets are the deployment's,
in the spark-defaults.conf of SPARK_CONF_DIR."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from py4j.protocol import Py4JError
from pyspark import SparkConf
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from spark_consumer.errors import TransientError, told_by_spark
from spark_consumer.settings import ConsumerSettings, load_settings

# Avro believes the length that a frame claims and allocates it before it reads. A Kafka message is at most a few
# megabytes, so nothing honest is longer; a false length then is a dead letter instead of an executor out of memory.
_LONGEST_VALUE = 8 * 1024 * 1024
JAVA_OPTIONS = " ".join(
    [
        *(
            f"-Dorg.apache.avro.limits.{limit}={_LONGEST_VALUE}"
            for limit in ("string.maxLength", "bytes.maxLength", "collectionItems.maxLength")
        ),
        # Cassandra warns about every batch of more than 5 KiB; logged, that is a line of text for each 20 rows
        "-Ddatastax-java-driver.advanced.request.log-warnings=false",
    ]
)
_NO_ID = "spark-application-"  # how Spark begins the id of an application that no master gave one to
_NO_SESSION = "see that it runs, and that spark.master in SPARK_CONF_DIR's spark-defaults.conf names it"


def create_spark_connection(settings: ConsumerSettings | None = None) -> SparkSession:
    """The consumer's session on the master that spark-defaults.conf names.

    Raises TransientError when there is none to be had; that a master doesn't answer takes Spark a minute.
    """
    settings = settings or load_settings()
    options = {
        # every cell is a function of its record alone, so never of the machine's time zone
        "spark.sql.session.timeZone": "UTC",
        # a text that doesn't parse is an absent value, not a failed batch
        "spark.sql.ansi.enabled": "false",
        "spark.sql.streaming.metricsEnabled": "true",
        # what Spark writes down of a stream is only read while it runs, and at once
        "spark.sql.streaming.minBatchesToRetain": "10",
        # In the continuous lane another attempt fails for being one, and that would hide why the first did. So a short
        # fault of an engine ends the stream in either lane, and it starts again from where it is safe.
        "spark.task.maxFailures": "1",
        # frames that wait in it for each partition, 1024 by default; each may be of a megabyte
        "spark.sql.streaming.continuous.executorQueueSize": "64",
        # a task of the continuous lane looks this often for the end of an epoch
        "spark.sql.streaming.continuous.executorPollIntervalMs": "5",
        "spark.sql.streaming.stopTimeout": "10s",
        # The web page remembers plans and jobs by the thousand, in the driver's heap; a stream makes some every second.
        "spark.sql.ui.retainedExecutions": "20",
        "spark.sql.ui.explainMode": "simple",
        "spark.ui.retainedJobs": "100",
        "spark.ui.retainedStages": "100",
        "spark.ui.retainedTasks": "1000",
        # whoever reaches the web page must not be able to stop the stream
        "spark.ui.killEnabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.driver.defaultJavaOptions": JAVA_OPTIONS,
        "spark.executor.defaultJavaOptions": JAVA_OPTIONS,
        # soon back at a Cassandra that was started again; a minute by default
        "spark.cassandra.connection.reconnectionDelayMS.min": "500",
        "spark.cassandra.connection.reconnectionDelayMS.max": "2000",
        # A null deletes its cell as of the record's time; left unset, the cell of an older record would stay beside it.
        "spark.cassandra.output.ignoreNulls": "false",
        # Every key is a partition of its own, so grouping by partition would make batches of one row. On a ring,
        # replica_set in spark-defaults.conf would spare the coordinator a hop.
        "spark.cassandra.output.batch.grouping.key": "none",
        "spark.cassandra.output.batch.size.bytes": str(settings.batch_bytes),
        "spark.cassandra.output.concurrent.writes": str(settings.concurrent_writes),
    }
    builder = SparkSession.builder.appName(settings.group)
    for name, value in options.items():
        builder = builder.config(name, value)
    try:
        spark = builder.getOrCreate()
        spark.sparkContext.setLogLevel("WARN")
        registered = not spark.sparkContext.applicationId.startswith(_NO_ID)
    except (PySparkException, Py4JError) as error:
        raise TransientError(
            f"spark: no session on the master {_master()}: {told_by_spark(error)}", _NO_SESSION
        ) from error
    if not registered:
        raise TransientError(f"spark: the master {_master()} does not answer", _NO_SESSION)
    return spark


def _master() -> str:
    with suppress(Exception):  # the JVM may be gone
        return str(SparkConf().get("spark.master"))
    return "that SPARK_CONF_DIR names"


@contextmanager
def spark_errors() -> Iterator[None]:
    """Whatever Spark or the connector raises becomes a TransientError, and so does the end of their JVM."""
    try:
        yield
    except (PySparkException, Py4JError) as error:
        raise TransientError(f"spark: {told_by_spark(error)}", "see the log above") from error
    except OSError as error:
        raise TransientError(f"spark: its driver does not answer: {error}", "see the log above") from error
