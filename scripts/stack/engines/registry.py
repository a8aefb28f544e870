"""The schema registry: Apicurio, used through its Confluent-compatible API."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from nifi_flows.errors import TerminalError, TransientError
from scripts.stack.credentials import Credentials
from scripts.stack.engine import QUICK_START, Configuration, Engine, Launch, Local
from scripts.stack.http import get_json
from scripts.stack.layout import Artifacts, Untarred
from scripts.stack.settings import LOOPBACK, Port, Settings

if TYPE_CHECKING:
    import requests

NAME = "registry"
PORT = Port("registry", 8081, "schema registry")
MANAGEMENT = Port("registry_management", 8082, "registry management")
PORTS = (PORT, MANAGEMENT)
ARTIFACTS = (
    Artifacts(
        "archive",
        ["io.apicurio:apicurio-registry-app:3.3.3:tar.gz:all"],
        Untarred("registry", expected="registry/quarkus-run.jar"),
        alone=True,
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
    return f"{len(subjects(settings, patience))} subjects"


def subjects(settings: Settings, patience: float = 3) -> list[str]:
    """The subjects that the registry knows. Raises as `http.get_json` does while it does not answer."""
    return list(get_json(f"{address(settings)}/subjects", patience))


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
    import requests

    try:
        return requests.post(f"{address(settings)}/{path}", json={"schema": schema}, timeout=20)
    except requests.RequestException as error:
        raise TransientError(
            f"the schema registry at {address(settings)} does not answer: {error}",
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
