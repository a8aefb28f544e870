"""Alerts: a real server plays the webhook, delivery is checked, and the webhook's URL is nowhere to be read."""

import json
import logging
import os
import threading
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from tenacity import wait_none

from nifi_flows.errors import PipelineError, TerminalError, TransientError
from scripts.monitor import alerts
from scripts.stack import configuration
from scripts.stack.settings import Settings

SECRET = "T0NLYSLACKKNOWS"
OK = (200, b"ok")


@dataclass
class Webhook:
    """Answers each call with the next of `answers`, an endless last one; None hangs until it is released."""

    url: str = ""
    answers: list[tuple[int, bytes] | None] = field(default_factory=lambda: [OK])
    got: list[dict[str, Any]] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)


@pytest.fixture
def webhook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Webhook]:
    played = Webhook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            assert self.headers["Content-Type"] == "application/json"
            played.got.append(json.loads(body))
            answer = played.answers.pop(0) if len(played.answers) > 1 else played.answers[0]
            if answer is None:
                played.released.wait(20)
                return
            self.send_response(answer[0])
            if answer[0] == 302:
                self.send_header("Location", f"{played.url}/elsewhere")
            self.send_header("Content-Length", str(len(answer[1])))
            self.end_headers()
            self.wfile.write(answer[1])

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    played.url = f"http://127.0.0.1:{server.server_port}/services/{SECRET}"
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv(alerts.VARIABLE, played.url)
    monkeypatch.setattr(alerts, "_WAIT", wait_none())
    yield played
    played.released.set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name in list(os.environ):
        if name.startswith("PIPELINE_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PIPELINE_HOME", str(tmp_path))
    made = configuration.load()
    made.secrets.mkdir()
    return made


def recorded(settings: Settings) -> list[dict[str, Any]]:
    path = settings.home / "monitor" / "alerts.jsonl"
    assert path.stat().st_mode & 0o777 == 0o600
    return [json.loads(line) for line in path.read_text().splitlines()]


def refused(settings: Settings) -> PipelineError:
    with pytest.raises(PipelineError) as caught:
        alerts.send(settings, "flow is ill", "it is stopped", {})
    everything = "".join(traceback.format_exception(caught.value)) + repr(caught.value.__context__)
    assert SECRET not in everything + caught.value.remedy
    assert SECRET not in (settings.home / "monitor" / "alerts.jsonl").read_text()
    return caught.value


def test_an_alert_is_delivered_and_recorded(settings: Settings, webhook: Webhook) -> None:
    alerts.send(settings, "flow is ill", "it is stopped", {"run": "manual_1", "changes": 3})
    (body,) = webhook.got
    assert body["text"] == "flow is ill: it is stopped"
    assert body["blocks"][0] == {"type": "header", "text": {"type": "plain_text", "text": "flow is ill"}}
    assert body["blocks"][1]["text"] == {"type": "mrkdwn", "text": "it is stopped"}
    assert body["blocks"][2]["fields"][1] == {"type": "mrkdwn", "text": "*changes*\n3"}
    assert [(entry["outcome"], entry["title"]) for entry in recorded(settings)] == [("delivered", "flow is ill")]
    assert alerts.deliveries(settings).undelivered == 0


@pytest.mark.parametrize("trouble", [(500, b"no_text"), (429, b"slow down")])
def test_what_may_pass_is_tried_again(settings: Settings, webhook: Webhook, trouble: tuple[int, bytes]) -> None:
    webhook.answers = [trouble, trouble, OK]
    alerts.send(settings, "flow is ill", "", {})
    assert len(webhook.got) == 3
    assert [entry["outcome"] for entry in recorded(settings)] == ["delivered"]


def test_what_a_broken_webhook_did_not_take_is_seen_until_it_comes_late(settings: Settings, webhook: Webhook) -> None:
    webhook.answers = [(503, b"")]
    assert isinstance(refused(settings), TransientError)
    refused(settings)
    seen = alerts.deliveries(settings)
    assert (seen.webhook, seen.undelivered, seen.why) == (True, 2, "the webhook answered 503")
    with pytest.raises(TransientError, match="503"):
        alerts.catch_up(settings)
    assert alerts.deliveries(settings).undelivered == 2, "that it is still broken is no alert of its own"
    webhook.answers = [OK]
    webhook.got.clear()
    alerts.send(settings, "nifi is ill", "", {})
    assert alerts.deliveries(settings).undelivered == 2, "nobody has got these two"
    alerts.catch_up(settings)
    alerts.catch_up(settings)
    assert alerts.deliveries(settings).undelivered == 0
    (_, late) = webhook.got
    assert late["text"].startswith("2 alerts come late: ") and late["text"].count("flow is ill: it is stopped") == 2


def test_nothing_comes_late_without_a_webhook_or_a_failure(settings: Settings, webhook: Webhook) -> None:
    alerts.catch_up(settings)
    assert webhook.got == []


