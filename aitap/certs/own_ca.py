"""Our own CA on disk: made, renewed under the same root, and told apart from a CA that others made.

Clients trust the root and never notice a renewal.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from aitap.certs.authority import ROOT, SIGNING, AuthorityError
from aitap.certs.confdir import install, write_key
from aitap.certs.constraints import permitted_by
from aitap.certs.issue import make_intermediate, make_root

if TYPE_CHECKING:
    from pathlib import Path

    from aitap.certs.permitted import Permitted

__all__ = ["RENEWED_BEFORE", "create", "reason_to_renew", "renew", "signing_chain"]

RENEWED_BEFORE = timedelta(days=60)


def create(confdir: Path, permitted: Permitted | None, *, replace: bool = False) -> bool:
    """Make a root and an intermediate; False where a CA is there and is not to be replaced. Raises ``OSError``."""
    root_key, root = make_root()
    key, intermediate = make_intermediate(root_key, root, permitted)
    return install(confdir, key, [intermediate, root], root_key, replace=replace)


def signing_chain(confdir: Path) -> list[x509.Certificate]:
    """The certificates of the CA that signs now, root last. Raises :class:`AuthorityError` where there are none."""
    path = confdir / SIGNING
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())
    except OSError as error:
        raise AuthorityError(f"{path}: {error.strerror or error}") from None
    except ValueError:
        raise AuthorityError(f"{path} holds no certificate that can be read") from None


def reason_to_renew(confdir: Path, permitted: Permitted, now: datetime | None = None) -> str | None:
    """Why the intermediate should be renewed, None where it need not be or is none. Raises :class:`AuthorityError`."""
    signing, *above = signing_chain(confdir)
    if not above or not _ours(signing):
        return None
    left = signing.not_valid_after_utc - (now or datetime.now(UTC))
    if left < RENEWED_BEFORE:
        return f"it is valid for {max(left.days, 0)} more days"
    known = permitted_by(signing)
    return None if known is None or known.covers(permitted) else "it may not sign for all hosts that are decrypted"


def renew(confdir: Path, permitted: Permitted | None, root_file: Path | None = None) -> x509.Certificate:
    """A new intermediate under the same root. Raises :class:`AuthorityError` where that cannot be."""
    path = root_file or confdir / ROOT
    signing, *above = signing_chain(confdir)
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        if not above or not _ours(signing):
            raise AuthorityError(
                "this CA was not made here, so there is nothing to renew it with: give its successor by `aitap ca "
                "init --force --cert FILE --key FILE`, or leave out the files for a CA of aitap's own"
            ) from None
        raise AuthorityError(
            f"renewal needs the root's key, and {path} is not there: put it back, or name it with --root"
        ) from None
    except OSError as error:
        raise AuthorityError(f"{path}: {error.strerror or error}") from None
    try:
        root_key, root = load_pem_private_key(text, None), x509.load_pem_x509_certificate(text)
    except (ValueError, TypeError):
        raise AuthorityError(f"{path} holds no unencrypted key with its certificate") from None
    if not above or above[-1] != root:
        raise AuthorityError(f"{path} is not the root of the CA in {confdir}, which clients trust")
    if root.not_valid_after_utc <= datetime.now(UTC):
        raise AuthorityError(
            "the root has expired: `aitap ca init --force` makes a new CA, which clients must then trust"
        )
    key, intermediate = make_intermediate(root_key, root, permitted)  # type: ignore[arg-type]
    try:
        write_key(confdir / SIGNING, key, [intermediate, root])
    except OSError as error:
        raise AuthorityError(f"{confdir / SIGNING}: {error.strerror or error}") from None
    return intermediate


def _ours(signing: x509.Certificate) -> bool:
    return any(name.value == "aitap" for name in signing.issuer.get_attributes_for_oid(x509.NameOID.ORGANIZATION_NAME))
