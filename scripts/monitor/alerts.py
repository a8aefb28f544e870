"""Alerts to a Slack-compatible webhook: delivery is checked, and each alert is recorded with what became of it.

The webhook's URL is a secret: whoever knows it may post. It is in no message, no error and no log.
"""

import json
import logging
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import requests
from tenacity import Retrying, retry_if_result, stop_after_attempt, wait_exponential

from nifi_flows.errors import PipelineError, TerminalError, TransientError
from nifi_flows.files import alone, write_private
from nifi_flows.wording import cut, one_line
from scripts.stack.settings import Settings

VARIABLE = "PIPELINE_ALERT_WEBHOOK"
_SECRET = "alert_webhook"  # file among the stack's secrets
_TIMEOUT = 10  # seconds for an answer
_ATTEMPTS = 4
_WAIT = wait_exponential(multiplier=0.5, max=2)  # 0.5, 1 and 2 s
_KEPT = 200  # alerts in the record
_KEPT_TEXT = 2000  # characters of each
_CAUGHT_UP = 20  # alerts that are told when they come late, the newest
_ANSWER = 200  # bytes of the webhook's answer that are looked at

# Slack's limits in characters, and of fields in a section.
_HEADER, _SECTION, _FIELD, _FIELDS = 150, 3000, 2000, 10
_SECTIONS = 5  # of text; what is longer belongs in a file


@dataclass(frozen=True)
class _Answer:
    """trouble: empty when the alert was delivered. passing: another attempt may do."""

    trouble: str
    passing: bool = False


def send(settings: Settings, title: str, text: str, fields: Mapping[str, Any]) -> None:
    """Send an alert, or only record it when no webhook is configured. fields: name -> what to show beside it.

    Takes some seconds at most when the webhook refuses, ten more when it hangs. Raises TransientError when it does not
    take the alert now, TerminalError when it refuses it or its URL is none; that is recorded first.
    """
    try:
        url = webhook(settings)
        answer = _post(url, message(title, text, fields)) if url else None
    except TerminalError as error:
        _record(settings, title, text, "failed", str(error))
        raise
    if answer is None:
        _record(settings, title, text, "recorded", "")
    elif answer.trouble:
        _record(settings, title, text, "failed", answer.trouble)
        raise _failure(answer)
    else:
        _record(settings, title, text, "delivered", "")


def _failure(answer: _Answer) -> PipelineError:
    kind = TransientError if answer.passing else TerminalError
    return kind(f"the alert was not delivered: {answer.trouble}", f"see to the webhook in {VARIABLE} or its file")


def catch_up(settings: Settings) -> None:
    """Send in one what could not be delivered before, so that nobody misses it; nothing when all was delivered.

    Raises TransientError and TerminalError as `send`; what still cannot be delivered stays recorded as it is.
    """
    late, url = _undelivered(settings), webhook(settings)
    if not late or not url:
        return
    lines = [f"{entry.get('at')} {entry.get('title')}: {one_line(str(entry.get('text')))}" for entry in late]
    title, text = f"{len(late)} alerts come late", "\n".join(lines[-_CAUGHT_UP:])
    answer = _attempt(url, message(title, text, {"late because": str(late[-1].get("why", ""))}))
    if answer.trouble:
        raise _failure(answer)
    _record(settings, title, text, "late", "")


@dataclass(frozen=True)
class Deliveries:
    """webhook: whether there is one. undelivered: alerts that nobody has got yet. why: of the last failure.

    file: where alerts are recorded.
    """

    webhook: bool
    undelivered: int
    why: str
    file: str


def deliveries(settings: Settings) -> Deliveries:
    """How the last alerts went. Raises TerminalError when the record cannot be read or the webhook's URL is none."""
    late = _undelivered(settings)
    why = str(late[-1].get("why", "")) if late else ""
    return Deliveries(bool(webhook(settings)), len(late), why, str(_file(settings)))


def _undelivered(settings: Settings) -> list[dict[str, Any]]:
    """The alerts that failed and have not come late since, the oldest first."""
    undelivered: list[dict[str, Any]] = []
    for entry in _entries(_file(settings)):
        if entry["outcome"] == "late":
            undelivered = []
        elif entry["outcome"] == "failed":
            undelivered.append(entry)
    return undelivered


def webhook(settings: Settings) -> str:
    """The URL from the environment or the secrets; empty when there is none.

    Raises TerminalError when it is no URL of http or https, or when others may read its file.
    """
    where, url = VARIABLE, os.environ.get(VARIABLE, "").strip()
    if not url:
        path = settings.secrets / _SECRET
        where = str(path)
        try:
            if stat.S_IMODE(path.stat().st_mode) & 0o077:
                raise TerminalError(f"{path} can be read by others", f"chmod 600 {path}; then change the webhook's URL")
            url = path.read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            return ""
        except (OSError, UnicodeDecodeError):
            raise TerminalError(f"{path} cannot be read", "write the webhook's URL into it, on one line") from None
    if not _is_url(url):
        raise TerminalError(f"{where} holds no http or https URL", "correct it; it is not shown, being a secret")
    return url


