"""The schema registry: Apicurio, used through its Confluent-compatible API."""

import requests

from scripts.stack.engine import QUICK_START, Engine
from scripts.stack.install import Installed
from scripts.stack.settings import LOOPBACK, Settings

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


def define(settings: Settings, installed: Installed) -> Engine:
    properties = settings.conf / "registry" / "application.properties"
    written = _PROPERTIES.format(
        host=LOOPBACK,
        port=settings.registry_port,
        management=settings.registry_management_port,
        data=settings.data / "registry",
    )
    return Engine(
        name="registry",
        title="Schema registry",
        command=[
            str(installed.jdk21 / "bin" / "java"),
            f"-Xmx{_HEAP}",
            "-XX:+UseSerialGC",
            QUICK_START,
            f"-Dquarkus.config.locations={properties}",
            "-jar",
            str(installed.registry / "quarkus-run.jar"),
        ],
        folder=settings.home,
        address=settings.registry,
        ports={settings.registry_port: "schema registry", settings.registry_management_port: "registry management"},
        ready=lambda: f"{_subjects(settings)} subjects",
        files={properties: written.encode()},
    )


def address(settings: Settings) -> str:
    """Base URL of the Confluent API."""
    return settings.registry


def _subjects(settings: Settings) -> int:
    """How many subjects it knows; raises RequestException while it does not answer."""
    response = requests.get(f"{address(settings)}/subjects", timeout=3)
    response.raise_for_status()
    return len(response.json())
