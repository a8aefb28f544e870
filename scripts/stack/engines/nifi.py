"""NiFi, one node on HTTPS with mutual TLS, with its Python framework and the project's processors."""

from __future__ import annotations

import os
import sys
import warnings
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from nifi_flows.errors import TerminalError
from scripts.stack.credentials import ADMIN_IDENTITY, Credentials
from scripts.stack.engine import Configuration, Engine, Launch, Local, required
from scripts.stack.http import Deadline
from scripts.stack.layout import Artifacts, Installed, Linked, Unzipped
from scripts.stack.lock import Artifact
from scripts.stack.settings import LOOPBACK, Port, Settings

NAME = "nifi"
PORT = Port("nifi", 8443, "NiFi")
MANAGEMENT = Port("nifi_management", 8444, "NiFi management")
CANVAS = Port("canvas", 8445, "NiFi canvas")  # of the proxy before it, which is not started with it
PORTS = (PORT, MANAGEMENT, CANVAS)

HANGS = 120  # seconds after its start in which a NiFi that is well answers, also on a slow machine
_HEAP = "1g"
# Each Python processor is initialised in a virtual thread, which keeps its carrier thread while it waits for the lock
# of NiFi's Python gateway. By default there is a carrier a core, and where there are few the flow may wait for itself
# for ever while it is loaded: https://github.com/apache/nifi/pull/11002. They are started only when needed.
_CARRIERS = "-Djdk.virtualThreadScheduler.parallelism=64"
# Once a Python process has died, NiFi loads its code anew in a thread that is started from the common pool. With two
# cores Java has no such pool and takes a thread without a class loader instead, in which py4j finds none of NiFi's
# classes: the processor would never run again. (CompletableFuture: "if this does not support parallelism")
_POOL = "-Djava.util.concurrent.ForkJoinPool.common.parallelism=2"
_TEMPLATES = Path(__file__).parent / "nifi_conf"

_FRAMEWORK = "nifi-python/framework"
_API = "nifi-python/api"  # of the package nifiapi; NiFi looks for it beside the framework, under this name
_VERSION = "2.3.0"
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the oldest time that a zip can hold: the same bytes at every packing
_MANIFEST = """\
Manifest-Version: 1.0\r
Nar-Id: nifi-standard-nar\r
Nar-Group: org.apache.nifi\r
Nar-Version: {version}\r
Nar-Dependency-Group: org.apache.nifi\r
Nar-Dependency-Id: nifi-standard-shared-nar\r
Nar-Dependency-Version: {version}\r
Clone-During-Instance-Class-Loading: false\r
\r
"""
# The NARs whose classes nifi-standard-nar sees as its parents'.
_PARENTS = ("nifi-standard-shared-nar", "nifi-standard-services-api-nar")


@dataclass(frozen=True)
class _StandardNar:
    """nifi-standard-nar, which nobody serves, packed out of its parts: a NAR is a zip of jars with a manifest."""

    folder: str

    def lay_out(self, files: Sequence[Path], root: Path) -> None:
        version = _standard_version(file.name for file in files)
        with zipfile.ZipFile(root / self._path(version), "w", zipfile.ZIP_STORED) as nar:
            # NiFi unpacks entry by entry and makes a folder only where the zip names it.
            for name in ("META-INF/", "META-INF/bundled-dependencies/"):
                nar.writestr(zipfile.ZipInfo(name, _EPOCH), b"")
            nar.writestr(zipfile.ZipInfo("META-INF/MANIFEST.MF", _EPOCH), _MANIFEST.format(version=version))
            for file in sorted(files, key=lambda file: file.name):
                entry = zipfile.ZipInfo(f"META-INF/bundled-dependencies/{file.name}", _EPOCH)
                nar.writestr(entry, file.read_bytes())

    def contents(self, artifacts: Sequence[Artifact]) -> Mapping[str, int | None]:
        return {self._path(_standard_version(artifact.name for artifact in artifacts)): None}

    def _path(self, version: str) -> str:
        return f"{self.folder}/nifi-standard-nar-{version}.nar"


def _standard_version(names: Iterable[str]) -> str:
    prefix = "nifi-standard-processors-"
    return next(name for name in names if name.startswith(prefix)).removeprefix(prefix).removesuffix(".jar")


def _provided(resolved: Mapping[str, Sequence[Path]]) -> set[str]:
    """What nifi-standard-nar finds in its parents: a class in both would be loaded from the parent anyway."""
    provided = {file.name for file in resolved["lib"]}
    for nar in resolved["nar"]:
        if nar.name.startswith(_PARENTS):
            with zipfile.ZipFile(nar) as opened:
                bundled = (name for name in opened.namelist() if "/bundled-dependencies/" in name)
                provided.update(PurePosixPath(name).name for name in bundled)
    return provided


def _nifi(*names: str, more: str = "") -> list[str]:
    """Coordinates of NiFi's own artifacts."""
    return [f"org.apache.nifi:{name}:{_VERSION}{more}" for name in names]


