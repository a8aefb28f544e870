"""Cassandra, one node, closed by passwords that are made at the first start."""

from __future__ import annotations

import logging
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from nifi_flows.errors import TransientError
from nifi_flows.files import write_private
from scripts.stack.credentials import Credentials
from scripts.stack.engine import Configuration, Engine, Launch, Local, required
from scripts.stack.http import Deadline, cause
from scripts.stack.layout import Artifacts, Linked
from scripts.stack.settings import LOOPBACK, Port, Settings

if TYPE_CHECKING:
    from cassandra.cluster import Session

NAME = "cassandra"
PORT = Port("cassandra", 9042, "Cassandra")
STORAGE = Port("cassandra_storage", 7000, "Cassandra storage")
PORTS = (PORT, STORAGE)
ARTIFACTS = (Artifacts("lib", ["org.apache.cassandra:cassandra-all:5.0.9"], Linked("cassandra")),)

ROLE = "pipeline"  # what Spark and cqlsh log in as
_ADMIN = "cassandra"  # the superuser that Cassandra makes; its well-known password is replaced at once
_HEAP = "640m"
_OPTIONS = bytes([4, 0, 0, 0, 5, 0, 0, 0, 0])  # a CQL frame, version 4, with the request OPTIONS and no body

# tombstone thresholds: a row has one for each field that its record lacks, so a page of ten thousand sparse rows has
# more than the default lets be read.
_YAML = """\
cluster_name: pipeline
partitioner: org.apache.cassandra.dht.Murmur3Partitioner
num_tokens: 1
endpoint_snitch: SimpleSnitch
seed_provider:
  - class_name: org.apache.cassandra.locator.SimpleSeedProvider
    parameters:
      - seeds: "{host}:{storage}"
listen_address: {host}
storage_port: {storage}
rpc_address: {host}
start_native_transport: true
native_transport_port: {port}
data_file_directories: ["{data}/data"]
commitlog_directory: "{data}/commitlog"
hints_directory: "{data}/hints"
saved_caches_directory: "{data}/saved_caches"
cdc_raw_directory: "{data}/cdc_raw"
commitlog_sync: periodic
commitlog_sync_period: 1000ms
commitlog_segment_size: 8MiB
commitlog_total_space: 512MiB
disk_failure_policy: stop
commit_failure_policy: stop
concurrent_reads: 16
concurrent_writes: 16
memtable:
  configurations:
    trie:
      class_name: TrieMemtable
    default:
      inherits: trie
memtable_allocation_type: offheap_objects
memtable_flush_writers: 1
memtable_heap_space: 256MiB
memtable_offheap_space: 256MiB
file_cache_size: 64MiB
key_cache_size: 16MiB
auto_snapshot: false
batch_size_warn_threshold: 160KiB
batch_size_fail_threshold: 320KiB
tombstone_warn_threshold: 250000
tombstone_failure_threshold: 1000000
authenticator:
  class_name: PasswordAuthenticator
authorizer:
  class_name: CassandraAuthorizer
role_manager:
  class_name: CassandraRoleManager
"""

_LOGBACK = """\
<configuration>
  <appender name="OUT" class="ch.qos.logback.core.ConsoleAppender">
    <encoder><pattern>%date{ISO8601} %-5level %logger{20} %msg%n</pattern></encoder>
  </appender>
  <root level="INFO"><appender-ref ref="OUT"/></root>
</configuration>
"""

# Cassandra 5.0 reaches into these packages of a JDK 17.
_EXPORTS = (
    "java.base/java.lang.ref",
    "java.base/jdk.internal.misc",
    "java.management.rmi/com.sun.jmx.remote.internal.rmi",
    "java.rmi/sun.rmi.registry",
    "java.rmi/sun.rmi.server",
    "java.sql/java.sql",
    "jdk.attach/sun.tools.attach",
    "jdk.unsupported/sun.misc",
)
_OPENS = (
    "java.base/java.io",
    "java.base/java.lang",
    "java.base/java.lang.module",
    "java.base/java.lang.reflect",
    "java.base/java.nio",
    "java.base/java.util",
    "java.base/jdk.internal.loader",
    "java.base/jdk.internal.math",
    "java.base/jdk.internal.module",
    "java.base/jdk.internal.ref",
    "java.base/jdk.internal.reflect",
    "java.base/jdk.internal.util.jar",
    "java.base/sun.nio.ch",
    "jdk.management/com.sun.management.internal",
)


def address(settings: Settings) -> str:
    """host:port, as clients take it."""
    return f"{LOOPBACK}:{settings.port(PORT)}"


def describe(settings: Settings) -> list[Engine]:
    return [
        Engine(
            name="cassandra",
            title="Cassandra",
            address=address(settings),
            ports={settings.port(port): port.purpose for port in PORTS},
            ask=partial(_ask, settings),
            set_up=partial(secure, settings),  # at first nobody but the well-known superuser can log in
        )
    ]


