"""The key that signs: Ed25519, in a file beside the CA that its owner alone may read.

The public half is what :mod:`~aitap.storage.evidence.verify` trusts. A key's fingerprint is the first 16 hexadecimal
digits of the SHA-256 of its 32 bytes: a name, not a proof.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

__all__ = ["KEY", "EvidenceKeyError", "fingerprint", "public_key", "public_pem", "signing_key"]

KEY = "aitap-evidence.pem"
"""The file's name, in the folder of the CA."""


class EvidenceKeyError(Exception):
    """A key cannot be read or made. One line that says why."""


def signing_key(path: Path, *, make: bool = True) -> Ed25519PrivateKey:
    """The private key of this file, made where there is none unless told not to. Raises :class:`EvidenceKeyError`."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415 - takes its time
    from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415

    try:
        if make and not path.exists():
            _make(path)
        key = load_pem_private_key(path.read_bytes(), None)
    except OSError as error:
        raise EvidenceKeyError(f"{path}: {error.strerror or error}") from None
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise EvidenceKeyError(f"{path} holds no unencrypted Ed25519 key")
    return key


def public_key(path: Path) -> Ed25519PublicKey:
    """The public key of a file that holds it, or the private one. Raises :class:`EvidenceKeyError`."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import load_pem_public_key  # noqa: PLC0415

    try:
        text = path.read_bytes()
    except OSError as error:
        raise EvidenceKeyError(f"{path}: {error.strerror or error}") from None
    if b"PRIVATE KEY" in text:
        return signing_key(path, make=False).public_key()
    try:
        key = load_pem_public_key(text)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise EvidenceKeyError(f"{path} holds no Ed25519 key in PEM")
    return key


def fingerprint(key: Ed25519PublicKey) -> str:
    """The key's name."""
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()[:16]


def public_pem(key: Ed25519PublicKey) -> bytes:
    """The key as others take it."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat  # noqa: PLC0415

    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _make(path: Path) -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat  # noqa: PLC0415

    key = Ed25519PrivateKey.generate()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Made with 0600. Of two processes that start at once the first key in place wins: nobody replaces it.
    descriptor, part = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(part, path)
    finally:
        Path(part).unlink(missing_ok=True)
