"""Credentials: private files, made once, and certificates that a TLS handshake accepts."""

import datetime
import ipaddress
import json
import os
import re
import ssl
import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID

from nifi_flows.errors import TerminalError
from scripts.stack import credentials
from scripts.stack.credentials import ADMIN_IDENTITY, Credentials


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def words(made: Credentials) -> list[str]:
    return [made.cassandra_admin_password, made.cassandra_password, made.nifi_sensitive_key, made.spark_secret]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "home" / "secrets"


@pytest.fixture
def made(folder: Path) -> Credentials:
    return credentials.ensure(folder)


def test_everything_is_for_its_owner_alone(folder: Path) -> None:
    old = os.umask(0)
    try:
        credentials.ensure(folder)
    finally:
        os.umask(old)
    assert mode(folder) == 0o700
    names = {path.name: mode(path) for path in folder.iterdir()}
    expected = ["admin.key", "admin.pem", "ca.pem", "nifi.key", "nifi.pem", "words.json"]
    assert names == dict.fromkeys(expected, 0o600)


def test_an_open_folder_is_closed(folder: Path) -> None:
    folder.mkdir(parents=True, mode=0o777)
    folder.chmod(0o777)
    credentials.ensure(folder)
    assert mode(folder) == 0o700


def test_a_second_call_gives_the_same(folder: Path, made: Credentials) -> None:
    before = {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.iterdir()}
    assert credentials.ensure(folder) == made
    assert {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.iterdir()} == before


def test_every_stack_has_words_of_its_own_and_long_ones(made: Credentials, tmp_path: Path) -> None:
    other = credentials.ensure(tmp_path / "other")
    all_words = words(made) + words(other)
    assert len(set(all_words)) == len(all_words)
    for word in all_words:
        assert re.fullmatch(r"[A-Za-z0-9_-]{24,}", word), "no character that a configuration file would read otherwise"


def test_a_first_start_that_was_cut_short_is_made_up_for(folder: Path, made: Credentials) -> None:
    """The administrator's certificate is the last file: without it, none of the certificates is trusted to be whole."""
    made.admin_certificate.unlink()
    again = credentials.ensure(folder)
    assert words(again) == words(made)
    shake(again, "localhost", again)


@pytest.mark.parametrize("text", ["", '{"cassandra_admin_pass', "null", "{}", '{"unknown": "word"}', "\xff"])
def test_damaged_passwords_are_told_and_never_replaced(folder: Path, made: Credentials, text: str) -> None:
    """Cassandra and NiFi keep what was set up with the old ones, so new ones would only hide what is wrong."""
    file = folder / "words.json"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(TerminalError) as refused:
        credentials.ensure(folder)
    assert str(file) in str(refused.value)
    assert "\n" not in str(refused.value)
    assert "--wipe" in refused.value.remedy
    assert file.read_bytes() == text.encode("latin-1")


def test_a_word_too_many_is_not_shown_with_its_value(folder: Path, made: Credentials) -> None:
    file = folder / "words.json"
    kept = json.loads(file.read_text())
    file.write_text(json.dumps({**kept, "more": "open-sesame"}))
    with pytest.raises(TerminalError) as refused:
        credentials.ensure(folder)
    assert not [word for word in ["open-sesame", *words(made)] if word in str(refused.value)]


