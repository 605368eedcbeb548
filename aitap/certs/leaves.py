"""mitmproxy's store of leaf certificates, held to what the CA may sign for and to dates that clients accept.

mitmproxy copies the names of the server's certificate into its own, and the address the client dialled. One
name outside of the constraints makes clients refuse the whole certificate: such names are left out. And it
keeps leaves for as long as it runs: here those that soon expire, or begin later since they were made while the clock
was ahead, are made anew.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from cryptography import x509
from mitmproxy import certs

from aitap.certs.constraints import NameLimits

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["LEAF_LIFE", "LeafStore", "limit_leaf_life"]

logger = logging.getLogger(__name__)

LEAF_LIFE = timedelta(days=47)
"""Less than is left of the intermediate at any time, and what the CA/Browser Forum allows from 2029 on."""

_RENEWED = timedelta(days=7)
_MOST_WARNED = 100


def limit_leaf_life() -> None:
    """Make mitmproxy's leaves expire after ``LEAF_LIFE``: 11.0 gives them a year, which some clients refuse."""
    certs.CERT_EXPIRY = min(certs.CERT_EXPIRY, LEAF_LIFE)


class LeafStore(certs.CertStore):
    """Takes the place of mitmproxy's own; made by :meth:`of`."""

    _limits: list[NameLimits]
    _warned: set[str]

    @classmethod
    def of(cls, signing: Path, passphrase: str | None = None) -> LeafStore:
        """The store for mitmproxy's CA file. Raises ``OSError`` and ``ValueError`` where it cannot be used."""
        parameters = signing.with_name(signing.name.replace("-ca.pem", "-dhparam.pem"))
        store: Any = cls.from_files(signing, parameters, passphrase.encode() if passphrase else None)
        store._limits = NameLimits.of(x509.load_pem_x509_certificates(signing.read_bytes()))
        store._warned = set()
        return store  # type: ignore[no-any-return]

    def adopt(self, other: certs.CertStore) -> None:
        """Take over the certificates that the operator gave by hand (option ``certs``)."""
        self.certs.update({name: entry for name, entry in other.certs.items() if isinstance(name, str)})

    def get_cert(
        self, commonname: str | None, sans: Iterable[x509.GeneralName], *more: Any, **named: Any
    ) -> certs.CertStoreEntry:
        """The leaf for these names, without those that the CA may not sign for."""
        wanted = list(sans)
        if len(self.default_chain_certs) > 1:
            # mitmproxy's list of revoked certificates names the issuer's issuer as its issuer: good for roots alone.
            more, named = more[:1], {}
        if self._limits and not self._given_by_hand(commonname, wanted):
            commonname, wanted = self._allowed(commonname, wanted)
        kept = x509.GeneralNames(wanted)
        entry = super().get_cert(commonname, kept, *more, **named)
        if (commonname, kept) in self.certs and not _good(entry.cert):
            self.certs = {names: other for names, other in self.certs.items() if other is not entry}
            self.expire_queue = [other for other in self.expire_queue if other is not entry]
            entry = super().get_cert(commonname, kept, *more, **named)
        return entry

    def _given_by_hand(self, commonname: str | None, names: list[x509.GeneralName]) -> bool:
        asked: list[str | x509.GeneralName] = [*([commonname] if commonname else []), *names]
        return any(form in self.certs for name in asked for form in self.asterisk_forms(name)) or "*" in self.certs

    def _allowed(
        self, commonname: str | None, names: list[x509.GeneralName]
    ) -> tuple[str | None, list[x509.GeneralName]]:
        kept = [name for name in names if all(limits.allow(name) for limits in self._limits)]
        if kept:
            # OpenSSL takes a common name for a host name where there is no other, an address as well.
            return next((name.value for name in kept if isinstance(name, x509.DNSName)), None), kept
        # The client will refuse this certificate, and nobody else can say why.
        if (shown := str(commonname)) not in self._warned and len(self._warned) < _MOST_WARNED:
            self._warned.add(shown)
            logger.warning(
                "aitap: the CA may not sign for %s, so clients refuse it; a [[provider]] row or `aitap hosts decrypt` "
                "adds a host, `aitap hosts observe` leaves it alone",
                shown,
            )
        return commonname, names


def _good(leaf: certs.Cert) -> bool:
    now = datetime.now(UTC)
    return leaf.notbefore <= now < leaf.notafter - _RENEWED
