"""CAs of any age in mitmproxy's folder, and situations to look at."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from aitap.certs.proxy_address import parse
from aitap.checkup.finding import Finding
from aitap.checkup.situation import Situation

__all__ = ["NOW", "found", "make_ca", "situation"]

NOW = datetime.now(UTC)
DAY = timedelta(days=1)


def make_ca(confdir: Path, begins: datetime = NOW - DAY, ends: datetime = NOW + 400 * DAY) -> bytes:
    """A CA such as mitmproxy's own, for any host, under mitmproxy's names; its certificate as DER."""
    confdir.mkdir(mode=0o700, parents=True, exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, "mitmproxy"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "mitmproxy"),
        ]
    )
    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    public = certificate.public_bytes(serialization.Encoding.PEM)
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (confdir / "mitmproxy-ca.pem").write_bytes(secret + public)
    (confdir / "mitmproxy-ca.pem").chmod(0o600)
    (confdir / "mitmproxy-ca-cert.pem").write_bytes(public)
    return certificate.public_bytes(serialization.Encoding.DER)


def situation(confdir: Path, **fields: Any) -> Situation:
    """A proxy on this machine, seen from a shell with the variables that are given and no others."""
    known: dict[str, Any] = {
        "proxy": parse("http://127.0.0.1:8080"),
        "proxy_from": "--proxy",
        "here": True,
        "confdir": confdir,
        "ca_file": None,
        "environ": {},
        "now": NOW,
        "database_url": f"sqlite:///{confdir}/records.db",
    }
    return Situation(**known | fields)


def found(findings: Any, check: str) -> list[Finding]:
    """The findings of one check."""
    return [finding for finding in findings if finding.check == check]