def _certificate(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def test_the_chain_verifies_and_keys_belong_to_their_certificates(made: Credentials) -> None:
    ca = _certificate(made.ca)
    ca.verify_directly_issued_by(ca)
    constraints = ca.extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical
    assert (constraints.value.ca, constraints.value.path_length) == (True, 0)
    for path, key in ((made.nifi_certificate, made.nifi_key), (made.admin_certificate, made.admin_key)):
        certificate = _certificate(path)
        certificate.verify_directly_issued_by(ca)
        assert certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False
        private = load_pem_private_key(key.read_bytes(), None)
        assert private.public_key() == certificate.public_key()


def test_the_key_of_the_authority_is_kept_nowhere(folder: Path, made: Credentials) -> None:
    authority = _certificate(made.ca).public_key()
    for key in folder.glob("*.key"):
        assert load_pem_private_key(key.read_bytes(), None).public_key() != authority


def test_who_may_be_what(made: Credentials) -> None:
    server, client = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH
    for path, usages in ((made.nifi_certificate, {server, client}), (made.admin_certificate, {client})):
        extension = _certificate(path).extensions.get_extension_for_class(x509.ExtendedKeyUsage)
        assert set(extension.value) == usages
    assert _certificate(made.admin_certificate).subject.rfc4514_string() == ADMIN_IDENTITY


def test_the_server_answers_to_loopback_only(made: Credentials) -> None:
    names = _certificate(made.nifi_certificate).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    assert names.get_values_for_type(x509.IPAddress) == [ipaddress.ip_address("127.0.0.1")]


def test_certificates_hold_now_and_for_a_good_while(made: Credentials) -> None:
    now = datetime.datetime.now(datetime.UTC)
    for path in (made.ca, made.nifi_certificate, made.admin_certificate):
        certificate = _certificate(path)
        assert certificate.not_valid_before_utc < now
        assert datetime.timedelta(days=365) < certificate.not_valid_after_utc - now < datetime.timedelta(days=826)


def shake(made: Credentials, host: str, client: Credentials | None, ca: Path | None = None) -> None:
    """A whole mutual TLS handshake in memory. Raises ssl.SSLError as either side would."""
    at_server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    at_server.load_cert_chain(made.nifi_certificate, made.nifi_key)
    at_server.load_verify_locations(made.ca)
    at_server.verify_mode = ssl.CERT_REQUIRED
    at_client = ssl.create_default_context(cafile=ca or made.ca)
    if client is not None:
        at_client.load_cert_chain(client.admin_certificate, client.admin_key)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    serving = at_server.wrap_bio(to_server, to_client, server_side=True)
    calling = at_client.wrap_bio(to_client, to_server, server_hostname=host)
    for _ in range(4):
        for side in (calling, serving):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_client_and_server_accept_each_other(made: Credentials, host: str) -> None:
    shake(made, host, made)


def test_another_name_is_not_accepted(made: Credentials) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="example"):
        shake(made, "nifi.example", made)


def test_without_a_certificate_nobody_is_let_in(made: Credentials) -> None:
    with pytest.raises(ssl.SSLError, match=r"(?i)peer did not return a certificate"):
        shake(made, "localhost", None)


def test_the_certificate_of_another_stack_is_not_let_in(made: Credentials, tmp_path: Path) -> None:
    other = credentials.ensure(tmp_path / "other")
    with pytest.raises(ssl.SSLError, match=r"(?i)verify failed"):
        shake(made, "localhost", other)
    with pytest.raises(ssl.SSLCertVerificationError):
        shake(made, "localhost", made, ca=other.ca)


def _ending_in(folder: Path, made: Credentials, days: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the certificates anew, so that they end in so many days."""
    with monkeypatch.context() as shorter:
        shorter.setattr(credentials, "_LIFETIME", datetime.timedelta(days=days))
        made.admin_certificate.unlink()
        credentials.ensure(folder)


@pytest.mark.parametrize(("days", "due"), [(-0.001, True), (29, True), (31, False)])
def test_certificates_are_renewed_before_they_end(
    folder: Path, made: Credentials, days: float, due: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    _ending_in(folder, made, days, monkeypatch)
    before = made.admin_certificate.read_bytes()
    assert credentials.renew(folder) is due
    assert (made.admin_certificate.read_bytes() != before) is due
    assert credentials.ensure(folder) == made, "the passwords stay"
    shake(made, "localhost", made)
    if due:
        test_certificates_hold_now_and_for_a_good_while(made)
    assert credentials.renew(folder) is False


@pytest.mark.parametrize("name", ["ca.pem", "nifi.pem"])
@pytest.mark.parametrize("content", [None, b"", b"no certificate"])
def test_a_damaged_certificate_is_renewed_with_the_others(
    folder: Path, made: Credentials, name: str, content: bytes | None
) -> None:
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_bytes(content)
    assert credentials.ends(folder)[name] is None
    assert credentials.renew(folder)
    shake(made, "localhost", made)


def test_a_renewal_that_was_cut_short_is_made_up_for(
    folder: Path, made: Credentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    _ending_in(folder, made, 5, monkeypatch)

    def interrupted(path: Path, content: bytes) -> None:
        if path.name == "nifi.pem":
            raise KeyboardInterrupt
        path.write_bytes(content)

    with monkeypatch.context() as broken:
        broken.setattr(credentials, "write_private", interrupted)
        with pytest.raises(KeyboardInterrupt):
            credentials.renew(folder)
    shake(credentials.ensure(folder), "localhost", made)


def test_to_look_is_not_to_make(folder: Path, tmp_path: Path) -> None:
    assert credentials.load(folder) is None
    assert credentials.renew(folder) is False
    assert set(credentials.ends(folder).values()) == {None}
    assert list(tmp_path.iterdir()) == []


def test_what_was_made_is_loaded(folder: Path, made: Credentials) -> None:
    assert credentials.load(folder) == made
    (folder / "words.json").write_text("{")
    with pytest.raises(TerminalError):
        credentials.load(folder)