def _is_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - raises ValueError for a port that is none
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and url.isprintable() and " " not in url


def message(title: str, text: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """What Slack takes: text for notifications, blocks for the channel, each within Slack's limits."""
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": {"type": "plain_text", "text": cut(one_line(title) or "alert", _HEADER)}}
    ]
    blocks += [{"type": "section", "text": {"type": "mrkdwn", "text": part}} for part in _sections(text)]
    shown = [{"type": "mrkdwn", "text": _field(name, value)} for name, value in fields.items()]
    for place in range(0, len(shown), _FIELDS):
        blocks.append({"type": "section", "fields": shown[place : place + _FIELDS]})
    summary = ": ".join(part for part in (one_line(title), one_line(text)) if part)
    return {"text": escaped(summary, _SECTION) or "alert", "blocks": blocks}


def _sections(text: str) -> list[str]:
    """The text in parts that fit into a section, broken at line ends where there are any."""
    parts: list[str] = []
    rest = text.strip()
    while rest and len(parts) < _SECTIONS:
        part = _fitting(rest, _SECTION)
        if len(part) < len(rest):
            part = part[: part.rfind("\n") + 1] or part
            if len(parts) == _SECTIONS - 1:
                parts.append(escaped(rest, _SECTION))
                break
        parts.append(_escape(part))
        rest = rest[len(part) :].lstrip("\n")
    return [part for part in parts if part.strip()]


def _field(name: str, value: Any) -> str:
    return f"*{escaped(one_line(name), _HEADER)}*\n{escaped(str(value), _FIELD - 2 * _HEADER)}"


def escaped(text: str, longest: int) -> str:
    """Text as Slack shows it unchanged: at most `longest` characters, and no character reference cut in two."""
    part = _fitting(text, longest)
    return _escape(part) if len(part) == len(text) else _escape(_fitting(text, longest - 1)) + "…"


def _fitting(text: str, longest: int) -> str:
    """As much of the text as has at most `longest` characters once it is escaped."""
    length = 0
    for place, character in enumerate(text):
        length += len(_escape(character))
        if length > longest:
            return text[:place]
    return text


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _post(url: str, body: Mapping[str, Any]) -> _Answer:
    attempts = Retrying(
        retry=retry_if_result(lambda answer: answer.passing),
        stop=stop_after_attempt(_ATTEMPTS),
        wait=_WAIT,
        retry_error_callback=lambda state: state.outcome.result() if state.outcome else None,
    )
    answer: _Answer = attempts(_attempt, url, body)
    return answer


def _attempt(url: str, body: Mapping[str, Any]) -> _Answer:
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)  # it would log the URL
    # What requests raises holds the URL, so only its kind goes on from here.
    try:
        with requests.post(url, json=body, timeout=_TIMEOUT, allow_redirects=False, stream=True) as response:
            status, said = response.status_code, response.raw.read(_ANSWER, decode_content=True)
    except requests.Timeout:
        return _Answer(f"the webhook gave no answer within {_TIMEOUT} s")  # it may have taken it: not again
    except requests.ConnectionError:
        return _Answer("the webhook cannot be reached", passing=True)
    except Exception as error:  # noqa: BLE001 - whatever it is, it must not carry the URL on
        return _Answer(f"the webhook's answer cannot be read: {type(error).__name__}")
    if status == 200:
        delivered = said.strip() == b"ok"
        return _Answer("" if delivered else "the webhook answered 200, but not 'ok' as Slack does: is it one?")
    return _Answer(f"the webhook answered {status}", passing=status == 429 or status >= 500)


def _record(
    settings: Settings, title: str, text: str, outcome: Literal["delivered", "failed", "late", "recorded"], why: str
) -> None:
    """Add an alert to the record, which keeps the last 200. Raises TerminalError when it cannot be written."""
    entry = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "outcome": outcome,
        "title": title,
        "text": cut(text, _KEPT_TEXT),
        "why": why,
    }
    path = _file(settings)
    with alone(path):
        kept = [json.dumps(one, ensure_ascii=False) for one in [*_entries(path), entry][-_KEPT:]]
        write_private(path, "".join(f"{line}\n" for line in kept).encode(errors="replace"))


def _entries(path: Path) -> Iterator[dict[str, Any]]:
    """The recorded alerts, the oldest first; a line that is none is left out."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return
    for line in lines:
        with suppress(ValueError, RecursionError):
            entry = json.loads(line)
            if isinstance(entry, dict) and "outcome" in entry:
                yield entry


def _file(settings: Settings) -> Path:
    return settings.monitor / "alerts.jsonl"
