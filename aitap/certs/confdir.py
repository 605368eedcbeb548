"""The files of a CA in mitmproxy's configuration folder, under mitmproxy's names, and our root's key beside them.

Whoever runs ``mitmdump`` without us signs with the same CA. Keys are readable by their owner alone, each
file appears whole, and what was there before is kept in a folder of its own.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from aitap.certs.authority import PUBLIC, ROOT, SIGNING
from aitap.certs.issue import pem, private_pem

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes

__all__ = ["install", "keep_old", "write_key"]

_COPIES = ("mitmproxy-ca-cert.cer", "mitmproxy-ca-cert.p12")
_PARAMETERS = "mitmproxy-dhparam.pem"
_FOREIGN = ("mitmproxy-ca.p12", "mitmproxy-magisk-module.zip")
"""Made by mitmproxy from its own CA: of another CA they would be wrong."""


def install(
    confdir: Path,
    key: CertificateIssuerPrivateKeyTypes,
    chain: list[x509.Certificate],
    root_key: CertificateIssuerPrivateKeyTypes | None = None,
    *,
    replace: bool = False,
) -> bool:
    """Write a whole CA: ``chain`` begins with the certificate of ``key`` and ends with the root.

    Without ``replace`` nothing is done, and False given, where a CA is there already, be it since this moment.
    Raises ``OSError``.
    """
    if not confdir.exists():
        confdir.parent.mkdir(parents=True, exist_ok=True)
        confdir.mkdir(mode=0o700, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".aitap-", dir=confdir) as name:
        folder = Path(name)
        if root_key is not None:
            _write(folder / ROOT, private_pem(root_key) + pem(chain[-1]), secret=True)
        _write(folder / SIGNING, private_pem(key) + pem(*chain), secret=True)
        for copy, content in _public_files(chain[-1]).items():
            _write(folder / copy, content)
        if replace:
            keep_old(confdir)
            (folder / SIGNING).replace(confdir / SIGNING)
        else:
            # A proxy that starts at this moment makes its own: the first key in place wins, and nobody mixes files.
            try:
                os.link(folder / SIGNING, confdir / SIGNING)
            except FileExistsError:
                return False
            (folder / SIGNING).unlink()
        for made in folder.iterdir():
            made.replace(confdir / made.name)
    return True


def write_key(path: Path, key: CertificateIssuerPrivateKeyTypes, chain: list[x509.Certificate]) -> None:
    """Put a key and its chain in place of an older one, in one step. Raises ``OSError``."""
    with tempfile.TemporaryDirectory(prefix=".aitap-", dir=path.parent) as folder:
        part = Path(folder) / path.name
        _write(part, private_pem(key) + pem(*chain), secret=True)
        part.replace(path)


def keep_old(confdir: Path) -> Path | None:
    """Put what there is of a CA aside; the folder where it is now, None where there was nothing."""
    names = [SIGNING, PUBLIC, ROOT, *_COPIES, *_FOREIGN]
    there = [confdir / name for name in names if (confdir / name).is_file()]
    if not there:
        return None
    kept = Path(tempfile.mkdtemp(prefix=f"aitap-old-ca-{datetime.now(UTC):%Y%m%d-%H%M%S}-", dir=confdir))
    for path in there:
        if path.name in (SIGNING, PUBLIC):
            # These get a successor in one step: a proxy that runs must not miss them in between.
            shutil.copy2(path, kept / path.name)
        else:
            path.replace(kept / path.name)
    return kept


def _public_files(root: x509.Certificate) -> dict[str, bytes]:
    from cryptography.hazmat.primitives.serialization import NoEncryption, pkcs12
    from mitmproxy.certs import DEFAULT_DHPARAM

    text = pem(root)
    windows = pkcs12.serialize_key_and_certificates(b"aitap", None, root, None, NoEncryption())
    return {PUBLIC: text, _COPIES[0]: text, _COPIES[1]: windows, _PARAMETERS: DEFAULT_DHPARAM}


def _write(path: Path, content: bytes, *, secret: bool = False) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if secret else 0o666)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
