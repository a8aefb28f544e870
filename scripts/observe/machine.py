"""The machine as it is: packages, disks, CA bundles, proxies and ports; for memory see scripts/stack/machine.py."""

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import requests
from cryptography import x509

from scripts.stack import preflight
from scripts.stack.engines import PORTS
from scripts.stack.settings import LOOPBACK, Settings

_BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
_PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY")
_PIP = 20  # seconds to say how it is configured


def packages() -> dict[str, str]:
    """Normalised name of each installed package -> its version."""
    return {normalised(found.name): found.version for found in importlib.metadata.distributions()}


def normalised(name: str) -> str:
    """The name of a package as it is compared."""
    return re.sub(r"[-_.]+", "-", name).lower()


@dataclass(frozen=True)
class Disk:
    """A folder of ours (variable: which setting moves it) and the file system that it is, or will be, on."""

    variable: str
    folder: Path
    there: Path
    is_folder: bool
    writable: bool
    device: int
    free: int


def read_disk(variable: str, folder: Path) -> Disk:
    """Raises OSError when the folder cannot be looked at."""
    there = preflight.existing(folder)
    return Disk(
        variable,
        folder,
        there,
        is_folder=there.is_dir(),
        writable=os.access(there, os.W_OK | os.X_OK),
        device=there.stat().st_dev,
        free=shutil.disk_usage(there).free,
    )


@dataclass(frozen=True)
class CaBundle:
    """A CA bundle that a setting names. certificates: how many it holds. fault: why it cannot be read, else empty."""

    setting: str
    path: str
    certificates: int
    fault: str


def read_bundles() -> list[CaBundle]:
    """What the environment and pip's configuration name."""
    named = {name: os.environ[name] for name in _BUNDLES if os.environ.get(name)}
    command = [sys.executable, "-m", "pip", "config", "list", "--disable-pip-version-check"]
    listed = subprocess.run(command, capture_output=True, text=True, timeout=_PIP, check=False).stdout
    for scope, value in re.findall(r"^(\S+)\.cert=(.+)$", listed, re.MULTILINE):
        setting = "PIP_CERT" if scope == ":env:" else f"pip's {scope}.cert"
        named[setting] = value.strip("'\"")
    return [_bundle(setting, path) for setting, path in named.items()]


def _bundle(setting: str, path: str) -> CaBundle:
    try:
        if os.path.isdir(path):  # as OpenSSL's tools and requests take it; NiFi's trust store is made from a file
            fault = "is a folder, but NiFi needs a file" if setting in ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE") else ""
            return CaBundle(setting, path, len(os.listdir(path)), fault)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # old roots in a bundle are the user's business
            return CaBundle(setting, path, len(x509.load_pem_x509_certificates(Path(path).read_bytes())), "")
    except OSError as error:
        return CaBundle(setting, path, 0, "does not exist" if isinstance(error, FileNotFoundError) else str(error))
    except ValueError:
        return CaBundle(setting, path, 0, "holds no certificate")


@dataclass(frozen=True)
class Proxies:
    """hosts: variable -> host and port of the proxy. loopback: whether a call of our own engines would go to one."""

    hosts: Mapping[str, str]
    loopback: bool


def read_proxies() -> Proxies:
    found = {name: os.environ.get(name) or os.environ.get(name.lower()) or "" for name in _PROXIES}
    # Without what a URL may hold of a user's password.
    hosts = {name: urlsplit(url).netloc.rpartition("@")[2] for name, url in found.items() if url}
    return Proxies(hosts, bool(requests.utils.get_environ_proxies(f"http://{LOOPBACK}/", no_proxy=None)))


@dataclass(frozen=True)
class PortUse:
    """A port that the stack uses, and who uses it. holder: who keeps it, in words, None when it is free.

    ours: it is this stack's. home: of the other stack that keeps it, else empty.
    """

    number: int
    variable: str
    holder: str | None
    ours: bool = False
    home: str = ""


def read_ports(settings: Settings) -> list[PortUse]:
    return [_port(settings.port(port), port.variable, settings) for port in PORTS]


def _port(number: int, variable: str, settings: Settings) -> PortUse:
    holder = preflight.holder(number)
    if holder is None:
        return PortUse(number, variable, None)
    try:
        process = psutil.Process(holder.pid) if holder.pid else None
        started_by = process.environ().get("PIPELINE_RUN", "") if process else ""
        command = process.cmdline() if process else []
    except psutil.Error:
        return PortUse(number, variable, holder.text)
    ours = started_by == str(settings.run) or {"scripts.commands", "canvas"} <= set(command)
    return PortUse(number, variable, holder.text, ours, str(Path(started_by).parent) if started_by and not ours else "")
