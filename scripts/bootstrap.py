"""Enter the project's own Python environment, making it first where it is missing or stale.

Runs on whatever python3 the machine has, so it uses the standard library alone and no syntax newer than 3.6.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from typing import Dict, List, NoReturn, Optional

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.path.join(ROOT, ".venv")
PYTHON = os.path.join(VENV, "bin", "python")
LOCK = os.path.join(ROOT, "requirements.lock")
STAMP = os.path.join(VENV, "complete")
WANTED = (3, 11)  # what NiFi 2.3 (3.10 to 3.12) and PySpark 3.5 (up to 3.11) both run on, and what is tested


def enter(*arguments: str) -> None:
    """Replace this process by `python -m scripts.commands ARGUMENTS` inside the environment."""
    _require_python()
    try:
        if not _complete():
            _make()
    except KeyboardInterrupt:
        _fail("stopped while the Python environment was being made", "run the same command again", code=130)
    environment = dict(os.environ, PYTHONPATH=ROOT)
    os.execve(PYTHON, [PYTHON, "-m", "scripts.commands"] + list(arguments), environment)


def cache_folder() -> str:
    """The folder that survives a fresh clone: PIPELINE_CACHE, or one under the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.environ.get("PIPELINE_CACHE") or os.path.join(base, "nifi-users-pipeline")


def _require_python() -> None:
    if sys.version_info[:2] == WANTED:
        return
    right = shutil.which("python%d.%d" % WANTED)
    if right:
        os.execv(right, [right] + sys.argv)
    _fail(
        "Python %d.%d is needed, this is Python %d.%d" % (WANTED + tuple(sys.version_info[:2])),
        "install python%d.%d and put it on the PATH" % WANTED,
    )


def _fingerprint() -> str:
    with open(LOCK, "rb") as lock:
        return hashlib.sha256(lock.read() + sys.version.encode() + VENV.encode()).hexdigest()


def _complete() -> bool:
    try:
        with open(STAMP) as stamp:
            return stamp.read() == _fingerprint()
    except OSError:
        return False


def _make() -> None:
    """Make .venv from requirements.lock: pip fetches uv, uv installs the rest in parallel from its own cache."""
    sys.stderr.write("Making the Python environment in .venv from requirements.lock\n")
    shutil.rmtree(VENV, ignore_errors=True)
    _step([sys.executable, "-m", "venv", VENV], "install Python's venv module (Debian: python3.11-venv)")
    installer = os.path.join(VENV, "installer.lock")
    with open(LOCK) as lock, open(installer, "w") as only_uv:
        only_uv.write(_requirement(lock.read(), "uv"))
    network = "check the network, the proxy and pip's configuration (index-url, cert), then run the same command again"
    pip = [PYTHON, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    _step(pip + ["--no-deps", "--require-hashes", "-r", installer], network)
    uv = [os.path.join(VENV, "bin", "uv"), "pip", "sync", "--require-hashes", "--python", PYTHON, LOCK]
    _step(uv, network, environment=_uv_environment())
    with open(STAMP, "w") as stamp:
        stamp.write(_fingerprint())


def _requirement(lock: str, name: str) -> str:
    """The lines of one package in a lock file: its pin and its hashes."""
    lines, inside = [], False
    for line in lock.splitlines():
        inside = line.startswith(name + "==") or (inside and line.startswith("    --hash"))
        if inside:
            lines.append(line)
    return "\n".join(lines) + "\n"


def _uv_environment() -> Dict[str, str]:
    """uv reads no pip configuration: hand it the user's mirrors and CA bundle, unless uv has its own."""
    environment = dict(os.environ, UV_CACHE_DIR=os.path.join(cache_folder(), "uv"), UV_NO_CONFIG="1")
    listed = subprocess.run([PYTHON, "-m", "pip", "config", "list"], stdout=subprocess.PIPE, check=False)
    found = {}
    lines = [line.partition("=") for line in listed.stdout.decode().splitlines()]
    for wanted in ("global", "install", ":env:"):  # the later one wins, as in pip
        for key, _, value in lines:
            scope, _, option = key.rpartition(".")
            if scope == wanted:
                found[option] = value.strip("'\"").replace("\\n", " ").split()
    bundle = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
    links = [link for link in found.get("find-links", []) if "://" in link or os.path.isdir(link)]
    for name, values, separator in (
        ("UV_DEFAULT_INDEX", found.get("index-url"), " "),
        ("UV_INDEX", found.get("extra-index-url"), " "),
        ("UV_FIND_LINKS", links, ","),
        ("SSL_CERT_FILE", found.get("cert") or (bundle and [bundle]), " "),
    ):
        if values:
            environment.setdefault(name, separator.join(values))
    return environment


def _step(command: List[str], remedy: str, environment: Optional[Dict[str, str]] = None) -> None:
    try:
        code = subprocess.run(command, env=environment, check=False).returncode
    except OSError as error:
        _fail("%s: %s" % (command[0], error), remedy)
    if code:
        _fail("the Python environment could not be made (%s failed)" % os.path.basename(command[0]), remedy)


def _fail(message: str, remedy: str, code: int = 1) -> NoReturn:
    sys.stderr.write("error: %s\n  next: %s\n" % (message, remedy))
    sys.exit(code)
