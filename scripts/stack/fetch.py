"""Fetch the locked files into the cache: in parallel, resumable, every byte verified.

CACHE/files/SHA256/NAME is a whole and verified file; NAME.part beside it is one under way.
"""

import errno
import fcntl
import hashlib
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

import requests
import urllib3
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from tenacity import RetryCallState, Retrying, retry_if_exception_type, wait_exponential_jitter
from tenacity.nap import sleep_using_event

from nifi_flows.errors import PipelineError, TerminalError, TransientError
from scripts.stack.lock import Artifact

_THREADS = 8
_CHUNK = 64 * 1024  # bytes
_TIMEOUT = (10, 30)  # seconds to connect, and between two chunks
_ATTEMPTS = 5  # in a row that bring nothing; one that brings bytes starts the count anew
_LONGEST_PAUSE = 60.0  # seconds, whatever the server asks for
_AGAIN = "run the same command again: it goes on where it stopped"
_NETWORK = f"check the network, the proxy (HTTPS_PROXY) and the mirror (PIPELINE_MAVEN), then {_AGAIN}"


def place(cache: Path, artifact: Artifact) -> Path:
    """Where the whole file is, or will be."""
    return cache / "files" / artifact.sha256 / artifact.name


def missing(artifacts: Sequence[Artifact], cache: Path) -> list[Artifact]:
    """The artifacts whose files are not in the cache, each file once, the largest first."""
    wanted = {place(cache, artifact): artifact for artifact in artifacts}
    absent = [artifact for path, artifact in wanted.items() if not _whole(path, artifact)]
    return sorted(absent, key=lambda artifact: -artifact.size)


@dataclass(frozen=True)
class Differences:
    """Files of the lock against the cache. wrong: of another size or content. unread: left out, for want of time."""

    missing: list[Path]
    wrong: list[Path]
    unread: list[Path]


