"""Makes the certificates of our own CA: a root that clients trust, and an intermediate that signs for the proxy.

Both have EC P-256 keys. The intermediate can be held to the hosts we decrypt (RFC 5280, 4.2.1.10): then
whoever steals its key can impersonate no other host to those who trust the root.
"""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes

    from aitap.certs.permitted import Permitted

__all__ = ["INTERMEDIATE_LIFE", "ROOT_LIFE", "make_intermediate", "make_root", "pem", "private_pem"]

ROOT_LIFE = timedelta(days=3650)
INTERMEDIATE_LIFE = timedelta(days=365)

_SKEW = timedelta(days=2)
"""How far a client's clock may be behind ours; mitmproxy gives its leaves the same."""


def make_root(now: datetime | None = None) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    """A new root and its key. Its name is its own, so that two of them in one trust store are told apart."""
    now = now or datetime.now(UTC)
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("aitap root", key)
    builder = _builder(name, name, key, (now - _SKEW, now + ROOT_LIFE), path_length=1)
    return key, builder.sign(key, hashes.SHA256())


def make_intermediate(
    root_key: CertificateIssuerPrivateKeyTypes,
    root: x509.Certificate,
    permitted: Permitted | None,
    now: datetime | None = None,
) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    """A new intermediate and its key; without ``permitted`` it may sign for any host."""
    now = now or datetime.now(UTC)
    key = ec.generate_private_key(ec.SECP256R1())
    # From as early as the root: one that is made while the clock is ahead must be good when it is right again.
    life = root.not_valid_before_utc, min(now + INTERMEDIATE_LIFE, root.not_valid_after_utc)
    builder = _builder(_name("aitap proxy", key), root.subject, key, life, path_length=0)
    builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    identifier = root.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    builder = builder.add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False
    )
    if permitted is not None:
        builder = builder.add_extension(_constraints(permitted), critical=True)
    return key, builder.sign(root_key, hashes.SHA256())


def pem(*certificates: x509.Certificate) -> bytes:
    """These certificates as PEM."""
    return b"".join(certificate.public_bytes(serialization.Encoding.PEM) for certificate in certificates)


def private_pem(key: CertificateIssuerPrivateKeyTypes) -> bytes:
    """A private key as unencrypted PEM."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _name(kind: str, key: ec.EllipticCurvePrivateKey) -> x509.Name:
    digest = x509.SubjectKeyIdentifier.from_public_key(key.public_key()).digest.hex()
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, f"{kind} {digest[:8]}"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "aitap"),
        ]
    )


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    life: tuple[datetime, datetime],
    *,
    path_length: int,
) -> x509.CertificateBuilder:
    unused = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only"), False
    )
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(life[0])
        .not_valid_after(life[1])
        .add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        .add_extension(
            x509.KeyUsage(digital_signature=False, decipher_only=False, key_cert_sign=True, crl_sign=True, **unused),
            critical=True,
        )
        # mitmproxy before 12.2 reckons the issuer's key identifier anew in each leaf: it must be this kind.
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _constraints(permitted: Permitted) -> x509.NameConstraints:
    networks = [ipaddress.ip_network(address) for address in permitted.addresses]
    # Where no address of a kind is permitted, nothing is said of that kind until all of it is excluded.
    closed = [
        everything
        for everything in (ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0"))
        if not any(network.version == everything.version for network in networks)
    ]
    return x509.NameConstraints(
        permitted_subtrees=[*map(x509.DNSName, permitted.dns), *map(x509.IPAddress, networks)] or None,
        excluded_subtrees=[x509.IPAddress(network) for network in closed] or None,
    )
