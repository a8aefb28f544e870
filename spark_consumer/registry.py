"""What the schema registry knows, over the Confluent API."""

import logging
import os
from collections.abc import Callable, Mapping
from contextlib import closing
from typing import TypeVar

from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.common._httpx_compat import httpx  # the one that the client is made with
from confluent_kafka.schema_registry.error import SchemaRegistryError
from tenacity import Retrying, before_sleep_log, retry_if_exception_type, stop_after_attempt, wait_exponential

from spark_consumer.errors import TerminalError, TransientError

_log = logging.getLogger(__name__)
_TIMEOUT_SECONDS = 10
_UNKNOWN = (40401, 40402, 40403)  # a registry knows no such subject, version or schema; a plain 404 is no registry's
_REMEDY = "see that the registry runs and CONSUMER_REGISTRY_URL names it"

_retrying = Retrying(
    retry=retry_if_exception_type(TransientError),
    wait=wait_exponential(multiplier=0.5, max=8),
    stop=stop_after_attempt(6),
    before_sleep=before_sleep_log(_log, logging.WARNING),
    reraise=True,
)

T = TypeVar("T")


class WriterSchemas:
    """The Avro schemas ever registered under one subject, by id; other subjects' ids are none of ours.

    Reads the subject's versions, deleted ones too, instead of asking for each id that a frame claims: forged frames
    can't make it ask more than once a refresh.
    """

    def __init__(self, url: str, subject: str) -> None:
        """url: root of the Confluent API. Raises TransientError when no client can be made for it."""
        self._registry = _Registry(url)
        self._subject = subject
        self._versions: set[int] = set()
        self._by_id: dict[int, str] = {}

    def __call__(self) -> Mapping[int, str]:
        """schema id -> Avro JSON, as of the last refresh."""
        return self._by_id

    def refresh(self) -> bool:
        """Reads versions not yet read; True if there were any. Raises TransientError when the registry is away."""
        found = self._registry.ask(
            f"the versions of {self._subject}", lambda client: client.get_versions(self._subject, deleted=True)
        )
        new = {version for version in found or [] if version not in self._versions and self._read(version)}
        self._versions |= new
        return bool(new)

    def _read(self, version: int) -> bool:
        """Whether there is such a version: it may have been removed since it was listed."""
        found = self._registry.ask(
            f"version {version} of {self._subject}",
            lambda client: client.get_version(self._subject, version, deleted=True),
        )
        if found is None or found.schema_id is None or found.schema.schema_str is None:
            return False
        if found.schema.schema_type == "AVRO" and not found.schema.references:
            self._by_id[found.schema_id] = found.schema.schema_str
        return True


def registered_id(url: str, subject: str, schema: str) -> int:
    """The id of this very schema under the subject.

    Raises TerminalError if it isn't registered there, TransientError when the registry is away.
    """
    with closing(_Registry(url)) as registry:
        found = registry.ask(
            f"a schema of {subject}", lambda client: client.lookup_schema(subject, Schema(schema, "AVRO"))
        )
    if found is None or found.schema_id is None:
        raise TerminalError(f"the registry has no such schema under {subject}", "deploy the schemas first")
    return found.schema_id


class _Registry:
    """A registry, asked again for some seconds while it is away."""

    def __init__(self, url: str) -> None:
        self._url = url
        try:
            self._client = SchemaRegistryClient(
                {
                    "url": url,
                    "timeout": _TIMEOUT_SECONDS,
                    "max.retries": 0,  # its own retries would log nothing
                    # SSL_CERT_FILE counts without a word from here
                    "ssl.ca.location": os.environ.get("REQUESTS_CA_BUNDLE"),
                }
            )
        except (OSError, ValueError) as error:  # a file of certificates that can't be read, an address that is none
            raise TransientError(f"registry: no way to {url}: {error}", _REMEDY) from error

    def ask(self, what: str, question: Callable[[SchemaRegistryClient], T]) -> T | None:
        """The answer; None when the registry knows nothing of the kind. what: what is asked for, for errors."""
        return _retrying(self._ask, what, question)

    def close(self) -> None:
        self._client.close()

    def _ask(self, what: str, question: Callable[[SchemaRegistryClient], T]) -> T | None:
        try:
            return question(self._client)
        except SchemaRegistryError as error:
            if error.error_code in _UNKNOWN:
                return None
            passes = error.http_status_code >= 500 or error.http_status_code in (408, 429)
            kind = TransientError if passes else TerminalError
            raise kind(f"registry: {what} at {self._url}: answered {error.http_status_code}", _REMEDY) from error
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            raise TransientError(f"registry: {what} at {self._url}: {type(error).__name__}", _REMEDY) from error
