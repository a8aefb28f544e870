"""Schema ids from a schema registry."""

import json
import threading
import urllib.error
import urllib.request
from typing import Protocol

from nifi_processors.contract import contract
from nifi_processors.errors import ContractError, RegistryError

TIMEOUT_SECONDS = 5


class SchemaIds(Protocol):
    """What publishing needs of a registry. Safe to use from several threads at once."""

    def schema_id(self, topic: str, name: str) -> int:
        """The id of the contract `name` under `{topic}-value`; raises ContractError or RegistryError."""


class SchemaRegistry:
    """The schema ids of a registry with Confluent's API, each asked for once."""

    def __init__(self, url: str) -> None:
        """url: base of the Confluent API."""
        self._url = url.rstrip("/")
        self._ids: dict[tuple[str, str], int] = {}
        self._asking = threading.Lock()

    def schema_id(self, topic: str, name: str) -> int:
        subject = f"{topic}-value"
        with self._asking:
            if (subject, name) not in self._ids:
                self._ids[subject, name] = self._look_up(subject, name)
            return self._ids[subject, name]

    def close(self) -> None:
        """Does nothing: no connection is held between calls."""

    def _look_up(self, subject: str, name: str) -> int:
        """Asks for the exact schema, and never registers one: that is the deploy's work."""
        request = urllib.request.Request(
            f"{self._url}/subjects/{subject}",
            data=json.dumps({"schema": contract(name).text}).encode(),
            headers={"Content-Type": "application/vnd.schemaregistry.v1+json"},
        )
        try:
            with _direct.open(request, timeout=TIMEOUT_SECONDS) as answer:
                return int(json.load(answer)["id"])
        except urllib.error.HTTPError as error:
            with error:
                if error.code == 404:
                    raise ContractError(
                        f"the registry at {self._url} does not hold {name}.avsc under {subject}",
                        "deploy the pipeline: it registers the schemas that this processor was bundled with",
                    ) from error
                raise self._unanswered(f"HTTP {error.code}") from error
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise self._unanswered(str(error) or type(error).__name__) from error

    def _unanswered(self, why: str) -> RegistryError:
        return RegistryError(
            f"the schema registry at {self._url} gives no schema id ({why})",
            "check that it is up and that the URL is its Confluent API; the FlowFile waits and is tried again",
        )


# The registry is a neighbour: a proxy for the world outside has no business between.
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
