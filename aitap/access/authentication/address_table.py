"""People known by the address they come from: ``[[address]]`` in ``aitap.toml``.

For modes in which a client has no place for credentials (transparent, WireGuard, a reverse proxy) and for
machines that have an address of their own. The longest prefix wins.
"""

from __future__ import annotations

import difflib
import ipaddress
from typing import Any, NamedTuple

__all__ = ["AddressError", "AddressRow", "AddressTable", "address_rows"]

_KEYS = ("network", "user")

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class AddressError(ValueError):
    """A row of ``[[address]]`` is wrong. One line says which and how."""


class AddressRow(NamedTuple):
    """Who comes from a network."""

    network: Network
    user: str


def address_rows(tables: Any) -> tuple[AddressRow, ...]:
    """The rows of ``[[address]]`` as TOML gave them. Raises :class:`AddressError`."""
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise AddressError("address: write each row as [[address]]")
    rows: dict[Network, AddressRow] = {}
    for number, table in enumerate(tables, 1):
        row = _row(number, table)
        if row.network in rows:
            raise AddressError(f"address {number}: {row.network} is in an earlier row already")
        rows[row.network] = row
    return tuple(rows.values())


def _row(number: int, table: dict[str, Any]) -> AddressRow:
    for key in table:
        if key not in _KEYS:
            near = difflib.get_close_matches(key, _KEYS, n=1, cutoff=0.0)[0]
            raise AddressError(f"address {number}: unknown key {key!r}, did you mean {near!r}?")
    network, user = table.get("network"), table.get("user")
    if not isinstance(user, str) or not user.strip():
        raise AddressError(f'address {number}: say who it is: user = "alice"')
    if not isinstance(network, str):
        raise AddressError(f'address {number}: say where {user!r} comes from: network = "10.1.2.0/24"')
    try:
        return AddressRow(ipaddress.ip_network(network), user.strip())
    except ValueError as error:
        raise AddressError(f"address {number}: {error}") from None


class AddressTable:
    """Who comes from an address."""

    def __init__(self, rows: tuple[AddressRow, ...]) -> None:
        self._users: dict[tuple[int, int], dict[int, str]] = {}
        for row in rows:
            key = (row.network.version, row.network.prefixlen)
            self._users.setdefault(key, {})[int(row.network.network_address)] = row.user
        # The longest prefix first; there are 160 at most, whatever the number of rows.
        self._order = sorted(self._users, reverse=True)

    def user(self, address: str) -> str | None:
        """The name of who comes from this address (IPv4-mapped ones in IPv4's form); None where nobody does."""
        if not self._order:
            return None
        try:
            place = ipaddress.ip_address(address)
        except ValueError:
            return None
        number = int(place)
        for version, length in self._order:
            if version == place.version:
                rest = place.max_prefixlen - length
                if (user := self._users[version, length].get(number >> rest << rest)) is not None:
                    return user
        return None