ARTIFACTS = (
    Artifacts(
        "lib",
        [
            *_nifi("nifi-runtime"),
            "org.apache.nifi:nifi-api:2.0.0",
            *_nifi(
                "nifi-framework-api",
                "nifi-server-api",
                "nifi-python-framework-api",
                "nifi-stateless-api",
                "nifi-nar-utils",
                "nifi-framework-nar-utils",
            ),
            "ch.qos.logback:logback-classic:1.5.16",
            *(f"org.slf4j:{name}:2.0.16" for name in ("jul-to-slf4j", "jcl-over-slf4j", "log4j-over-slf4j")),
        ],
        Linked("nifi"),
    ),
    Artifacts(
        "nar",
        _nifi(
            "nifi-server-nar",
            "nifi-framework-nar",
            "nifi-jetty-nar",
            "nifi-provenance-repository-nar",
            "nifi-py4j-nar",
            "nifi-record-serialization-services-nar",
            "nifi-ssl-context-service-nar",
            "nifi-standard-services-api-nar",
            "nifi-standard-shared-nar",
            more=":nar",
        ),
        Linked("nifi"),
        transitive=False,
    ),
    Artifacts(
        "python",
        _nifi("nifi-python-framework", "nifi-python-extension-api", more=":jar"),
        Unzipped({"framework/": _FRAMEWORK, "nifiapi/": f"{_API}/nifiapi"}, expected=[_FRAMEWORK, _API]),
        transitive=False,
    ),
    Artifacts(
        "standard-nar",
        _nifi("nifi-standard-processors", "nifi-update-attribute-processor"),
        _StandardNar("nifi"),
        managed_by=f"org.apache.nifi:nifi:{_VERSION}",
        left_out=_provided,
    ),
)


def address(settings: Settings) -> str:
    """Base URL of the REST API."""
    return f"https://{LOOPBACK}:{settings.port(PORT)}/nifi-api"


def describe(settings: Settings) -> list[Engine]:
    return [
        Engine(
            name="nifi",
            title="NiFi",
            address=f"https://{LOOPBACK}:{settings.port(PORT)}/nifi",
            ports={settings.port(port): port.purpose for port in (PORT, MANAGEMENT)},
            ask=partial(ask, settings),
            patience=2 * HANGS,
            hangs=HANGS,
        )
    ]


def configure(local: Local) -> Configuration:
    """Raises TerminalError when the user's CA bundle cannot be read."""
    settings, credentials = local.settings, local.credentials
    home, conf, lib = settings.data / "nifi", settings.conf / "nifi", local.installed.folder("nifi")
    values = {
        "host": LOOPBACK,
        "port": settings.port(PORT),
        "home": home,
        "conf": conf,
        "lib": lib,
        "python": sys.executable,
        "framework": local.installed.folder(_FRAMEWORK),
        "extensions": extensions(settings),
        "sensitive_key": credentials.nifi_sensitive_key,
        "ca": credentials.ca,
        "certificate": credentials.nifi_certificate,
        "key": credentials.nifi_key,
        "admin": ADMIN_IDENTITY,
        "durable": str(settings.durable).lower(),
    }
    files = {
        conf / template.name: template.read_text().format(**values).encode()
        for template in sorted(_TEMPLATES.iterdir())
    }
    trust = _trust(conf)
    launch = Launch(
        command=[
            str(local.installed.jdk21 / "bin" / "java"),
            f"-Xms{_HEAP}",
            f"-Xmx{_HEAP}",
            "-XX:+UseG1GC",
            _CARRIERS,
            _POOL,
            *trust.options,
            f"-Dnifi.properties.file.path={conf}/nifi.properties",
            f"-Dorg.apache.nifi.management.server.address={LOOPBACK}:{settings.port(MANAGEMENT)}",
            "-Djava.awt.headless=true",
            "-cp",
            f"{conf}:{lib}/*",
            "org.apache.nifi.NiFi",
        ],
        folder=home,
        environment=settings.durability,
    )
    return Configuration({"nifi": launch}, {**files, **trust.files})


def ask(settings: Settings, credentials: Credentials | None, patience: float) -> str:
    """What NiFi says of itself. Raises as `http.get_json` does while it does not answer, or not for the flow."""
    deadline, own = Deadline(patience), required(credentials)
    login = {"cert": (str(own.admin_certificate), str(own.admin_key)), "verify": str(own.ca)}

    def get(what: str) -> Any:
        return deadline.get_json(f"{address(settings)}/flow/{what}", **login)

    get("process-groups/root")  # a flow that hangs leaves the rest of NiFi answering
    return f"version {get('about')['about']['version']}"


def python_api(installed: Installed) -> Path:
    """The folder that holds the package nifiapi."""
    return installed.folder(_API)


def extensions(settings: Settings) -> Path:
    """The folder from which NiFi loads the project's Python processors."""
    return settings.home / "nifi_extensions"


@dataclass(frozen=True)
class _Trust:
    """options: of the JVM. files: path -> content of the trust store that they name."""

    options: list[str]
    files: dict[Path, bytes]


def _trust(conf: Path) -> _Trust:
    """Java reads no PEM bundle: turn the user's CA bundle, if there is one, into a trust store for InvokeHTTP."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import BestAvailableEncryption
    from cryptography.hazmat.primitives.serialization.pkcs12 import PKCS12Certificate, serialize_java_truststore

    bundle = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("SSL_CERT_FILE")
    if not bundle:
        return _Trust([], {})
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # old roots in a bundle are the user's business
            certificates = x509.load_pem_x509_certificates(Path(bundle).read_bytes())
    except (OSError, ValueError) as error:
        raise TerminalError(
            f"the CA bundle {bundle} cannot be read: {error}", "correct REQUESTS_CA_BUNDLE or SSL_CERT_FILE"
        ) from error
    store = conf / "trust.p12"
    # A trust store holds nothing secret; Java merely insists on a password.
    password = "changeit"
    named = [PKCS12Certificate(certificate, str(n).encode()) for n, certificate in enumerate(certificates)]
    options = [
        f"-Djavax.net.ssl.trustStore={store}",
        f"-Djavax.net.ssl.trustStorePassword={password}",
        "-Djavax.net.ssl.trustStoreType=PKCS12",
    ]
    return _Trust(options, {store: serialize_java_truststore(named, BestAvailableEncryption(password.encode()))})
