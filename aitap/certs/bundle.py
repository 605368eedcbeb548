"""The trust bundle: the system's roots and our CA in one PEM file.

Most variables that name a CA file *replace* the client's trust store (clients.md tells which), so a
client that gets our CA alone could no longer reach hosts the proxy only tunnels.
"""

from __future__ import annotations

import os
import ssl
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from aitap.atomic_file import atomic_file
from aitap.certs.authority import Authority, AuthorityError, certificates

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["bundle_path", "bundle_text", "system_roots", "write_bundle"]

# Where systems keep all roots in one file: Debian, Fedora, openSUSE, older Red Hat, Alpine and macOS, FreeBSD.
_FILES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
    "/usr/local/share/certs/ca-root-nss.crt",
)

_OURS = "aitap-ca-bundle.pem"


def bundle_path(authority: Authority) -> Path:
    """Where the bundle of a CA is kept: beside the CA."""
    return authority.path.with_name(_OURS)


def system_roots(environ: Mapping[str, str] = os.environ, files: Iterable[str] = _FILES) -> list[bytes]:
    """The roots this machine trusts, as DER; what ``SSL_CERT_FILE`` names comes on top (a company's own CA, say).

    A machine without any root store gets the list that comes with mitmproxy (certifi).
    """
    found: dict[bytes, None] = {}
    extra = environ.get("SSL_CERT_FILE")
    # Inside `aitap exec` the variable names our own bundle: an old CA in there must not live for ever.
    if extra and Path(extra).name != _OURS:
        found.update(dict.fromkeys(_read(Path(extra))))
    if sys.platform == "win32":
        found.update({der: None for der, encoding, _ in ssl.enum_certificates("ROOT") if encoding == "x509_asn"})
        return list(found)
    paths = ssl.get_default_verify_paths()
    for candidate in (paths.openssl_cafile, *files):
        if system := _read(Path(candidate)):
            return list(found | dict.fromkeys(system))
    folder = Path(paths.openssl_capath)
    singles = [der for path in sorted(folder.glob("*")) for der in _read(path)] if folder.is_dir() else []
    if not singles:
        import certifi

        singles = _read(Path(certifi.where()))
    return list(found | dict.fromkeys(singles))


def _read(path: Path) -> list[bytes]:
    try:
        return certificates(path.read_bytes())
    except OSError:
        return []


def bundle_text(authority: Authority, roots: Iterable[bytes]) -> bytes:
    """Our CA first, then each root once, as PEM."""
    ordered = dict.fromkeys([authority.der, *roots])
    return "".join(ssl.DER_cert_to_PEM_cert(der) for der in ordered).encode()


def write_bundle(authority: Authority, path: Path | None = None) -> Path:
    """The bundle on disk, up to date; written only where it changed, in one step. Raises :class:`AuthorityError`."""
    path = path or bundle_path(authority)
    text = bundle_text(authority, system_roots())
    try:
        if not (path.is_file() and path.read_bytes() == text):
            with atomic_file(path) as file:
                file.write(text)
    except OSError as error:
        raise AuthorityError(f"{path}: {error.strerror or error}") from None
    return path