def configure(local: Local) -> Configuration:
    settings = local.settings
    conf, data = settings.conf / "cassandra", settings.data / "cassandra"
    yaml = _YAML.format(host=LOOPBACK, port=settings.port(PORT), storage=settings.port(STORAGE), data=data)
    lib = local.installed.folder("cassandra")
    jamm = next(lib.glob("jamm-*.jar"))
    launch = Launch(
        command=[
            str(local.installed.jdk17 / "bin" / "java"),
            f"-Xms{_HEAP}",
            f"-Xmx{_HEAP}",
            "-XX:MaxDirectMemorySize=256m",
            "-XX:+UseParallelGC",
            "-Xss256k",
            f"-javaagent:{jamm}",
            *(f"--add-exports={package}=ALL-UNNAMED" for package in _EXPORTS),
            *(f"--add-opens={package}=ALL-UNNAMED" for package in _OPENS),
            "-Djdk.attach.allowAttachSelf=true",
            "-Dio.netty.tryReflectionSetAccessible=true",
            "-Dio.netty.allocator.useCacheForAllThreads=true",
            "-Dio.netty.allocator.maxOrder=11",
            f"-Dcassandra.config=file://{conf}/cassandra.yaml",
            f"-Dcassandra.storagedir={data}",
            f"-Dlogback.configurationFile=file://{conf}/logback.xml",
            "-Dcassandra-foreground=yes",
            "-Dcassandra.ring_delay_ms=0",
            "-Dcassandra.skip_wait_for_gossip_to_settle=0",
            "-Dcassandra.superuser_setup_delay_ms=0",
            "-cp",
            f"{conf}:{lib}/*",
            "org.apache.cassandra.service.CassandraDaemon",
        ],
        folder=settings.home,
        first=[(None, [sys.executable, "-m", "scripts.stack.commit_log", str(data / "commitlog")])],
    )
    return Configuration(
        {"cassandra": launch}, {conf / "cassandra.yaml": yaml.encode(), conf / "logback.xml": _LOGBACK.encode()}
    )


@contextmanager
def session(settings: Settings, credentials: Credentials, *, admin: bool = False) -> Iterator[Session]:
    """A CQL session as the pipeline's role, or as the superuser. Raises TransientError when nobody answers."""
    user, password = (_ADMIN, credentials.cassandra_admin_password) if admin else (ROLE, credentials.cassandra_password)
    with _connect(settings, user, password) as opened:
        yield opened


@contextmanager
def _connect(settings: Settings, user: str, password: str, connect_timeout: float = 10) -> Iterator[Session]:
    from cassandra import DriverException
    from cassandra.auth import PlainTextAuthProvider
    from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile, NoHostAvailable
    from cassandra.policies import WhiteListRoundRobinPolicy

    profile = ExecutionProfile(load_balancing_policy=WhiteListRoundRobinPolicy([LOOPBACK]), request_timeout=30)
    cluster = Cluster(
        [LOOPBACK],
        port=settings.port(PORT),
        auth_provider=PlainTextAuthProvider(user, password),
        execution_profiles={EXEC_PROFILE_DEFAULT: profile},
        connect_timeout=connect_timeout,
        protocol_version=5,
    )
    try:
        yield cluster.connect()
    except (NoHostAvailable, DriverException) as error:
        hosts = getattr(error, "errors", None)
        reason = next(iter(hosts.values()), error) if isinstance(hosts, dict) else error
        raise TransientError(
            f"Cassandra at {address(settings)} does not answer: {reason}", "see ./scripts/pipeline logs cassandra"
        ) from error
    finally:
        cluster.shutdown()


def secure(settings: Settings, credentials: Credentials) -> None:
    """Replace the well-known superuser password and make the pipeline's role; harmless when done before."""
    try:
        with _connect(settings, _ADMIN, "cassandra") as fresh:
            fresh.execute(f"ALTER ROLE {_ADMIN} WITH PASSWORD = %s", [credentials.cassandra_admin_password])
    except TransientError:
        pass  # the password was replaced before; a wrong one shows in the next lines
    with session(settings, credentials, admin=True) as opened:
        opened.execute(
            f"CREATE ROLE IF NOT EXISTS {ROLE} WITH LOGIN = true AND PASSWORD = %s", [credentials.cassandra_password]
        )


def grant(opened: Session, keyspace: str) -> None:
    """Let the pipeline's role do everything in its keyspace, and nothing elsewhere. Needs a superuser session."""
    opened.execute(f"GRANT ALL PERMISSIONS ON KEYSPACE {keyspace} TO {ROLE}")


def write_cqlshrc(settings: Settings, credentials: Credentials) -> None:
    """Put the login where cqlsh finds it, so that no password stands on a command line."""
    write_private(
        settings.secrets / "cqlsh_credentials",
        f"[PlainTextAuthProvider]\nusername = {ROLE}\npassword = {credentials.cassandra_password}\n",
    )


def _ask(settings: Settings, credentials: Credentials | None, patience: float) -> str:
    deadline, password = Deadline(patience), required(credentials).cassandra_password
    _speaks_cql(settings.port(PORT), deadline)
    logging.getLogger("cassandra").setLevel(logging.CRITICAL)  # what it meets is in the error
    with _connect(settings, ROLE, password, deadline.left()) as opened:
        rows = opened.execute("SELECT release_version FROM system.local", timeout=deadline.left())
        return f"release {rows.one()[0]}"


def _speaks_cql(port: int, deadline: Deadline) -> None:
    """Ask for the protocol's options first: the driver would wait much longer for one that hangs."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=deadline.left()) as opened:
            opened.sendall(_OPTIONS)
            if not opened.recv(1):
                raise TransientError("it closes the connection")
    except TimeoutError as error:
        raise deadline.late from error
    except OSError as error:
        raise TransientError(cause(error)) from error
