"""NiFi, one node on HTTPS with mutual TLS, with its Python framework and the project's processors."""

import os
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from cryptography import x509
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption
from cryptography.hazmat.primitives.serialization.pkcs12 import PKCS12Certificate, serialize_java_truststore

from nifi_flows.errors import TerminalError
from scripts.stack.credentials import ADMIN_IDENTITY, Credentials
from scripts.stack.engine import QUICK_START, Engine
from scripts.stack.install import Installed
from scripts.stack.settings import LOOPBACK, Settings

HANGS = 120  # seconds after its start in which a NiFi that is well answers, also on a slow machine
_HEAP = "1g"
# Each Python processor is initialised in a virtual thread, which keeps its carrier thread while it waits for the lock
# of NiFi's Python gateway. By default there is a carrier a core, and where there are few the flow may wait for itself
# for ever while it is loaded: https://github.com/apache/nifi/pull/11002. They are started only when needed.
_CARRIERS = "-Djdk.virtualThreadScheduler.parallelism=64"
_TEMPLATES = Path(__file__).parent / "nifi_conf"


def define(settings: Settings, installed: Installed, credentials: Credentials) -> Engine:
    home = settings.data / "nifi"
    conf = settings.conf / "nifi"
    values = {
        "host": LOOPBACK,
        "port": settings.nifi_port,
        "home": home,
        "conf": conf,
        "lib": installed.nifi_lib,
        "python": sys.executable,
        "framework": installed.nifi_python_framework,
        "extensions": extensions(settings),
        "sensitive_key": credentials.nifi_sensitive_key,
        "ca": credentials.ca,
        "certificate": credentials.nifi_certificate,
        "key": credentials.nifi_key,
        "admin": ADMIN_IDENTITY,
    }
    files = {
        conf / template.name: template.read_text().format(**values).encode()
        for template in sorted(_TEMPLATES.iterdir())
    }
    trust = _trust(conf)
    return Engine(
        name="nifi",
        title="NiFi",
        command=[
            str(installed.jdk21 / "bin" / "java"),
            f"-Xms{_HEAP}",
            f"-Xmx{_HEAP}",
            "-XX:+UseG1GC",
            QUICK_START,
            _CARRIERS,
            *trust.options,
            f"-Dnifi.properties.file.path={conf}/nifi.properties",
            f"-Dorg.apache.nifi.management.server.address={LOOPBACK}:{settings.nifi_management_port}",
            "-Djava.awt.headless=true",
            "-cp",
            f"{conf}:{installed.nifi_lib}/*",
            "org.apache.nifi.NiFi",
        ],
        folder=home,
        address=f"https://{LOOPBACK}:{settings.nifi_port}/nifi",
        ports={settings.nifi_port: "NiFi", settings.nifi_management_port: "NiFi management"},
        ready=lambda: ready(settings, credentials),
        files={**files, **trust.files},
        patience=2 * HANGS,
        hangs=HANGS,
    )


def address(settings: Settings) -> str:
    """Base URL of the REST API."""
    return settings.nifi


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


def ready(settings: Settings, credentials: Credentials) -> str:
    """What NiFi says of itself; raises RequestException while it does not answer, or not for the flow."""
    _ask(settings, credentials, "process-groups/root")  # a flow that hangs leaves the rest of NiFi answering
    return f"version {_ask(settings, credentials, 'about')['about']['version']}"


def _ask(settings: Settings, credentials: Credentials, what: str) -> Any:
    certificate = (str(credentials.admin_certificate), str(credentials.admin_key))
    response = requests.get(f"{settings.nifi}/flow/{what}", cert=certificate, verify=str(credentials.ca), timeout=5)
    response.raise_for_status()
    return response.json()
