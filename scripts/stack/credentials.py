"""Everything secret that a stack needs, made at its first start: a CA, certificates, passwords and keys.

Files are mode 600 in a folder of mode 700 under the stack's home, outside git.
"""

from __future__ import annotations

import datetime
import ipaddress
import json
import secrets
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from nifi_flows.errors import TerminalError, TransientError
from nifi_flows.files import write_private

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

ADMIN_IDENTITY = "CN=admin"
RENEWAL = datetime.timedelta(days=30)  # before their end, certificates are made anew
_LIFETIME = datetime.timedelta(days=825)
_WORDS = "words.json"  # the passwords and keys
_CERTIFICATES = ("ca.pem", "nifi.pem", "admin.pem")


@dataclass(frozen=True)
class Credentials:
    """Paths of PEM files and the texts of the passwords; never print one."""

    ca: Path
    nifi_certificate: Path
    nifi_key: Path
    admin_certificate: Path
    admin_key: Path
    cassandra_admin_password: str
    cassandra_password: str
    nifi_sensitive_key: str
    spark_secret: str
    airflow_password: str
    airflow_secret: str


@dataclass(frozen=True)
class _Words:
    cassandra_admin_password: str
    cassandra_password: str
    nifi_sensitive_key: str
    spark_secret: str
    # A stack that is older than Airflow in it has none of these yet.
    airflow_password: str = ""
    airflow_secret: str = ""


def ensure(folder: Path) -> Credentials:
    """Load the credentials in `folder`, making what is missing. Raises TerminalError for damaged passwords."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    words = _complete(folder / _WORDS, _words(folder / _WORDS) or _Words("", "", "", ""))
    if not (folder / "admin.pem").exists():
        _make_certificates(folder)
    return _credentials(folder, words)


def load(folder: Path) -> Credentials | None:
    """The credentials in `folder` as they are, None when none have been made. Raises as `ensure` does."""
    words = _words(folder / _WORDS)
    return _credentials(folder, words) if words else None


def present(folder: Path) -> bool:
    """Whether any have been made in `folder`, also when they are damaged."""
    return (folder / _WORDS).exists()


def require(folder: Path) -> Credentials:
    """The credentials in `folder` as they are; raises TransientError when none have been made, and as `ensure` does."""
    credentials = load(folder)
    if credentials is None:
        raise TransientError(f"no secrets have been made in {folder}", "start the stack with ./scripts/run")
    return credentials


def ends(folder: Path) -> dict[str, datetime.datetime | None]:
    """File name of each certificate -> when it ends; None where the file is no certificate or cannot be read."""
    return {name: _end(folder / name) for name in _CERTIFICATES}


def renew(folder: Path) -> bool:
    """Make certificates anew when one has ended, ends within RENEWAL or is damaged; returns whether it was so.

    Not while NiFi runs: it would go on with the old ones, and trust no new one.
    """
    admin = folder / "admin.pem"
    limit = datetime.datetime.now(datetime.UTC) + RENEWAL
    if not admin.exists() or all(end is not None and end > limit for end in ends(folder).values()):
        return False
    admin.unlink()  # the sign that all are there, until they are
    _make_certificates(folder)
    return True


def _end(path: Path) -> datetime.datetime | None:
    from cryptography import x509

    try:
        return x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc
    except (OSError, ValueError):
        return None


def _credentials(folder: Path, words: _Words) -> Credentials:
    return Credentials(
        ca=folder / "ca.pem",
        nifi_certificate=folder / "nifi.pem",
        nifi_key=folder / "nifi.key",
        admin_certificate=folder / "admin.pem",
        admin_key=folder / "admin.key",
        **asdict(words),
    )


def _words(path: Path) -> _Words | None:
    """None when there are none yet."""
    if not path.exists():
        return None
    try:
        return _Words(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError) as error:
        # New ones would open nothing: Cassandra knows the old passwords, NiFi's flow is sealed with the old key.
        raise TerminalError(
            f"{path} does not hold this stack's passwords: {error}",
            "put it back from a copy, or begin anew with ./scripts/pipeline down --wipe",
        ) from error


def _complete(path: Path, words: _Words) -> _Words:
    """The words with those that were missing, made and written."""
    missing = [field.name for field in fields(words) if not getattr(words, field.name)]
    if missing:
        words = replace(words, **{name: secrets.token_urlsafe(24) for name in missing})
        write_private(path, json.dumps(asdict(words)))
    return words


def _make_certificates(folder: Path) -> None:
    """A CA whose key is thrown away once it has signed the server's and the client's certificate."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    ca_key = ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Local pipeline CA")])
    ca = (
        _certificate(ca_name, ca_name, ca_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(ca_key, hashes.SHA256())
    )
    write_private(folder / "ca.pem", ca.public_bytes(serialization.Encoding.PEM))
    names: list[x509.GeneralName] = [
        x509.DNSName("localhost"),
        x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
    ]
    server, client = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH
    # admin.pem comes last: its presence says that all of them are there.
    for name, usages in (("nifi", [server, client]), ("admin", [client])):
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        signed = (
            _certificate(subject, ca_name, key.public_key())
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .sign(ca_key, hashes.SHA256())
        )
        pkcs8 = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        write_private(folder / f"{name}.key", pkcs8)
        write_private(folder / f"{name}.pem", signed.public_bytes(serialization.Encoding.PEM))


def _certificate(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    from cryptography import x509

    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + _LIFETIME)
    )