@pytest.mark.parametrize(
    "answer",
    [(404, b"no_service"), (403, b"ok"), (200, b"<html>log in</html>"), (200, b""), (302, b"ok"), (200, b"o" * 10**6)],
    ids=["gone", "forbidden", "another page", "empty", "elsewhere", "endless"],
)
def test_an_answer_that_is_no_delivery_is_final(
    settings: Settings, webhook: Webhook, answer: tuple[int, bytes]
) -> None:
    webhook.answers = [answer]
    assert isinstance(refused(settings), TerminalError)
    assert len(webhook.got) == 1
    assert recorded(settings)[0]["outcome"] == "failed"


def test_a_webhook_that_hangs_is_left_and_not_asked_again(
    settings: Settings, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alerts, "_TIMEOUT", 0.2)
    webhook.answers = [None]
    assert "no answer" in str(refused(settings))
    assert len(webhook.got) == 1, "it may have taken it"


def test_a_webhook_that_is_not_there_is_tried_again_without_telling_its_url(
    settings: Settings, webhook: Webhook, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv(alerts.VARIABLE, f"http://127.0.0.1:9/services/{SECRET}")
    assert isinstance(refused(settings), TransientError)
    monkeypatch.setenv(alerts.VARIABLE, webhook.url)
    alerts.send(settings, "flow is ill", "", {})
    assert SECRET not in caplog.text


def test_without_a_webhook_alerts_are_recorded(settings: Settings) -> None:
    alerts.send(settings, "flow is ill", "x" * 5000, {})
    (entry,) = recorded(settings)
    assert entry["outcome"] == "recorded"
    assert len(entry["text"]) == 2000
    seen = alerts.deliveries(settings)
    assert (seen.webhook, seen.undelivered) == (False, 0)
    assert seen.file.endswith("alerts.jsonl")


def test_the_webhook_may_stand_in_a_file_that_nobody_else_reads(
    settings: Settings, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(alerts.VARIABLE)
    path = settings.secrets / "alert_webhook"
    path.write_text(f"{webhook.url}\n")
    path.chmod(0o600)
    alerts.send(settings, "flow is ill", "", {})
    assert len(webhook.got) == 1
    path.chmod(0o640)
    assert "can be read by others" in str(refused(settings))
    assert len(webhook.got) == 1
    with pytest.raises(TerminalError):
        alerts.deliveries(settings)


@pytest.mark.parametrize(
    "url",
    [
        f"ftp://a/{SECRET}",
        f"{SECRET}",
        f"file:///{SECRET}",
        f"http:///{SECRET}",
        f"http://a:x/{SECRET}",
        f"http://a/ {SECRET}",
    ],
)
def test_a_url_that_is_none_is_named_by_its_variable_and_not_shown(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv(alerts.VARIABLE, url)
    assert alerts.VARIABLE in str(refused(settings))


def test_the_record_is_bounded_and_survives_garbage(settings: Settings) -> None:
    path = settings.home / "monitor" / "alerts.jsonl"
    path.parent.mkdir()
    path.write_bytes(b'\xff\xfe\n{"outcome": "failed"}\n[1]\n{"half\n' + b'{"outcome": "recorded"}\n' * 300)
    assert alerts.deliveries(settings).undelivered == 1
    alerts.send(settings, "last \udcff", "", {})
    assert len(recorded(settings)) == 200
    assert recorded(settings)[-1]["title"].startswith("last")


def test_alerts_at_the_same_time_are_all_recorded(settings: Settings) -> None:
    threads = [threading.Thread(target=alerts.send, args=(settings, f"{n}", "", {})) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {entry["title"] for entry in recorded(settings)} == {f"{n}" for n in range(12)}


def test_a_message_keeps_slacks_limits_and_shows_text_as_it_is() -> None:
    text = "\n".join(f"<{n}> & 'x'" for n in range(5000))
    body = alerts.message("t" * 500, text, {f"field {n}": "&" * 5000 for n in range(23)})
    header, *rest = body["blocks"]
    assert len(header["text"]["text"]) <= 150
    assert len(body["text"]) <= 3000
    assert len(body["blocks"]) <= 50
    sections = [block["text"]["text"] for block in rest if "text" in block]
    fields = [block["fields"] for block in rest if "fields" in block]
    assert len(sections) == 5
    assert all(0 < len(section) <= 3000 for section in sections)
    assert sections[0].startswith("&lt;0&gt; &amp; 'x'\n&lt;1&gt;")
    assert sections[-1].endswith("…")
    assert [len(section) for section in fields] == [10, 10, 3]
    for shown in [*sections, *(one["text"] for section in fields for one in section)]:
        assert len(shown) <= 3000
        assert "&" not in shown.replace("&lt;", "").replace("&gt;", "").replace("&amp;", ""), "one is cut in two"


def test_nothing_of_a_text_that_fits_is_left_out() -> None:
    for text in ("a" * 3000, "a" * 3001, "&" * 600, "&" * 601, "line\n" * 900, "x" * 2990 + "\n" + "y" * 50):
        sections = [block["text"]["text"] for block in alerts.message("t", text, {})["blocks"][1:]]
        whole = "".join(sections).replace("&amp;", "&")
        assert whole.replace("\n", "") == text.replace("\n", "")
        assert all(len(section) <= 3000 for section in sections)
