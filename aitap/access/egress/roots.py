"""Whom the proxy itself trusts on its way to providers: the usual roots, this machine's own, and ``upstream_ca``.

mitmproxy knows certifi's list alone, or one file in its place. A machine in a company's network often has the CA of
the company's TLS inspection in its own store, and clients that connect without us would heed it.
"""

from __future__ import annotations

import ssl
import tempfile
from pathlib import Path

import certifi

from aitap.atomic_file import atomic_file
from aitap.certs.authority import certificates
from aitap.certs.bundle import system_roots
from aitap.settings import SettingsError

__all__ = ["write_roots"]

_NAME = "aitap-upstream-roots.pem"


def write_roots(confdir: Path, upstream_ca: str, instead: str | None = None) -> Path:
    """A PEM file with every root to trust, in mitmproxy's folder (a temporary one where that cannot be written).

    ``instead`` is a file that stands for the usual roots. Raises :class:`SettingsError`.
    """
    usual = [Path(instead).expanduser()] if instead else [Path(certifi.where())]
    ders = [der for path in usual for der in _read(path, "ssl_verify_upstream_trusted_ca")]
    if not instead:
        ders += system_roots()
    if upstream_ca:
        ders += _read(Path(upstream_ca).expanduser(), "upstream_ca")
    text = "".join(ssl.DER_cert_to_PEM_cert(der) for der in dict.fromkeys(ders)).encode()
    path = confdir.expanduser() / _NAME
    try:
        if not (path.is_file() and path.read_bytes() == text):
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_file(path) as file:
                file.write(text)
    except OSError:
        path = Path(tempfile.mkdtemp(prefix="aitap-")) / _NAME
        path.write_bytes(text)
    return path


def _read(path: Path, setting: str) -> list[bytes]:
    try:
        found = certificates(path.read_bytes())
    except OSError as error:
        raise SettingsError(f"{setting} = {str(path)!r}: {error.strerror or error}") from None
    except ValueError as error:
        raise SettingsError(f"{setting} = {str(path)!r}: {error}") from None
    if not found:
        raise SettingsError(f"{setting} = {str(path)!r}: there is no certificate in this file; it must be PEM")
    return found
