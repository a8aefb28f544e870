"""A NiFi reached over mutual TLS, as nipyapi wants it configured."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import nipyapi
from nipyapi.nifi.rest import ApiException
from urllib3.exceptions import HTTPError

from nifi_flows.errors import TerminalError, TransientError


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
    configuration.retries = 0
    nipyapi.security.set_service_ssl_context(
        "nifi", ca_file=str(nifi.ca), client_cert_file=str(nifi.certificate), client_key_file=str(nifi.key)
    )
    try:
        yield
    except HTTPError as error:
        reason = getattr(error, "reason", None) or error
        if "certificate" in str(reason).lower():
            raise TerminalError(
                f"NiFi at {nifi.url} and this stack do not accept each other's certificates: {reason}",
                "./scripts/pipeline doctor looks at ours; another NiFi may listen there",
            ) from error
        raise TransientError(f"NiFi at {nifi.url} does not answer: {reason}", "./scripts/pipeline logs nifi") from error
    except ApiException as error:
        text = str(error.body or error.reason).strip()
        if error.status == 409 or error.status >= 500:
            raise TransientError(f"NiFi at {nifi.url} is not ready for this: {text}", "try again") from error
        raise TerminalError(
            f"NiFi at {nifi.url} refuses ({error.status}): {text}", "./scripts/pipeline logs nifi"
        ) from error


def allow_deploying() -> None:
    """Give the connected identity what a deployer needs on the root group, where a fresh admin lacks it."""
    try:
        nipyapi.canvas.get_process_group(nipyapi.canvas.get_root_pg_id(), "id")
    except ValueError:  # as nipyapi reports a 403
        nipyapi.security.bootstrap_security_policies("nifi")
