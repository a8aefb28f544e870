"""The schema registry, over its Confluent API: subjects, schemas by id, and whether and how one is registered."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote

from nifi_flows.errors import TerminalError, TransientError
from scripts.stack.engines import registry
from scripts.stack.settings import Settings

if TYPE_CHECKING:  # imported when something is asked: it takes half a second, and most commands ask nothing
    from confluent_kafka.schema_registry import Schema, SchemaRegistryClient

_SECONDS = 20.0  # for each step of an answer
_SCHEMA_SECONDS = 10.0  # where only a schema is read
_REMEDY = "see ./scripts/pipeline logs registry"

T = TypeVar("T")


def subjects(settings: Settings) -> list[str]:
    """The subjects that the registry knows. Raises TransientError when it does not answer."""
    with _client(settings) as client:
        return list(client.get_subjects())


def registered(settings: Settings, subject: str, schema: str) -> bool:
    """Whether a subject has exactly this schema. Raises TransientError when the registry does not answer."""
    with _client(settings, subject) as client:
        return _found(lambda: client.lookup_schema(subject, _avro(schema))) is not None


def check_compatible(settings: Settings, subject: str, schema: str) -> None:
    """Raises TerminalError when the registry would refuse the schema: incompatible, or none at all."""
    with _client(settings, subject) as client:
        # test_compatibility keeps the reasons to itself
        path = f"compatibility/subjects/{quote(subject, safe='')}/versions/latest?verbose=true"
        answer = _found(lambda: client._rest_client.post(path, body=_avro(schema).to_dict()))
    if answer is not None and not answer.get("is_compatible"):  # None: the subject is new
        raise _incompatible(subject, "; ".join(answer.get("messages") or ["it is not backward compatible"]))


def register(settings: Settings, subject: str, schema: str) -> int:
    """Register an Avro schema under a subject and return its id; a schema that is there keeps its id.

    Raises TerminalError when the registry refuses the schema (incompatible: 409, invalid: 422).
    """
    with _client(settings, subject) as client:
        return client.register_schema(subject, _avro(schema))


def schema(settings: Settings, schema_id: int) -> str | None:
    """The Avro JSON of an id, None for an unknown one. Raises TransientError when the registry does not answer."""
    with _client(settings, f"schema {schema_id}", _SCHEMA_SECONDS) as client:
        found = _found(lambda: client.get_schema(schema_id))
    return None if found is None else found.schema_str


@contextmanager
def _client(settings: Settings, about: str = "subjects", seconds: float = _SECONDS) -> "Iterator[SchemaRegistryClient]":
    """The library's client, past proxies, for one question; whatever it raises becomes an error of ours.

    about: the subject, or what else is asked for, for errors. What is answered is remembered by nobody: a schema that
    was registered since must not be missed.
    """
    from confluent_kafka.schema_registry import SchemaRegistryClient
    from confluent_kafka.schema_registry.common._httpx_compat import httpx  # the one that the client is made with
    from confluent_kafka.schema_registry.error import SchemaRegistryError

    address = registry.address(settings)
    try:
        with SchemaRegistryClient({"url": address, "timeout": seconds, "max.retries": 0}) as client:
            # The registry is a neighbour: a proxy for the world outside has no business between. There is no setting.
            rest = client._rest_client
            rest.session.close()
            rest.session = httpx.Client(verify=rest.verify, auth=rest.auth, timeout=seconds, trust_env=False)
            yield client
    except SchemaRegistryError as error:
        if error.http_status_code in (409, 422):
            raise _incompatible(about, error.error_message) from error
        raise TransientError(
            f"the schema registry answered {error.http_status_code} for {about}: {str(error.error_message)[:200]}",
            _REMEDY,
        ) from error
    except (httpx.HTTPError, OSError, ValueError) as error:
        raise TransientError(f"the schema registry at {address} does not answer: {error}", _REMEDY) from error


def _found(ask: Callable[[], T]) -> T | None:
    """The answer, None for 404."""
    from confluent_kafka.schema_registry.error import SchemaRegistryError

    try:
        return ask()
    except SchemaRegistryError as error:
        if error.http_status_code == 404:
            return None
        raise


def _avro(schema: str) -> "Schema":
    from confluent_kafka.schema_registry import Schema

    return Schema(schema, "AVRO")


def _incompatible(subject: str, why: str) -> TerminalError:
    return TerminalError(
        f"the schema registry refuses the schema of {subject}: {why}",
        "make the change backward compatible: new fields need a default, a type may only widen",
    )
