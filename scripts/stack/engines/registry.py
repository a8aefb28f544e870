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
        ready=lambda: f"{len(subjects(settings))} subjects",
        files={properties: written.encode()},
    )


def address(settings: Settings) -> str:
    """Base URL of the Confluent API."""
    return settings.registry


def subjects(settings: Settings) -> list[str]:
    """The subjects that the registry knows; raises RequestException while it does not answer."""
    response = requests.get(f"{settings.registry}/subjects", timeout=3)
    response.raise_for_status()
    return list(response.json())


def registered(settings: Settings, subject: str, schema: str) -> bool:
    """Whether a subject has exactly this schema. Raises TransientError when the registry does not answer."""
    response = _post(settings, f"subjects/{subject}", schema)
    if response.status_code == 404:
        return False
    _refuse(settings, subject, response)
    return True


def check_compatible(settings: Settings, subject: str, schema: str) -> None:
    """Raises TerminalError when the registry would refuse the schema: incompatible, or none at all."""
    response = _post(settings, f"compatibility/subjects/{subject}/versions/latest?verbose=true", schema)
    if response.status_code == 404:  # the subject is new
        return
    _refuse(settings, subject, response)
    answer = response.json()
    if not answer.get("is_compatible"):
        raise _incompatible(subject, "; ".join(answer.get("messages") or ["it is not backward compatible"]))


def register(settings: Settings, subject: str, schema: str) -> int:
    """Register an Avro schema under a subject and return its id; a schema that is there keeps its id.

    Raises TerminalError when the registry refuses the schema (incompatible: 409, invalid: 422).
    """
    response = _post(settings, f"subjects/{subject}/versions", schema)
    _refuse(settings, subject, response)
    return int(response.json()["id"])


def _post(settings: Settings, path: str, schema: str) -> requests.Response:
    try:
        return requests.post(f"{settings.registry}/{path}", json={"schema": schema}, timeout=20)
    except requests.RequestException as error:
        raise TransientError(
            f"the schema registry at {settings.registry} does not answer: {error}",
            "see ./scripts/pipeline logs registry",
        ) from error


def _refuse(settings: Settings, subject: str, response: requests.Response) -> None:
    if response.status_code in (409, 422):
        raise _incompatible(subject, response.json().get("message", response.text))
    if not response.ok:
        raise TransientError(
            f"the schema registry answered {response.status_code} for {subject}: {response.text[:200]}",
            "see ./scripts/pipeline logs registry",
        )


def _incompatible(subject: str, why: str) -> TerminalError:
    return TerminalError(
        f"the schema registry refuses the schema of {subject}: {why}",
        "make the change backward compatible: new fields need a default, a type may only widen",
    )
