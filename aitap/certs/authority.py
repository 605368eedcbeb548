"""The signing CA: mitmproxy's own, found in its configuration folder or made there before its first start.

Clients need the certificate only; the key never leaves mitmproxy's file. Loading ``cryptography``
is put off until someone asks for more than bytes, so that ``aitap env`` starts fast.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import os
import re
import tempfile
from datetime import datetime
from pathlib import Path

import msgspec

from aitap.atomic_file import atomic_file

__all__ = ["DEFAULT_CONFDIR", "Authority", "AuthorityError", "Facts", "certificates", "ensure_authority", "facts"]

DEFAULT_CONFDIR = Path("~/.mitmproxy")

# Names and key size are mitmproxy's (mitmproxy/options.py: CONF_BASENAME, KEY_SIZE).
_BASENAME = "mitmproxy"
_KEY_SIZE = 2048

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


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What there is to know of a CA."""

    path: str
    subject: str
    sha256: str
    not_before: datetime
    not_after: datetime


def certificates(pem: bytes) -> list[bytes]:
    """The certificates in a PEM text, as DER; whatever else stands there is skipped, and so are broken ones."""
    found = []
    for match in _PEM.finditer(pem):
        with contextlib.suppress(binascii.Error):
            found.append(base64.b64decode(b"".join(match[1].split()), validate=True))
    return found


def ensure_authority(confdir: Path) -> Authority:
    """The CA mitmproxy signs with when it is started with this ``confdir``; made now if there is none yet.

    Raises :class:`AuthorityError`.
    """
    confdir = confdir.expanduser().absolute()
    secret, public = confdir / f"{_BASENAME}-ca.pem", confdir / f"{_BASENAME}-ca-cert.pem"
    try:
        if not secret.exists() and not public.exists():
            _create(confdir)
        # Whoever may not read the key (a client's user beside a proxy's user) takes the certificate file's word.
        source = secret if secret.exists() and os.access(secret, os.R_OK) else public
        found = certificates(source.read_bytes())
        if not found:
            raise AuthorityError(f"{source} holds no certificate")
        if source is secret and (not public.exists() or certificates(public.read_bytes())[:1] != found[:1]):
            with atomic_file(public) as file:
                file.write(_PEM.search(secret.read_bytes())[0] + b"\n")  # type: ignore[index]
    except OSError as error:
        raise AuthorityError(f"{error.filename or confdir}: {error.strerror or error}") from None
    return Authority(path=public, der=found[0])


def _create(confdir: Path) -> None:
    from mitmproxy.certs import CertStore

    confdir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".aitap-", dir=confdir) as folder:
        CertStore.create_store(Path(folder), _BASENAME, _KEY_SIZE)
        secret = f"{_BASENAME}-ca.pem"
        # A proxy that starts at this moment makes its own: the first key in place wins, and nobody mixes files.
        try:
            os.link(Path(folder) / secret, confdir / secret)
        except FileExistsError:
            return
        for made in Path(folder).iterdir():
            if made.name != secret:
                made.replace(confdir / made.name)


def facts(authority: Authority) -> Facts:
    """Subject and dates of a CA. Raises :class:`AuthorityError` where the certificate cannot be parsed."""
    from cryptography import x509

    try:
        certificate = x509.load_der_x509_certificate(authority.der)
    except ValueError as error:
        raise AuthorityError(f"{authority.path}: {error}") from None
    return Facts(
        path=str(authority.path),
        subject=certificate.subject.rfc4514_string(),
        sha256=authority.fingerprint,
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
    )
