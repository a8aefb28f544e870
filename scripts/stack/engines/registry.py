"""The schema registry: Apicurio, used through its Confluent-compatible API."""

from __future__ import annotations

from functools import partial

from scripts.stack.credentials import Credentials
from scripts.stack.engine import QUICK_START, Configuration, Engine, Launch, Local
from scripts.stack.http import get_json
from scripts.stack.layout import Artifacts, Untarred
from scripts.stack.settings import LOOPBACK, Port, Settings

NAME = "registry"
PORT = Port("registry", 8081, "schema registry")
MANAGEMENT = Port("registry_management", 8082, "registry management")
PORTS = (PORT, MANAGEMENT)
ARTIFACTS = (
    Artifacts(
        "archive",
        ["io.apicurio:apicurio-registry-app:3.3.3:tar.gz:all"],
        Untarred("registry", expected="registry/quarkus-run.jar"),
        transitive=False,
    ),
)

_HEAP = "160m"

_PROPERTIES = """\
quarkus.http.host={host}
quarkus.http.port={port}
quarkus.management.host={host}
quarkus.management.port={management}
quarkus.http.access-log.enabled=false
apicurio.storage.kind=sql
apicurio.storage.sql.kind=h2
apicurio.datasource.url=jdbc:h2:file:{data}/db
apicurio.datasource.username=sa
apicurio.datasource.password=sa
apicurio.datasource.jdbc.initial-size=2
apicurio.datasource.jdbc.min-size=2
apicurio.datasource.jdbc.max-size=10
quarkus.otel.sdk.disabled=true
apicurio.rules.global.compatibility=BACKWARD
"""


def address(settings: Settings) -> str:
    """Base URL of the Confluent API."""
    return f"http://{LOOPBACK}:{settings.port(PORT)}/apis/ccompat/v7"


def describe(settings: Settings) -> list[Engine]:
    return [
        Engine(
            name="registry",
            title="Schema registry",
            address=address(settings),
            ports={settings.port(port): port.purpose for port in PORTS},
            ask=partial(_ask, settings),
        )
    ]


def configure(local: Local) -> Configuration:
    settings = local.settings
    properties = settings.conf / "registry" / "application.properties"
    written = _PROPERTIES.format(
        host=LOOPBACK,
        port=settings.port(PORT),
        management=settings.port(MANAGEMENT),
        data=settings.data / "registry",
    )
    launch = Launch(
        command=[
            str(local.installed.jdk21 / "bin" / "java"),
            f"-Xmx{_HEAP}",
            "-XX:+UseSerialGC",
            QUICK_START,
            f"-Dquarkus.config.locations={properties}",
            "-jar",
            str(local.installed.folder("registry") / "quarkus-run.jar"),
        ],
        folder=settings.home,
    )
    return Configuration({"registry": launch}, {properties: written.encode()})


def _ask(settings: Settings, credentials: Credentials | None, patience: float) -> str:
    return f"{len(get_json(f'{address(settings)}/subjects', patience))} subjects"
