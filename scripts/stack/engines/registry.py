"""The schema registry: Apicurio, used through its Confluent-compatible API."""

import requests

from nifi_flows.errors import TerminalError, TransientError
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
    conf = settings.conf / "registry"
    conf.mkdir(parents=True, exist_ok=True)
    properties = conf / "application.properties"
    properties.write_text(
        _PROPERTIES.format(
            host=LOOPBACK,
            port=settings.registry_port,
            management=settings.registry_management_port,
            data=settings.data / "registry",
        )
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
        ready=lambda: _ready(settings),
    )


def _ready(settings: Settings) -> str:
    response = requests.get(f"{settings.registry}/subjects", timeout=3)
    response.raise_for_status()
    return f"{len(response.json())} subjects"


def register(settings: Settings, subject: str, schema: str) -> int:
    """Register an Avro schema under a subject and return its id; a schema that is there keeps its id.

    Raises TerminalError when the registry refuses the schema (incompatible: 409, invalid: 422).
    """
    try:
        response = requests.post(
            f"{settings.registry}/subjects/{subject}/versions", json={"schema": schema}, timeout=20
        )
    except requests.RequestException as error:
        raise TransientError(
            f"the schema registry at {settings.registry} does not answer: {error}",
            "see ./scripts/pipeline logs registry",
        ) from error
    if response.status_code in (409, 422):
        raise TerminalError(
            f"the schema registry refuses the schema of {subject}: {response.json().get('message', response.text)}",
            "make the change backward compatible: new fields need a default, a type may only widen",
        )
    if not response.ok:
        raise TransientError(
            f"the schema registry answered {response.status_code} for {subject}: {response.text[:200]}",
            "see ./scripts/pipeline logs registry",
        )
    return int(response.json()["id"])
