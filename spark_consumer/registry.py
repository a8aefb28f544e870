"""What the schema registry knows, over the Confluent API."""

import logging
from collections.abc import Mapping
from typing import Any

import requests
from tenacity import before_sleep_log, retry, retry_if_exception_type, stop_after_attempt, wait_exponential

from spark_consumer.errors import TerminalError, TransientError

_log = logging.getLogger(__name__)
_TIMEOUT_SECONDS = 10
_CONTENT_TYPE = {"Content-Type": "application/vnd.schemaregistry.v1+json"}


class WriterSchemas:
    """The Avro schemas ever registered under one subject, by id; other subjects' ids are none of ours.

    Reads the subject's versions, deleted ones too, instead of asking for each id that a frame claims: forged frames
    can't make it ask more than once a refresh.
    """

    def __init__(self, url: str, subject: str) -> None:
        self._subject = f"{url}/subjects/{subject}"
        self._versions: set[int] = set()
        self._by_id: dict[int, str] = {}

    def __call__(self) -> Mapping[int, str]:
        """schema id -> Avro JSON, as of the last refresh."""
        return self._by_id

    def refresh(self) -> bool:
        """Reads versions not yet read; True if there were any. Raises TransientError when the registry is away."""
        new = [version for version in _get(f"{self._subject}/versions") or [] if version not in self._versions]
        for version in new:
            answer = _get(f"{self._subject}/versions/{version}")
            if answer and answer.get("schemaType", "AVRO") == "AVRO" and not answer.get("references"):
                self._by_id[answer["id"]] = answer["schema"]
            self._versions.add(version)
        return bool(new)


def registered_id(url: str, subject: str, schema: str) -> int:
    """The id of this very schema under the subject.

    Raises TerminalError if it isn't registered there, TransientError when the registry is away.
    """
    answer = _ask("POST", f"{url}/subjects/{subject}", {"schema": schema})
    if answer is None:
        raise TerminalError(f"the registry has no such schema under {subject}", "deploy the schemas first")
    return int(answer["id"])


def _get(url: str) -> Any:
    return _ask("GET", f"{url}?deleted=true")


@retry(
    retry=retry_if_exception_type(TransientError),
    wait=wait_exponential(multiplier=0.5, max=8),
    stop=stop_after_attempt(6),
    before_sleep=before_sleep_log(_log, logging.WARNING),
    reraise=True,
)
def _ask(method: str, url: str, body: dict[str, str] | None = None) -> Any:
    """The JSON answer, None for 404."""
    remedy = "see that the registry runs and CONSUMER_REGISTRY_URL names it"
    try:
        answer = requests.request(method, url, json=body, headers=_CONTENT_TYPE, timeout=_TIMEOUT_SECONDS)
        if answer.status_code == 404:
            return None
        if answer.status_code >= 500:
            raise TransientError(f"registry: {method} {url} answered {answer.status_code}", remedy)
        if answer.status_code >= 400:
            raise TerminalError(f"registry: {method} {url} answered {answer.status_code}", remedy)
        return answer.json()
    except (requests.RequestException, ValueError) as error:
        raise TransientError(f"registry: {method} {url}: {type(error).__name__}", remedy) from error
