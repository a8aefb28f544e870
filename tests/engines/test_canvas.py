"""The canvas of the real NiFi in a real browser that has no certificate."""

import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import nipyapi
import requests
from playwright.sync_api import Browser, Page, ViewportSize, expect

from nifi_flows import connection
from scripts.bootstrap import ROOT
from scripts.stack import credentials
from scripts.stack.engines import nifi
from scripts.stack.stack import nifi_of
from tests.engines.conftest import LocalStack

SCREEN: ViewportSize = {"width": 1600, "height": 1000}
PICTURE: ViewportSize = {
    "width": 1600,
    "height": 520,
}  # the flow is a row: on the whole screen half the picture would be empty


@contextmanager
def canvas(stack: LocalStack) -> Iterator[str]:
    """`./scripts/pipeline canvas` until Ctrl-C; yields its link."""
    without_desktop = {k: v for k, v in stack.environment.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY")}
    with subprocess.Popen(
        [f"{ROOT}/scripts/pipeline", "canvas"],
        env=without_desktop,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout and process.stderr
        try:
            link = process.stdout.readline().strip()
            own = rf"http://[0-9a-f]+\.localhost:{stack.settings.port(nifi.CANVAS)}/\?token=\S+"
            assert re.fullmatch(own, link), process.stderr.read()
            yield link
        finally:
            process.send_signal(signal.SIGINT)
            try:
                said = process.communicate(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        assert process.returncode == 0, said
        assert "Traceback" not in said[1]
    socket.create_server(("127.0.0.1", stack.settings.port(nifi.CANVAS))).close()


def test_the_flow_is_seen_and_edited_in_a_browser_without_a_certificate(stack: LocalStack, browser: Browser) -> None:
    with canvas(stack) as link:
        page = browser.new_context(viewport=SCREEN, device_scale_factor=2).new_page()
        page.goto(link)
        expect(page.locator("svg .process-group-name", has_text="users")).to_be_visible(timeout=60_000)
        assert "token" not in page.url

        before = labels(stack)
        drag_label(page)
        page.locator("svg g.label").wait_for(timeout=20_000)
        (added,) = labels(stack) - before
        page.locator("svg g.label").click()
        page.keyboard.press("Delete")
        expect(page.locator("svg g.label")).to_have_count(0, timeout=20_000)
        assert added not in labels(stack)

        page.locator("svg .process-group-name", has_text="users").dblclick()
        for name in ("Pull run", "Publish users", "Publish dead letters"):
            expect(page.locator("svg .processor-name", has_text=name)).to_be_visible(timeout=30_000)
        keep_picture(page)

        stranger = browser.new_context().new_page()
        refused = stranger.goto(link)
        assert refused and refused.status == 403
        assert "run it again" in stranger.inner_text("body")
        canvas_itself = stranger.goto(page.url.partition("#")[0])
        assert canvas_itself and canvas_itself.status == 403


def test_without_the_link_there_is_no_canvas_and_a_second_one_is_refused_by_name(stack: LocalStack) -> None:
    with canvas(stack) as link:
        # Browsers know such a host name; Python asks for addresses.
        parts = urlsplit(link)
        own = {"Host": parts.netloc}
        proxy = f"http://127.0.0.1:{parts.port}"
        api, door = f"{proxy}/nifi-api/flow/about", f"{proxy}/?{parts.query}"
        assert requests.get(api, timeout=10).status_code == 421
        assert requests.get(api, headers=own, timeout=10).status_code == 403
        second = stack.pipeline("canvas")
        assert second.code == 1
        assert f"port {stack.settings.port(nifi.CANVAS)} for the NiFi canvas is taken by" in second.err
        session = requests.Session()
        session.headers.update(own)
        assert session.get(door, timeout=10).status_code == 200
        assert session.get(api, timeout=10).json()["about"]["title"] == "NiFi"
        assert requests.get(door, headers=own, timeout=10).status_code == 403


def test_with_nifi_down_it_says_so_and_leaves_nothing_running(stack: LocalStack) -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        free = held.getsockname()[1]
    elsewhere = LocalStack({**stack.environment, "PIPELINE_NIFI_PORT": str(free)})
    ended = elsewhere.pipeline("canvas")
    assert (ended.code, ended.out) == (75, "")
    assert ended.err.startswith(f"error: NiFi at https://127.0.0.1:{free}/nifi-api does not answer\n")


def labels(stack: LocalStack) -> set[str]:
    """Ids of the labels on the outermost canvas, as NiFi's API has them."""
    with connection.connected(nifi_of(stack.settings, credentials.ensure(stack.settings.secrets))):
        found = nipyapi.nifi.ProcessGroupsApi().get_labels(nipyapi.canvas.get_root_pg_id())
    return {label.id for label in found.labels}


def drag_label(page: Page) -> None:
    """Draw a label as a user does: from the toolbar onto an empty place of the canvas."""
    start = page.locator("button.icon-label").bounding_box()
    assert start
    page.mouse.move(start["x"] + start["width"] / 2, start["y"] + start["height"] / 2)
    page.mouse.down()
    page.mouse.move(1000, 300, steps=10)
    page.mouse.move(1100, 800, steps=10)
    page.mouse.up()


def keep_picture(page: Page) -> None:
    """A picture of the whole flow for the README, where PIPELINE_SCREENSHOTS names a folder for it."""
    folder = os.environ.get("PIPELINE_SCREENSHOTS")
    if not folder:
        return
    page.set_viewport_size(PICTURE)
    page.locator("button:has(.icon-zoom-fit)").click()
    page.wait_for_timeout(1_000)  # the canvas moves there
    for panel in ("navigation", "operation"):
        page.locator(f".{panel}-control-expansion").click()
    page.mouse.move(800, 450)
    page.mouse.down()
    page.mouse.move(800, 530, steps=5)
    page.mouse.up()
    page.wait_for_timeout(1_000)
    page.screenshot(path=Path(folder) / "canvas.png")
