"""A CA that somebody else made, checked before the proxy signs with it: what is wrong is said now, in one line."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID

from aitap.certs.authority import AuthorityError
from aitap.certs.bundle import system_roots

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["read_authority"]

SigningKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
Extension = TypeVar("Extension", bound=x509.ExtensionType)


def read_authority(
    certificate_file: Path, key_file: Path, chain_file: Path | None = None, passphrase: bytes | None = None
) -> tuple[SigningKey, list[x509.Certificate]]:
    """The key of a CA, and its certificate with those above it up to the root. All files are PEM.

    A certificate above that is in none of the files is looked for among the roots that this machine trusts.
    Raises :class:`AuthorityError` for the first thing that is wrong.
    """
    first, *above = _certificates(certificate_file)
    if chain_file is not None:
        above += _certificates(chain_file)
    key = _key(key_file, passphrase)
    if key.public_key() != first.public_key():
        raise AuthorityError(f"{key_file} is not the key of {certificate_file}")
    chain = _chain(first, above)
    for place, certificate in enumerate(chain):
        _check(certificate, place)
    _check_identifier(key, first)
    return key, chain


def _certificates(path: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())
    except OSError as error:
        raise AuthorityError(f"{path}: {error.strerror or error}") from None
    except ValueError:
        raise AuthorityError(
            f"{path} holds no PEM certificate; `openssl x509 -inform der` makes one of a DER file"
        ) from None


def _key(path: Path, passphrase: bytes | None) -> SigningKey:
    try:
        text = path.read_bytes()
        key = load_pem_private_key(text, passphrase)
    except OSError as error:
        raise AuthorityError(f"{path}: {error.strerror or error}") from None
    except TypeError:
        if passphrase is None:
            raise AuthorityError(f"{path} is encrypted: name a file with its passphrase by --passphrase-file") from None
        return _key(path, None)  # it is not encrypted at all
    except ValueError:
        wrong = "cannot be read with this passphrase" if passphrase else "holds no PEM key"
        raise AuthorityError(f"{path} {wrong}") from None
    if not isinstance(key, (rsa.RSAPrivateKey, ec.EllipticCurvePrivateKey)):
        raise AuthorityError(f"{path}: mitmproxy signs with RSA and EC keys only")
    return key


def _chain(first: x509.Certificate, above: list[x509.Certificate]) -> list[x509.Certificate]:
    chain = [first]
    while (last := chain[-1]).issuer != last.subject:
        issuer = _issuer(last, above) or _issuer(last, _roots())
        if issuer is None or issuer in chain:
            raise AuthorityError(
                f"the chain is not complete: the certificate of {last.issuer.rfc4514_string()} is missing; "
                "give it by --chain"
            )
        chain.append(issuer)
    return chain


def _issuer(certificate: x509.Certificate, candidates: list[x509.Certificate]) -> x509.Certificate | None:
    for candidate in candidates:
        if candidate.subject == certificate.issuer:
            try:
                certificate.verify_directly_issued_by(candidate)
            except (ValueError, TypeError, InvalidSignature):
                continue
            return candidate
    return None


def _roots() -> list[x509.Certificate]:
    found = []
    for der in system_roots():
        try:
            found.append(x509.load_der_x509_certificate(der))
        except ValueError:
            continue  # one odd root in a system's store is no reason to stop
    return found


def _check(certificate: x509.Certificate, below: int) -> None:
    """``below`` is how many CAs stand between this one and the leaves. Raises :class:`AuthorityError`."""
    name = certificate.subject.rfc4514_string()
    now = datetime.now(UTC)
    if now >= certificate.not_valid_after_utc:
        raise AuthorityError(f"{name} expired on {certificate.not_valid_after_utc:%Y-%m-%d}")
    if now < certificate.not_valid_before_utc:
        raise AuthorityError(f"{name} is valid from {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC on")
    constraints = _extension(certificate, x509.BasicConstraints)
    if constraints is None or not constraints.ca:
        raise AuthorityError(f"{name} is no CA: its basic constraints do not say CA:TRUE")
    if constraints.path_length is not None and constraints.path_length < below:
        raise AuthorityError(f"{name} allows no CA below it (path length {constraints.path_length})")
    usage = _extension(certificate, x509.KeyUsage)
    if usage is not None and not usage.key_cert_sign:
        raise AuthorityError(f"{name} may not sign certificates: its key usage lacks keyCertSign")
    purposes = _extension(certificate, x509.ExtendedKeyUsage)
    if purposes is not None and not {
        ExtendedKeyUsageOID.SERVER_AUTH,
        ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,
    } & set(purposes):
        raise AuthorityError(f"{name} is not for servers: its extended key usage lacks serverAuth")


def _check_identifier(key: SigningKey, certificate: x509.Certificate) -> None:
    from mitmproxy.certs import dummy_cert
    from mitmproxy.version import VERSION

    identifier = _extension(certificate, x509.SubjectKeyIdentifier)
    leaf = x509.load_pem_x509_certificate(
        dummy_cert(key, certificate, "localhost", [x509.DNSName("localhost")]).to_pem()  # type: ignore[arg-type]
    )
    named = _extension(leaf, x509.AuthorityKeyIdentifier)
    if identifier is not None and named is not None and named.key_identifier != identifier.digest:
        raise AuthorityError(
            f"mitmproxy {VERSION} reckons the key identifier of this CA in another way, and clients would refuse its "
            "certificates; mitmproxy 12.2.3 copies it"
        )


def _extension(certificate: x509.Certificate, kind: type[Extension]) -> Extension | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None
