"""Enter the project's own Python environment, making it first where it is missing or stale.

Runs on whatever python3 the machine has, so it uses the standard library alone and no syntax newer than 3.6.

Each state of requirements.lock has an environment of its own in .venvs, and .venv is a link to that of the last one
that was made: what runs keeps the environment it was started in, whatever becomes of the lock.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from typing import Dict, List, NoReturn, Optional, Sequence, Set

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENVS = os.path.join(ROOT, ".venvs")
VENV = os.path.join(ROOT, ".venv")  # a link; where the environments were made themselves before there were several
PYTHON = os.path.join(VENV, "bin", "python")
LOCK = os.path.join(ROOT, "requirements.lock")
WANTED = (3, 11)  # what NiFi 2.3 (3.10 to 3.12) and PySpark 3.5 (up to 3.11) both run on, and what is tested
# Commands that look or stop: they come first when something is wrong, and so take an environment of before.
_AS_IT_IS = ("down", "status", "doctor", "logs")


def enter(*arguments: str) -> None:
    """Replace this process by `python -m scripts.commands ARGUMENTS` inside the environment."""
    _require_python()
    lock = _open_lock()
    try:
        folder = _environment(arguments[0] if arguments else "", lock)
        python = _python(folder)
        environment = dict(os.environ, PYTHONPATH=ROOT)
        # Ends the lock, too: from here on the command line tells that the environment is in use.
        os.execve(python, [python, "-m", "scripts.commands"] + list(arguments), environment)
    except KeyboardInterrupt:
        _fail("stopped while the Python environment was being made", "run the same command again", code=130)
    finally:
        os.close(lock)


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


def _environment(command: str, lock: int) -> str:
    """The folder of the environment to run in, made if need be. It is not removed while the lock is held."""
    fingerprint = _fingerprint()
    folder = _folder(fingerprint)
    held = _try_shared(lock)
    if _complete(folder, fingerprint):
        if held:  # else another lock's is being made, which need not keep us
            _link(folder)
        return folder
    earlier = os.path.realpath(VENV)
    if command in _AS_IT_IS and os.path.exists(_stamp(earlier)) and os.access(_python(earlier), os.X_OK):
        sys.stderr.write(
            "this requirements.lock has no Python environment yet: using the earlier one; ./scripts/run makes its own\n"
        )
        return earlier
    _wait_exclusive(lock)
    if not _complete(folder, fingerprint):
        _make(folder, fingerprint)
        _link(folder)
        _prune(folder)
    return folder


def _open_lock() -> int:
    try:
        os.makedirs(VENVS, exist_ok=True)
        return os.open(os.path.join(VENVS, "lock"), os.O_RDONLY | os.O_CREAT, 0o666)
    except OSError as error:
        _fail("the Python environment could not be made: %s" % error, "make the project's folder writable")


def _try_shared(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return True
    except OSError:
        return False


def _wait_exclusive(lock: int) -> None:
    fcntl.flock(lock, fcntl.LOCK_UN)  # two that hold it shared would wait for each other
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        sys.stderr.write("Waiting for another command that makes or enters a Python environment\n")
        fcntl.flock(lock, fcntl.LOCK_EX)


def _fingerprint() -> str:
    with open(LOCK, "rb") as lock:
        return hashlib.sha256(lock.read() + sys.version.encode() + VENVS.encode()).hexdigest()


def _folder(fingerprint: str) -> str:
    return os.path.join(VENVS, fingerprint[:16])


def _python(folder: str) -> str:
    return os.path.join(folder, "bin", "python")


def _stamp(folder: str) -> str:
    return os.path.join(folder, "complete")


def _complete(folder: str, fingerprint: str) -> bool:
    try:
        with open(_stamp(folder)) as stamp:
            return stamp.read() == fingerprint
    except OSError:
        return False


def _make(folder: str, fingerprint: str) -> None:
    """Make one from requirements.lock: pip fetches uv, uv installs the rest in parallel from its own cache."""
    sys.stderr.write("Making the Python environment in .venv from requirements.lock\n")
    _remove(folder)
    python = _python(folder)
    _step([sys.executable, "-m", "venv", folder], "install Python's venv module (Debian: python3.11-venv)")
    installer = os.path.join(folder, "installer.lock")
    with open(LOCK) as lock, open(installer, "w") as only_uv:
        only_uv.write(_requirement(lock.read(), "uv"))
    network = "check the network, the proxy and pip's configuration (index-url, cert), then run the same command again"
    pip = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    _step(pip + ["--no-deps", "--require-hashes", "-r", installer], network)
    uv = [os.path.join(folder, "bin", "uv"), "pip", "sync", "--require-hashes", "--python", python, LOCK]
    _step(uv, network, environment=_uv_environment(python))
    if _fingerprint() != fingerprint:
        _fail("requirements.lock changed while the Python environment was being made", "run the same command again")
    os.sync()  # or, after a loss of power, the stamp might be there and what it vouches for not
    with open(_stamp(folder), "w") as stamp:
        stamp.write(fingerprint)


def _link(folder: str) -> None:
    """Make .venv a link to it, in one step. An environment in the link's place stays while it is in use."""
    if os.path.realpath(VENV) == os.path.realpath(folder):
        return
    try:
        if os.path.isdir(VENV) and not os.path.islink(VENV):
            if _used([VENV]):
                return
            aside = os.path.join(VENVS, "replaced-%d" % os.getpid())
            os.rename(VENV, aside)
            _remove(aside)
        link = os.path.join(VENVS, "link-%d" % os.getpid())
        os.symlink(os.path.relpath(folder, os.path.dirname(VENV)), link)
        os.replace(link, VENV)
    except OSError as error:  # the environment itself can be run in all the same
        sys.stderr.write("warning: .venv stays as it is: %s\n" % error)


