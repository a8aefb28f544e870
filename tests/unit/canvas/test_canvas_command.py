"""`canvas`, from its first line to the signal that ends it."""

import http.client
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from nifi_flows.errors import TerminalError, TransientError
from scripts.canvas import proxy
from scripts.commands import canvas
from scripts.stack.engines import nifi as nifi_engine
from scripts.stack.engines import spark
from scripts.stack.settings import Settings
from scripts.stack.supervise import Supervisor
from tests.unit.canvas.harness import Upstream, free_port

ipv6 = pytest.mark.skipif(not Path("/proc/net/if_inet6").exists(), reason="this machine has no IPv6")


@pytest.fixture
def placed(upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The settings of a stack that is up, by the environment, on a machine without a desktop."""
    for name in [name for name in os.environ if name.startswith("PIPELINE_")] + ["DISPLAY", "WAYLAND_DISPLAY"]:
        monkeypatch.delenv(name, raising=False)
    settings = replace(upstream.settings, ports={**upstream.settings.ports, "canvas": free_port()})
    monkeypatch.setenv("PIPELINE_HOME", str(settings.home))
    monkeypatch.setenv("PIPELINE_NIFI_PORT", str(settings.port(nifi_engine.PORT)))
    monkeypatch.setenv("PIPELINE_CANVAS_PORT", str(settings.port(nifi_engine.CANVAS)))
    monkeypatch.setattr(Supervisor, "require", lambda self: None)
    settings.run.mkdir(exist_ok=True)
    return settings


def run_until(capfd: pytest.CaptureFixture[str], number: int, meanwhile: Callable[[str], None]) -> str:
    """Run the command, do something with its link, send the signal; returns all that was said but the link."""
    failed: list[BaseException] = []
    said: list[str] = []

    def use() -> None:
        try:
            deadline = time.monotonic() + 30
            link = ""
            while not link:
                assert time.monotonic() < deadline
                time.sleep(0.01)
                link, told = capfd.readouterr()
                said.append(told)
            meanwhile(link.strip())
        except BaseException as error:  # noqa: BLE001 - raised below, in the test's own thread
            failed.append(error)
        finally:
            os.kill(os.getpid(), number)

    user = threading.Thread(target=use)
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    user.start()
    try:
        canvas.canvas()
    finally:
        user.join()
        signal.signal(signal.SIGTERM, before[0])
        signal.signal(signal.SIGINT, before[1])
    if failed:
        raise failed[0]
    rest = capfd.readouterr()
    return "".join([*said, rest.out, rest.err])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_serves_until_a_signal_and_tells_no_secret(
    placed: Settings, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, number: int
) -> None:
    secret: list[str] = []

    def use(link: str) -> None:
        parts = urlsplit(link)
        assert re.fullmatch(rf"[0-9a-f]+\.localhost:{placed.port(nifi_engine.CANVAS)}", parts.netloc)
        own = {"Host": parts.netloc}
        connection = http.client.HTTPConnection("127.0.0.1", placed.port(nifi_engine.CANVAS), timeout=10)
        connection.request("GET", f"/?{parts.query}", headers=own)
        opened = connection.getresponse()
        opened.read()
        cookie = str(opened.headers["Set-Cookie"]).partition(";")[0]
        secret.extend([link.partition("=")[2], cookie.partition("=")[2]])
        connection.request("GET", "/nifi/", headers={**own, "Cookie": cookie})  # and is kept open
        assert connection.getresponse().read()
        for rubbish in (f"GET /?token={secret[0]} HTTP/9\r\n", f"GET / HTTP/1.1\r\nCookie\x00: {cookie}\r\n"):
            with socket.create_connection(("127.0.0.1", placed.port(nifi_engine.CANVAS)), timeout=10) as client:
                client.sendall(f"{rubbish}\r\n".encode())
                assert b" 400 " in client.recv(1000)

    said = run_until(capfd, number, use) + caplog.text
    assert "until Ctrl-C" in said
    assert f"http://127.0.0.1:{placed.port(spark.CONSUMER_UI)}" in said
    assert not [word for word in secret if word in said]
    assert "Traceback" not in said
    socket.create_server(("127.0.0.1", placed.port(nifi_engine.CANVAS))).close()


def test_on_a_desktop_the_browser_opens_by_a_file_that_nobody_else_reads(
    placed: Settings, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    arrived = threading.Event()

    def browse(address: str) -> bool:
        opened.append(address)
        arrived.set()
        return True

    monkeypatch.setattr("webbrowser.open", browse)
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
    page = placed.run / "canvas.html"

    def use(link: str) -> None:
        assert arrived.wait(10)
        assert opened == [page.as_uri()]
        assert page.stat().st_mode & 0o077 == 0
        assert f"url={link}" in page.read_text()

    run_until(capfd, signal.SIGINT, use)
    assert not page.exists()


def test_without_a_desktop_nothing_is_opened(
    placed: Settings, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webbrowser.open", lambda address: pytest.fail("opened"))
    run_until(capfd, signal.SIGINT, lambda link: None)
    assert not (placed.run / "canvas.html").exists()


def test_without_nifi_it_says_so_before_anything_listens(placed: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPELINE_NIFI_PORT", str(free_port()))
    monkeypatch.setattr(proxy, "serve", lambda *_: pytest.fail("served"))
    with pytest.raises(TransientError, match=r"NiFi at https://127.0.0.1:\d+/nifi-api does not answer"):
        canvas.canvas()


def test_a_taken_port_is_refused_by_name(placed: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxy, "serve", lambda *_: pytest.fail("served"))
    with (
        socket.create_server(("127.0.0.1", placed.port(nifi_engine.CANVAS))),
        pytest.raises(TerminalError, match=f"port {placed.port(nifi_engine.CANVAS)} for the NiFi canvas is taken by"),
    ):
        canvas.canvas()


@ipv6
def test_whichever_loopback_a_browser_tries_it_reaches_the_proxy(
    placed: Settings, capfd: pytest.CaptureFixture[str]
) -> None:
    def use(link: str) -> None:
        for address in ("127.0.0.1", "::1"):
            connection = http.client.HTTPConnection(address, placed.port(nifi_engine.CANVAS), timeout=10)
            connection.request("GET", "/nifi/", headers={"Host": urlsplit(link).netloc})
            assert connection.getresponse().status == 403
            connection.close()

    run_until(capfd, signal.SIGINT, use)


@ipv6
def test_a_port_that_another_holds_on_one_loopback_is_refused_before_the_link_is_told(
    placed: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(canvas, "_show", lambda *_: pytest.fail("told"))
    with (
        socket.create_server(("::1", placed.port(nifi_engine.CANVAS)), family=socket.AF_INET6),
        pytest.raises(
            TerminalError, match=f"^port {placed.port(nifi_engine.CANVAS)} for the NiFi canvas is taken on ::1: "
        ),
    ):
        canvas.canvas()
    socket.create_server(("127.0.0.1", placed.port(nifi_engine.CANVAS))).close()


def test_without_ipv6_it_serves_all_the_same(
    placed: Settings, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proxy, "_LOOPBACK_6", "2001:db8::1")  # of documentation: no machine has it
    asked: list[str] = []
    run_until(capfd, signal.SIGINT, asked.append)
    assert asked


def test_without_a_stack_it_makes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPELINE_HOME", str(tmp_path / "none"))
    with pytest.raises(TransientError, match="the stack is not running"):
        canvas.canvas()
    assert not (tmp_path / "none").exists()