def differences(artifacts: Sequence[Artifact], cache: Path, until: float) -> Differences:
    """Compare sizes always, and checksums until `until` (of time.monotonic). Changes nothing."""
    found = Differences([], [], [])
    for path, artifact in {place(cache, artifact): artifact for artifact in artifacts}.items():
        if not path.exists():
            found.missing.append(path)
        elif not _whole(path, artifact):
            found.wrong.append(path)
        elif time.monotonic() > until:
            found.unread.append(path)
        else:
            with open(path, "rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != artifact.sha256:
                    found.wrong.append(path)
    return found


def fetch(artifacts: Sequence[Artifact], cache: Path, maven: str) -> None:
    """Bring every artifact into the cache; `maven` is the base URL of a Maven repository.

    Wheels come by pip, so that the user's configuration of pip holds. Raises TransientError when the network fails,
    TerminalError when a file is not there, is not the locked one, or finds no room. What has arrived stays.
    """
    wanted = missing(artifacts, cache)
    if not wanted:
        return
    try:
        (cache / "files").mkdir(parents=True, exist_ok=True)
        _require_room(wanted, cache)
        _Fetching(wanted, cache, maven.rstrip("/")).run()
    except OSError as error:
        raise _unwritable(error, cache) from error


class _Interrupted(Exception):
    """Raised in a thread that has to end because another failed or the user gave up."""


class _Fault(TransientError):
    """A fault that another attempt may not meet. progress: bytes had come; pause: seconds that the server asks for."""

    def __init__(self, message: str, *, progress: bool = False, pause: float = 0.0) -> None:
        super().__init__(message, _NETWORK)
        self.progress = progress
        self.pause = pause


class _Fetching:
    """One run over the wanted files: threads that fetch, while the calling thread shows how far they are."""

    def __init__(self, wanted: Sequence[Artifact], cache: Path, maven: str) -> None:
        self._cache = cache
        self._maven = maven
        self._trust = _trust()
        self._total = sum(artifact.size for artifact in wanted)
        self._have: dict[Artifact, int] = {}
        self._waiting: queue.SimpleQueue[Artifact] = queue.SimpleQueue()
        for artifact in wanted:
            self._waiting.put(artifact)
        self._stop = threading.Event()
        self._failure: BaseException | None = None

    def run(self) -> None:
        # Daemons: one that waits for a silent server must not keep the user who pressed Ctrl-C waiting too.
        threads = [threading.Thread(target=self._work, daemon=True) for _ in range(_THREADS)]
        try:
            with _display(self._total) as show:
                for thread in threads:
                    thread.start()
                while any(thread.is_alive() for thread in threads) and not self._failure:
                    show(sum(self._have.copy().values()))
                    self._stop.wait(0.2)
                show(sum(self._have.copy().values()))
        finally:
            self._stop.set()
            deadline = time.monotonic() + 2
            for thread in threads:
                if thread.ident is not None:
                    thread.join(max(0.0, deadline - time.monotonic()))
        if self._failure:
            raise self._failure

    def _work(self) -> None:
        with requests.Session() as session:
            while not self._stop.is_set():
                try:
                    artifact = self._waiting.get_nowait()
                except queue.Empty:
                    return
                try:
                    self._fetch(session, artifact)
                except _Interrupted:
                    return
                except BaseException as error:  # noqa: BLE001  the calling thread raises it
                    self._failure = self._failure or error
                    self._stop.set()

    def _fetch(self, session: requests.Session, artifact: Artifact) -> None:
        target = place(self._cache, artifact)
        target.parent.mkdir(exist_ok=True)
        with _alone(target, self._stop) as part:
            if _whole(target, artifact):  # another process has fetched it meanwhile
                pass
            elif artifact.requirement:
                _download_wheel(artifact, target, self._stop)
            else:
                for attempt in _attempts(self._stop):
                    with attempt:
                        self._download(session, artifact, part)
                os.replace(part.name, target)
            self._have[artifact] = artifact.size
        target.with_name(f"{target.name}.part").unlink(missing_ok=True)

    def _download(self, session: requests.Session, artifact: Artifact, part: BinaryIO) -> None:
        """Append to `part` what it lacks, and check the whole. Raises _Fault or TerminalError."""
        if self._stop.is_set():
            raise _Interrupted
        url = f"{self._maven}/{artifact.path}"
        digest, resumed = _digest(part, artifact)
        have = resumed
        if have < artifact.size:
            headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={have}-"} if have else {})}
            try:
                with session.get(url, headers=headers, stream=True, timeout=_TIMEOUT, verify=self._trust) as response:
                    _require_ok(response, artifact, url)
                    if have and not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
                        part.truncate(0)
                        digest, have, resumed = hashlib.sha256(), 0, 0
                    # The raw stream: a server may declare a .tar.gz to be a gzip-encoded .tar.
                    for chunk in response.raw.stream(_CHUNK, decode_content=False):
                        if self._stop.is_set():
                            raise _Interrupted
                        part.write(chunk)
                        digest.update(chunk)
                        have += len(chunk)
                        self._have[artifact] = have
                        if have > artifact.size:
                            break
            except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
                raise _network_error(error, artifact, url, progress=have > resumed) from error
            finally:
                part.flush()
        if have < artifact.size:
            raise _Fault(
                f"{_host(url)} ended {artifact.name} after {have} of {artifact.size} bytes", progress=have > resumed
            )
        if digest.hexdigest() != artifact.sha256:
            part.truncate(0)
            if resumed:
                raise _Fault(f"what was left of {artifact.name} did not fit the rest from {_host(url)}")
            os.unlink(part.name)
            raise TerminalError(
                f"{artifact.name} from {_without_credentials(url)} is not the locked file: its checksum differs",
                "take another repository (PIPELINE_MAVEN), or find out what changes the file on its way",
            )


def _whole(path: Path, artifact: Artifact) -> bool:
    try:
        return path.stat().st_size == artifact.size
    except OSError:
        return False


def _digest(part: BinaryIO, artifact: Artifact) -> "tuple[hashlib._Hash, int]":
    """The running checksum and the length of what an earlier attempt left; too long a rest is thrown away."""
    if part.seek(0, os.SEEK_END) > artifact.size:
        part.truncate(0)
    part.seek(0)
    digest = hashlib.sha256()
    while chunk := part.read(_CHUNK):
        digest.update(chunk)
    return digest, part.tell()


@contextmanager
def _alone(target: Path, stop: threading.Event) -> Iterator[BinaryIO]:
    """Open target's .part file for appending, and keep other processes from it."""
    path = target.with_name(f"{target.name}.part")
    while True:
        with open(path, "a+b") as part:
            while not _locked(part):
                if stop.wait(0.2):
                    raise _Interrupted
            # Whoever held the lock may have renamed or removed the file that was opened: then open the new one.
            if path.exists() and os.path.samestat(os.fstat(part.fileno()), path.stat()):
                yield part
                return


def _locked(file: BinaryIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _attempts(stop: threading.Event) -> Retrying:
    backoff = wait_exponential_jitter(initial=0.5, max=8)
    fruitless = 0

    def fault(state: RetryCallState) -> _Fault:
        found = state.outcome.exception() if state.outcome else None
        assert isinstance(found, _Fault)
        return found

    def give_up(state: RetryCallState) -> bool:
        nonlocal fruitless
        fruitless = 0 if fault(state).progress else fruitless + 1
        return stop.is_set() or fruitless >= _ATTEMPTS

    return Retrying(
        retry=retry_if_exception_type(_Fault),
        stop=give_up,
        wait=lambda state: max(backoff(state), fault(state).pause),
        sleep=sleep_using_event(stop),
        reraise=True,
    )


def _require_ok(response: requests.Response, artifact: Artifact, url: str) -> None:
    code = response.status_code
    if code in (200, 206):
        return
    if code == 416:  # the rest of an earlier attempt does not fit this server's file
        raise _Fault(f"{_host(url)} answered 416 for {artifact.name}")
    if code in (408, 429) or code >= 500:
        asked = response.headers.get("Retry-After", "")
        pause = min(float(asked), _LONGEST_PAUSE) if asked.isdigit() else 0.0
        raise _Fault(f"{_host(url)} answered {code} for {artifact.name}", pause=pause)
    raise TerminalError(
        f"{artifact.name} cannot be had: {_without_credentials(url)} answered {code}",
        "set PIPELINE_MAVEN to Maven Central or to a mirror that holds this file and lets you in",
    )


def _network_error(error: Exception, artifact: Artifact, url: str, *, progress: bool) -> PipelineError:
    shown = _without_credentials(url)
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return TerminalError(
            f"the certificate of {_host(url)} is not trusted, so {shown} was not fetched",
            "point REQUESTS_CA_BUNDLE or SSL_CERT_FILE at the CA bundle of your network",
        )
    if isinstance(error, ValueError):  # requests' own errors of a URL that is none
        return TerminalError(f"{shown} is not a URL to fetch from", "correct PIPELINE_MAVEN")
    return _Fault(f"{artifact.name} could not be fetched from {_host(url)}: {_why(error)}", progress=progress)


def _why(error: BaseException) -> str:
    """The innermost cause in a few words: requests wraps urllib3, which wraps the operating system."""
    while True:
        inner = getattr(error, "reason", None) or next(
            (argument for argument in reversed(error.args) if isinstance(argument, BaseException)), None
        )
        if not isinstance(inner, BaseException):
            break
        error = inner
    text = getattr(error, "strerror", None) or str(error).rpartition(">: ")[2] or type(error).__name__
    return _redacted(str(text))[:160]


def _trust() -> bool | str:
    """What requests shall verify servers with: it finds REQUESTS_CA_BUNDLE by itself, but not SSL_CERT_FILE."""
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        bundle = os.environ.get(name)
        if bundle and not os.path.exists(bundle):
            raise TerminalError(f"{name} names {bundle}, which does not exist", f"correct or unset {name}")
        if bundle:
            return bundle
    return True


def _download_wheel(artifact: Artifact, target: Path, stop: threading.Event) -> None:
    with tempfile.TemporaryDirectory(dir=target.parent, prefix="pip-") as folder:
        requirement = Path(folder, "requirement")
        requirement.write_text(f"{artifact.requirement} --hash=sha256:{artifact.sha256}\n")
        pip = [sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-input"]
        pip += ["--no-deps", "--require-hashes", "--only-binary", ":all:", "--no-cache-dir"]
        said = Path(folder, "stderr")
        with open(said, "wb") as stderr:
            process = subprocess.Popen(
                [*pip, "-d", folder, "-r", str(requirement)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                env=dict(os.environ, TMPDIR=folder),
            )
            while process.poll() is None:
                if stop.wait(0.1):
                    process.send_signal(signal.SIGINT)  # pip tidies up after this one alone
                    process.wait()
                    raise _Interrupted
        if process.returncode:
            raise _pip_error(artifact, said.read_text(errors="replace"))
        os.replace(Path(folder, artifact.name), target)


def _pip_error(artifact: Artifact, said: str) -> PipelineError:
    errors = [line.removeprefix("ERROR: ") for line in said.splitlines() if line.startswith("ERROR: ")]
    why = _redacted(errors[-1] if errors else said.strip()[-160:] or "it gave no reason")
    if "DO NOT MATCH THE HASHES" in said:
        return TerminalError(
            f"{artifact.requirement} from pip's index is not the locked file: its checksum differs",
            "take another index (pip config set global.index-url), or find out what changes the file on its way",
        )
    if os.strerror(errno.ENOSPC) in said:
        return _unwritable(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), Path(artifact.name))
    remedy = f"check the network and pip's configuration (index-url, cert, proxy), then {_AGAIN}"
    if "No matching distribution" in said and "Retrying (" not in said:
        return TerminalError(f"pip finds no {artifact.requirement} for this machine: {why}", remedy)
    return TransientError(f"pip could not fetch {artifact.requirement}: {why}", remedy)


def _require_room(wanted: Sequence[Artifact], cache: Path) -> None:
    needed = sum(artifact.size for artifact in wanted)
    for artifact in wanted:
        part = place(cache, artifact).with_name(f"{artifact.name}.part")
        needed -= part.stat().st_size if part.exists() else 0
    if shutil.disk_usage(cache).free < needed:
        raise OSError(errno.ENOSPC, f"{needed / 1e6:.0f} MB are needed")


def _unwritable(error: OSError, cache: Path) -> TerminalError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return TerminalError(
            f"no room for the engines in {cache}: {error.strerror}",
            "free some space, or set PIPELINE_CACHE to a folder on another disk",
        )
    return TerminalError(
        f"{error.filename or cache} cannot be written: {error.strerror or error}",
        "make the folder writable, or set PIPELINE_CACHE to another one",
    )


@contextmanager
def _display(total: int) -> Iterator[Callable[[int], None]]:
    """A function that takes the bytes that are there: it moves a bar, or prints a line now and then into a log."""
    title = "Fetching the engines"
    if sys.stderr.isatty():
        columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
        with Progress(TextColumn(title), *columns, console=Console(stderr=True)) as progress:
            task = progress.add_task(title, total=total)
            yield lambda have: progress.update(task, completed=have)
        return
    said = -1e9

    def say(have: int) -> None:
        nonlocal said
        if time.monotonic() - said >= 5 or have >= total:
            said = time.monotonic()
            print(f"{title}: {have / 1e6:.0f} of {total / 1e6:.0f} MB", file=sys.stderr, flush=True)

    yield say


def _host(url: str) -> str:
    return urlsplit(url).hostname or "the repository"


def _without_credentials(url: str) -> str:
    return _redacted(url).partition("?")[0]


def _redacted(text: str) -> str:
    return re.sub(r"://[^/@\s]*@", "://", text)