def _prune(folder: str) -> None:
    """Remove the environments of other locks, and what was left half-made, unless a process runs in them."""
    keep = (os.path.basename(folder), "lock")
    others = [os.path.join(VENVS, name) for name in os.listdir(VENVS) if name not in keep]
    for other in set(others) - _used(others):
        _remove(other)


def _remove(path: str) -> None:
    """The stamp first: whoever is stopped here must not leave one that looks complete."""
    for file in (_stamp(path), path):
        if os.path.islink(file) or os.path.isfile(file):
            os.unlink(file)
    shutil.rmtree(path, ignore_errors=True)


def _used(folders: Sequence[str]) -> Set[str]:
    """Those that another process was started from, was told of or has files of in its memory, as far as one may see."""
    try:
        processes = [name for name in os.listdir("/proc") if name.isdigit() and name != str(os.getpid())]
    except OSError:
        return set(folders)  # there is no telling
    marks = {folder: os.fsencode(os.path.join(folder, "")) for folder in folders}
    found = set()  # type: Set[str]
    for process in processes:
        for name in ("cmdline", "environ", "maps"):
            try:
                with open(os.path.join("/proc", process, name), "rb") as file:
                    text = file.read()
            except OSError:  # it has ended, or is another user's
                continue
            found.update(folder for folder, mark in marks.items() if mark in text)
    return found


def _requirement(lock: str, name: str) -> str:
    """The lines of one package in a lock file: its pin and its hashes."""
    lines, inside = [], False
    for line in lock.splitlines():
        inside = line.startswith(name + "==") or (inside and line.startswith("    --hash"))
        if inside:
            lines.append(line)
    return "\n".join(lines) + "\n"


def _uv_environment(python: str) -> Dict[str, str]:
    """uv reads no pip configuration: hand it the user's mirrors and CA bundle, unless uv has its own."""
    environment = dict(os.environ, UV_CACHE_DIR=os.path.join(cache_folder(), "uv"), UV_NO_CONFIG="1")
    listed = subprocess.run([python, "-m", "pip", "config", "list"], stdout=subprocess.PIPE, check=False)
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
