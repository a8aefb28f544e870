"""A NiFi reached over mutual TLS, as nipyapi wants it configured."""

import logging
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import nipyapi
from nipyapi.nifi.api_client import ApiClient
from nipyapi.nifi.rest import ApiException, RESTClientObject
from urllib3.exceptions import HTTPError, ReadTimeoutError
from urllib3.util import Retry

from nifi_flows.errors import PipelineError, TerminalError, TransientError

_PATIENCE = (5, 60)  # seconds for a connection, and for the next bytes of an answer


@dataclass(frozen=True)
class NiFi:
    """Where a NiFi is and who calls it. url: base of the REST API; the rest: PEM files."""

    url: str
    ca: Path
    certificate: Path
    key: Path


@contextmanager
def connected(nifi: NiFi) -> Iterator[None]:
    """Point nipyapi at this NiFi; turns what the client raises into our errors.

    Raises TransientError when NiFi does not answer or is not ready, TerminalError when it refuses the call.
    """
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)  # its retries are ours to tell
    configuration = nipyapi.config.nifi_config
    configuration.host = nifi.url
    configuration.verify_ssl = True
    try:
        # Not nipyapi's helper, which goes on without a certificate that it cannot read.
        configuration.ssl_context = ssl.create_default_context(cafile=nifi.ca)
        configuration.ssl_context.load_cert_chain(nifi.certificate, nifi.key)
    except OSError as error:  # as are those of ssl
        raise TerminalError(
            f"the certificates for NiFi in {nifi.certificate.parent} cannot be used: {error}",
            "./scripts/pipeline doctor looks at them",
        ) from error
    configuration.api_client = _patient_client()
    try:
        yield
    except HTTPError as error:
        reason = getattr(error, "reason", None) or error
        if "certificate" in str(reason).lower():
            raise TerminalError(
                f"NiFi at {nifi.url} and this stack do not accept each other's certificates: {reason}",
                "./scripts/pipeline doctor looks at ours; another NiFi may listen there",
            ) from error
        raise TransientError(
            f"NiFi at {nifi.url} does not answer: {reason}",
            "./scripts/run starts it, also one that hangs; ./scripts/pipeline logs nifi says more",
        ) from error
    except ApiException as error:
        raise _refused(nifi, error) from error
    except ValueError as error:  # into which nipyapi's helpers turn an ApiException
        if not isinstance(error.__cause__, ApiException):
            raise
        raise _refused(nifi, error.__cause__) from error


def _refused(nifi: NiFi, error: ApiException) -> PipelineError:
    text = str(error.body or error.reason).strip()
    if error.status == 409 or error.status >= 500:
        return TransientError(f"NiFi at {nifi.url} is not ready for this: {text}", "try again")
    return TerminalError(f"NiFi at {nifi.url} refuses ({error.status}): {text}", "./scripts/pipeline logs nifi")


class _Retry(Retry):
    """Leaves alone what was not answered in all that time: asking again would only make a hang last longer."""

    def increment(self, *args: Any, **kwargs: Any) -> Self:
        if isinstance(error := kwargs.get("error"), ReadTimeoutError):
            raise error
        return super().increment(*args, **kwargs)


class _PatientClient(RESTClientObject):  # type: ignore[misc]  # nipyapi has no types
    """Waits for an answer as long as is sensible; nipyapi's own waits for ever."""

    def __init__(self) -> None:
        super().__init__()
        self.pool_manager.connection_pool_kw["retries"] = _Retry(3)

    def request(self, method: str, url: str, _request_timeout: Any = None, **rest: Any) -> Any:
        return super().request(method, url, _request_timeout=_request_timeout or _PATIENCE, **rest)


def _patient_client() -> ApiClient:
    """Made for each connection, since it keeps the certificates that it was made with."""
    client = ApiClient()
    client.rest_client = _PatientClient()
    return client


def allow_deploying() -> None:
    """Give the connected identity what a deployer needs on the root group, where a fresh admin lacks it."""
    try:
        nipyapi.canvas.get_process_group(nipyapi.canvas.get_root_pg_id(), "id")
    except ValueError:  # as nipyapi reports a 403
        nipyapi.security.bootstrap_security_policies("nifi")
