"""CAs for tests, and leaves signed by them outside of any proxy."""

from __future__ import annotations

import ipaddress
import ssl
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from mitmproxy.certs import dummy_cert

from aitap.certs.issue import pem, private_pem

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True)
class Signer:
    """A CA that signs, with what stands above it."""

    key: Key
    chain: list[x509.Certificate]

    @property
    def certificate(self) -> x509.Certificate:
        return self.chain[0]

    @property
    def root(self) -> x509.Certificate:
        return self.chain[-1]

    def leaf(self, *names: str) -> x509.Certificate:
        """A leaf as mitmproxy makes it, whatever the constraints say."""
        sans = [_general_name(name) for name in names]
        common = next((name.value for name in sans if isinstance(name, x509.DNSName)), None)
        made: Any = dummy_cert(self.key, self.certificate, common, sans)
        return x509.load_pem_x509_certificate(made.to_pem())

    def served(self, folder: Path, *names: str) -> Path:
        """A file for a TLS server: a leaf, its chain and its key, which is the signer's own, as with mitmproxy."""
        path = folder / f"{names[0].replace(':', '_')}.pem"
        path.write_bytes(private_pem(self.key) + pem(self.leaf(*names), *self.chain[:-1]))
        return path


def signer_of(confdir: Path) -> Signer:
    """What the proxy signs with."""
    text = (confdir / "mitmproxy-ca.pem").read_bytes()
    key: Any = serialization.load_pem_private_key(text, None)
    return Signer(key, x509.load_pem_x509_certificates(text))


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def authority(
    name: str,
    above: Signer | None = None,
    *,
    ca: bool = True,
    path_length: int | None = None,
    sign: bool = True,
    days: tuple[float, float] = (-1, 100),
    key: Key | None = None,
    extensions: tuple[x509.ExtensionType, ...] = (),
    identifier: bytes | None = None,
) -> Signer:
    """A CA as somebody else might have made it, or what is none."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    unused = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
    usage = dict.fromkeys((*unused, "encipher_only", "decipher_only"), False)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(above.certificate.subject if above else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + timedelta(days=days[0]))
        .not_valid_after(now + timedelta(days=days[1]))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=path_length), critical=True)
        .add_extension(x509.KeyUsage(key_cert_sign=sign, crl_sign=sign, **usage), critical=True)
        .add_extension(
            x509.SubjectKeyIdentifier(identifier)
            if identifier
            else x509.SubjectKeyIdentifier.from_public_key(key.public_key()),
            critical=False,
        )
    )
    if above is not None:
        issuer = above.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        extensions = (x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer), *extensions)
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    signed = builder.sign(above.key if above else key, hashes.SHA256())
    return Signer(key, [signed, *(above.chain if above else [])])


def write(folder: Path, signer: Signer) -> dict[str, Path]:
    """``cert``, ``key`` and ``chain`` as files."""
    files = {name: folder / f"{name}.pem" for name in ("cert", "key", "chain")}
    files["cert"].write_bytes(pem(signer.certificate))
    files["key"].write_bytes(private_pem(signer.key))
    files["chain"].write_bytes(pem(*signer.chain[1:]))
    return files


def verify(signer: Signer, leaf: x509.Certificate, folder: Path) -> str:
    """What ``openssl verify`` says of a leaf."""
    for name, certificates in (("root", [signer.root]), ("above", signer.chain), ("leaf", [leaf])):
        (folder / f"{name}.pem").write_bytes(pem(*certificates))
    done = subprocess.run(
        ["openssl", "verify", "-x509_strict", "-CAfile", "root.pem", "-untrusted", "above.pem", "leaf.pem"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def server_context(file: Path) -> ssl.SSLContext:
    """A TLS server with this file."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context
