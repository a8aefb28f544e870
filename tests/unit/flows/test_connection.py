"""A connection to NiFi: whatever the client raises becomes an error of ours, which says where, and what to do next."""

import socket
import time
from pathlib import Path

import nipyapi
import pytest
from nipyapi.nifi.rest import ApiException
from urllib3.exceptions import MaxRetryError

from nifi_flows import connection
from nifi_flows.connection import NiFi, connected
from nifi_flows.errors import PipelineError, TerminalError, TransientError
from scripts.stack import credentials


@pytest.fixture(scope="module")
def nifi(tmp_path_factory: pytest.TempPathFactory) -> NiFi:
    made = credentials.ensure(tmp_path_factory.mktemp("secrets"))
    return NiFi("https://127.0.0.1:9/nifi-api", made.ca, made.admin_certificate, made.admin_key)


def told(nifi: NiFi, error: Exception) -> PipelineError:
    """What comes out when this is raised while connected."""
    with pytest.raises(PipelineError) as raised, connected(nifi):
        raise error
    assert nifi.url in str(raised.value)
    return raised.value


def refusal(status: int) -> ApiException:
    error = ApiException(status=status, reason="because")
    error.body = "NiFi's own words"
    return error


@pytest.mark.parametrize(
    ("status", "kind"), [(400, TerminalError), (403, TerminalError), (409, TransientError), (503, TransientError)]
)
def test_what_nifi_refuses_is_told_in_its_words(nifi: NiFi, status: int, kind: type[PipelineError]) -> None:
    plain = told(nifi, refusal(status))
    assert type(plain) is kind and "NiFi's own words" in str(plain)
    with pytest.raises(PipelineError) as raised, connected(nifi), nipyapi.utils.rest_exceptions():
        raise refusal(status)
    assert (type(raised.value), str(raised.value)) == (kind, str(plain)), "through a helper of nipyapi's as well"


def test_a_value_error_of_our_own_is_left_alone(nifi: NiFi) -> None:
    with pytest.raises(ValueError, match="ours"), connected(nifi):
        raise ValueError("ours")


def test_a_certificate_that_is_not_accepted_is_terminal(nifi: NiFi) -> None:
    error = told(nifi, MaxRetryError(None, nifi.url, Exception("CERTIFICATE_VERIFY_FAILED")))  # type: ignore[arg-type]
    assert isinstance(error, TerminalError) and "certificates" in str(error)


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_certificate_that_cannot_be_used_is_named(nifi: NiFi, tmp_path: Path, content: str | None) -> None:
    damaged = tmp_path / "admin.pem"
    if content is not None:
        damaged.write_text(content)
    with (
        pytest.raises(TerminalError, match="certificates") as raised,
        connected(NiFi(nifi.url, nifi.ca, damaged, nifi.key)),
    ):
        pytest.fail("it must not come so far")
    assert str(tmp_path) in str(raised.value)


def test_a_nifi_that_takes_calls_and_never_answers_is_not_waited_for_for_ever(
    nifi: NiFi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "_PATIENCE", (0.2, 0.2))
    with socket.create_server(("127.0.0.1", 0)) as hung:
        url = f"https://127.0.0.1:{hung.getsockname()[1]}/nifi-api"
        begun = time.monotonic()
        with (
            pytest.raises(TransientError, match="does not answer"),
            connected(NiFi(url, nifi.ca, nifi.certificate, nifi.key)),
        ):
            nipyapi.nifi.FlowApi().get_about_info()
        assert time.monotonic() - begun < 10
        hung.setblocking(False)
        hung.accept()[0].close()
        with pytest.raises(BlockingIOError):  # asking again would only make a hang last longer
            hung.accept()
