"""What the name constraints in certificates allow, asked for each name of each leaf."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from cryptography import x509

from aitap.certs.permitted import Permitted, within

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["NameLimits", "name_constraints", "permitted_by"]


def name_constraints(certificate: x509.Certificate) -> x509.NameConstraints | None:
    """The name constraints of a certificate; None where it has none."""
    try:
        return certificate.extensions.get_extension_for_class(x509.NameConstraints).value
    except x509.ExtensionNotFound:
        return None


def permitted_by(certificate: x509.Certificate) -> Permitted | None:
    """What a CA may sign for, as its certificate says; None where that is anything."""
    found = name_constraints(certificate)
    if found is None:
        return None
    names = found.permitted_subtrees or []
    dns = sorted(_plain(name.value) for name in names if isinstance(name, x509.DNSName))
    addresses = sorted(
        str(network.network_address) if network.num_addresses == 1 else str(network) for network in _networks(names)
    )
    return Permitted(tuple(dns), tuple(addresses))


class NameLimits:
    """The name constraints of one certificate."""

    def __init__(self, constraints: x509.NameConstraints) -> None:
        permitted, excluded = constraints.permitted_subtrees or [], constraints.excluded_subtrees or []
        self._permitted, self._excluded = _dns(permitted), _dns(excluded)
        self._networks, self._closed = _networks(permitted), _networks(excluded)

    @classmethod
    def of(cls, chain: Iterable[x509.Certificate]) -> list[NameLimits]:
        """Those of each certificate of a chain that has any."""
        return [cls(found) for certificate in chain if (found := name_constraints(certificate))]

    def allow(self, name: x509.GeneralName) -> bool:
        """Whether a leaf may have this name. Of kinds other than host names and addresses nothing is known."""
        if isinstance(name, x509.DNSName):
            host = name.value.removeprefix("*.")
            return not within(host, self._excluded) and (not self._permitted or within(host, self._permitted))
        if isinstance(name, x509.IPAddress):
            address = name.value
            if not isinstance(address, (ipaddress.IPv4Address, ipaddress.IPv6Address)):
                return False
            open_to = not self._networks or any(address in network for network in self._networks)
            return open_to and not any(address in network for network in self._closed)
        return True


def _plain(subtree: str) -> str:
    # Some CAs write a leading dot, though RFC 5280 has none in DNS constraints.
    return subtree.removeprefix(".").lower()


def _dns(names: Iterable[x509.GeneralName]) -> frozenset[str]:
    return frozenset(_plain(name.value) for name in names if isinstance(name, x509.DNSName))


def _networks(names: Iterable[x509.GeneralName]) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    values = (name.value for name in names if isinstance(name, x509.IPAddress))
    return [value for value in values if isinstance(value, (ipaddress.IPv4Network, ipaddress.IPv6Network))]
