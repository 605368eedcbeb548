"""The CA of a proxy on another machine: fetched once from the proxy's own page, kept beside others of its kind.

The page is plain HTTP, so whoever stands between could hand out a CA of his own: the fingerprint is what
counts, and it has to come another way. Only a certificate is ever kept; a file with a key in it is refused.
"""

from __future__ import annotations

import hashlib
import http.client
import ssl
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from aitap.atomic_file import atomic_file
from aitap.certs.authority import DEFAULT_CONFDIR, Authority, AuthorityError, certificates
from aitap.settings import data_folder

if TYPE_CHECKING:
    from pathlib import Path

    from aitap.certs.proxy_address import ProxyAddress

__all__ = ["certificate_file", "fetch", "fetched_path", "is_own", "same_fingerprint", "save", "signs_elsewhere"]

PAGE = "/ca.pem"
"""Where a proxy serves its CA, on its own address."""

_SECONDS = 10.0
_MOST_BYTES = 1 << 20


def fetched_path(proxy: ProxyAddress) -> Path:
    """Where the CA of this proxy is kept once it was fetched."""
    return data_folder() / "proxies" / f"{proxy.host.replace(':', '-')}_{proxy.port}" / "ca.pem"


def is_own(der: bytes) -> bool:
    """Whether this certificate is that of this machine's own CA, in the folder where it is unless told otherwise."""
    return _found_in(DEFAULT_CONFDIR.expanduser() / "mitmproxy-ca-cert.pem")[:1] == [der]


def signs_elsewhere(proxy: ProxyAddress) -> bool:
    """Whether a CA was fetched for this address, and it is not this machine's own.

    Such a proxy is on another machine, also where its address is of this one: the near end of a tunnel, say.
    """
    kept = _found_in(fetched_path(proxy))
    return bool(kept) and not is_own(kept[0])


def _found_in(path: Path) -> list[bytes]:
    try:
        return certificates(path.read_bytes())
    except OSError:
        return []


def certificate_file(path: Path) -> Authority:
    """A CA that someone was given as a file. Raises :class:`AuthorityError`, also where a key is in it."""
    try:
        pem = path.read_bytes()
    except OSError as error:
        raise AuthorityError(f"{path}: {error.strerror or error}") from None
    return Authority(path=path.absolute(), der=_certificate(pem, str(path)))


def fetch(proxy: ProxyAddress) -> bytes:
    """The CA this proxy signs with, as DER, from its page. Raises :class:`AuthorityError`."""
    # Nothing vouches for the page, whatever the scheme: the fingerprint does.
    connection = (
        http.client.HTTPSConnection(proxy.host, proxy.port, timeout=_SECONDS, context=_unverified())
        if proxy.scheme == "https"
        else http.client.HTTPConnection(proxy.host, proxy.port, timeout=_SECONDS)
    )
    headers = {"Proxy-Authorization": proxy.authorization} if proxy.authorization else {}
    try:
        connection.request("GET", PAGE, headers=headers)
        response = connection.getresponse()
        body = response.read(_MOST_BYTES)
    except (OSError, http.client.HTTPException) as error:
        reason = (
            error.strerror if isinstance(error, OSError) and error.strerror else (str(error) or type(error).__name__)
        )
        raise AuthorityError(f"no proxy answers at {proxy.place}: {reason}") from None
    finally:
        connection.close()
    if response.status == http.client.PROXY_AUTHENTICATION_REQUIRED:
        raise AuthorityError(
            f"{proxy.place} refuses this key: ask for another (`aitap keys create --user NAME`)"
            if proxy.authorization
            else f"{proxy.place} wants a key: write http://USER:KEY@{proxy.place}, or give --key-file"
        )
    if response.status != http.client.OK:
        raise AuthorityError(f"{proxy.place}{PAGE} answers {response.status}: is this the address of an aitap proxy?")
    return _certificate(body, f"{proxy.place}{PAGE}")


def _unverified() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _certificate(pem: bytes, source: str) -> bytes:
    from cryptography import x509

    if b"PRIVATE KEY-----" in pem:
        raise AuthorityError(f"{source} holds a private key: clients get the certificate alone, without the key")
    found = certificates(pem)
    if not found:
        raise AuthorityError(f"{source} holds no certificate")
    try:
        certificate = x509.load_der_x509_certificate(found[0])
        is_ca = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (ValueError, x509.ExtensionNotFound):
        is_ca = False
    if not is_ca:
        raise AuthorityError(f"{source} holds a certificate that is no CA")
    if certificate.not_valid_after_utc < datetime.now(UTC):
        raise AuthorityError(f"{source} holds a CA that expired on {certificate.not_valid_after_utc:%Y-%m-%d}")
    return found[0]


def same_fingerprint(der: bytes, fingerprint: str) -> bool:
    """Whether this is the SHA-256 fingerprint of the certificate; colons, spaces and case do not count.

    Raises ``ValueError`` for what is no SHA-256 fingerprint.
    """
    try:
        wanted = bytes.fromhex(fingerprint.replace(":", ""))
    except ValueError:
        wanted = b""
    if len(wanted) != hashlib.sha256().digest_size:
        raise ValueError("write the SHA-256 fingerprint: 64 hexadecimal digits, with or without colons")
    return wanted == hashlib.sha256(der).digest()


def save(der: bytes, path: Path, *, replace: bool) -> bool:
    """Keep the CA in this file; False where it is there already. Raises :class:`AuthorityError`.

    Another certificate that stands there stays, unless ``replace``.
    """
    try:
        there = certificates(path.read_bytes()) if path.exists() else []
        if there == [der]:
            return False
        if path.exists() and not replace:
            raise AuthorityError(
                f"{path} is there and holds something else: if the proxy has a new CA, compare the fingerprint and "
                "use --replace"
            )
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with atomic_file(path) as file:
            file.write(ssl.DER_cert_to_PEM_cert(der).encode())
    except OSError as error:
        raise AuthorityError(f"{error.filename or path}: {error.strerror or error}") from None
    return True
