"""The CA of a configuration folder of mitmproxy's: the one that is there, or ours, made before the first start.

Clients trust the last certificate of the chain: the root, where there is one above the one that signs. They
need that certificate only; no key ever leaves its file. Loading ``cryptography`` is put off until someone
asks for more than bytes, so that ``aitap env`` starts fast.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import os
import re
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from aitap.atomic_file import atomic_file

if TYPE_CHECKING:
    from cryptography import x509

    from aitap.certs.permitted import Permitted

__all__ = [
    "DEFAULT_CONFDIR",
    "PUBLIC",
    "ROOT",
    "SIGNING",
    "Authority",
    "AuthorityError",
    "Facts",
    "SignerFacts",
    "certificates",
    "ensure_authority",
    "facts",
]

DEFAULT_CONFDIR = Path("~/.mitmproxy")

# The first two are mitmproxy's names (mitmproxy/options.py: CONF_BASENAME).
SIGNING = "mitmproxy-ca.pem"
"""The signing key, its certificate, and the chain up to the root, in this order."""
PUBLIC = "mitmproxy-ca-cert.pem"
"""The root: what clients trust."""
ROOT = "aitap-root.pem"
"""The key and the certificate of a root of ours. The proxy needs it for renewals only."""

_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----\s+(.*?)\s+-----END CERTIFICATE-----", re.DOTALL)


class AuthorityError(Exception):
    """The CA cannot be read or made. One line that says why."""


class Authority(msgspec.Struct, frozen=True, kw_only=True):
    """A CA certificate on disk."""

    path: Path
    """PEM file with the certificate and without the key: the one to give to clients."""
    der: bytes

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate, as ``AB:CD:...``: what browsers and ``openssl x509 -fingerprint`` show."""
        return hashlib.sha256(self.der).digest().hex(":").upper()


class SignerFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What there is to know of the certificate that signs for the proxy."""

    subject: str
    sha256: str
    not_before: datetime
    not_after: datetime
    dns: tuple[str, ...] | None
    """Host names that it may sign for, each with all below it; None for any."""
    addresses: tuple[str, ...] | None
    """IP addresses that it may sign for; None for any."""


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What there is to know of a CA. All but ``kind``, ``signer`` and ``root_key`` is of what clients trust."""

    path: str
    subject: str
    sha256: str
    not_before: datetime
    not_after: datetime
    kind: Literal["constrained", "unconstrained", "unknown"] = "unknown"
    """Whether it may sign for any host; unknown where this user may not read the proxy's files."""
    signer: SignerFacts | None = None
    """The certificate that signs for the proxy: an intermediate, or the same again."""
    root_key: str | None = None
    """Where the key for renewals is; None where it is elsewhere or this is no CA of ours."""


def certificates(pem: bytes) -> list[bytes]:
    """The certificates in a PEM text, as DER; whatever else stands there is skipped, and so are broken ones."""
    found = []
    for match in _PEM.finditer(pem):
        with contextlib.suppress(binascii.Error):
            found.append(base64.b64decode(b"".join(match[1].split()), validate=True))
    return found


def ensure_authority(confdir: Path) -> Authority:
    """The CA mitmproxy signs with when it is started with this ``confdir``; ours is made now if there is none yet.

    What is made may sign for the hosts in the provider table and in the ``aitap.toml`` in force. Raises
    :class:`AuthorityError`, and ``SettingsError`` where the file cannot be read.
    """
    confdir = confdir.expanduser().absolute()
    secret, public = confdir / SIGNING, confdir / PUBLIC
    try:
        if not secret.exists() and not public.exists():
            _create(confdir)
        # Whoever may not read the key (a client's user beside a proxy's user) takes the certificate file's word.
        source = secret if secret.exists() and os.access(secret, os.R_OK) else public
        found = certificates(source.read_bytes())
        if not found:
            raise AuthorityError(f"{source} holds no certificate")
        trusted = found[-1] if source is secret else found[0]
        if source is secret and (not public.exists() or certificates(public.read_bytes())[:1] != [trusted]):
            with atomic_file(public) as file:
                file.write(list(_PEM.finditer(secret.read_bytes()))[-1][0] + b"\n")
    except OSError as error:
        raise AuthorityError(
            f"{error.filename or confdir}: {error.strerror or error}; the CA is kept in {confdir}: "
            "make that yours to read and write, or name another folder with --confdir"
        ) from None
    return Authority(path=public, der=trusted)


def _create(confdir: Path) -> None:
    from aitap.certs.own_ca import create
    from aitap.certs.permitted import decrypted_hosts, permitted_names
    from aitap.settings import load

    create(confdir, permitted_names(decrypted_hosts(load().providers)))


def facts(authority: Authority) -> Facts:
    """What the certificates say. Raises :class:`AuthorityError` where one cannot be parsed."""
    from cryptography import x509

    from aitap.certs.constraints import permitted_by

    try:
        certificate = x509.load_der_x509_certificate(authority.der)
        chain = [x509.load_der_x509_certificate(der) for der in _signing_chain(authority)]
        limits = [found for one in chain if (found := permitted_by(one)) is not None]
    except ValueError as error:
        raise AuthorityError(f"{authority.path}: {error}") from None
    root_key = authority.path.with_name(ROOT)
    return Facts(
        path=str(authority.path),
        subject=certificate.subject.rfc4514_string(),
        sha256=authority.fingerprint,
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        kind="unknown" if not chain else "constrained" if limits else "unconstrained",
        signer=_signer(chain[0], limits[0] if limits else None) if chain else None,
        root_key=str(root_key) if root_key.exists() else None,
    )


def _signing_chain(authority: Authority) -> list[bytes]:
    try:
        return certificates(authority.path.with_name(SIGNING).read_bytes())
    except OSError:
        return []


def _signer(certificate: x509.Certificate, permitted: Permitted | None) -> SignerFacts:
    from cryptography.hazmat.primitives import hashes

    return SignerFacts(
        subject=certificate.subject.rfc4514_string(),
        sha256=certificate.fingerprint(hashes.SHA256()).hex(":").upper(),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        dns=permitted.dns if permitted else None,
        addresses=permitted.addresses if permitted else None,
    )
