"""The rules of where clients may go, as the settings give them: ports, public addresses, and exceptions.

Nothing here resolves a name or knows of mitmproxy: a host, a port and an address go in, a reason comes out.
"""

from __future__ import annotations

import dataclasses
import ipaddress
from typing import TYPE_CHECKING

from aitap.access.egress.networks import IPAddress, canonical, is_loopback, literal, refusal
from aitap.settings import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aitap.capture.provider_rows import ProviderRow

__all__ = ["Destination", "Destinations", "Refused", "names_loopback"]

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclasses.dataclass(frozen=True, slots=True)
class Refused:
    """Why a client may not go somewhere."""

    reason: str
    """``port`` or ``address``: what refusals are counted by."""
    text: str
    """One line for the client, with the setting that would allow it."""


class Destinations:
    """What the settings allow. ``allow_private`` has words as the setting describes them.

    Raises :class:`SettingsError` for a word that is no name, address or network.
    """

    def __init__(self, ports: Iterable[int], allow_private: Iterable[str], rows: Iterable[ProviderRow] = ()) -> None:
        self._ports = frozenset(ports)
        self._everything = False
        self._names: set[tuple[str, int]] = set()
        """Names with a port, 0 for any."""
        self._networks: list[tuple[_Network, int]] = []
        for word in allow_private:
            self._except(word)
        for row in rows:
            for host in row.hosts:
                name, port = _with_port(host)
                # A pattern is wider than what its writer meant to vouch for.
                if "*" not in name:
                    self._names.add((canonical(name), port))

    def _except(self, word: str) -> None:
        if word == "all":
            self._everything = True
            return
        name, port = _with_port(word)
        try:
            self._networks.append((ipaddress.ip_network(name.strip("[]"), strict=False), port))
            return
        except ValueError:
            pass
        if not name or "/" in name or "*" in name or port > 65535:
            raise SettingsError(
                f"allow_private: {word!r} is no name, address or network: "
                "write 10.1.2.3, 10.0.0.0/8, [::1]:11434 or ollama.lan"
            )
        self._names.add((canonical(name), port))

    def to(self, host: str, port: int, *, local: bool) -> Destination:
        """Where a client wants to go; ``local`` is one on this machine."""
        host = canonical(host)
        named = self._everything or (host, 0) in self._names or (host, port) in self._names
        return Destination(
            host,
            port,
            port_allowed=port in self._ports or (host, port) in self._names,
            vouched=named,
            own_machine=local and names_loopback(host),
            networks=tuple(network for network, at in self._networks if at in (0, port)),
            networks_of_port=tuple(network for network, at in self._networks if at == port),
        )


@dataclasses.dataclass(frozen=True, slots=True)
class Destination:
    """A host and a port that a client named, with the rules that hold there."""

    host: str
    port: int
    port_allowed: bool
    vouched: bool
    """Whether the operator vouches for whatever the name leads to."""
    own_machine: bool
    """Whether someone on this machine says that they mean this machine, which they need no proxy to reach."""
    networks: tuple[_Network, ...]
    networks_of_port: tuple[_Network, ...]

    @property
    def unreachable(self) -> Refused | None:
        """What is to be said without asking where the name leads; None where that counts."""
        address = literal(self.host)
        if address is not None:
            return self.refused(address)
        if self.port_allowed or self.own_machine or self.networks_of_port:
            return None
        return self._wrong_port()

    def refused(self, address: IPAddress) -> Refused | None:
        """Why this address of the host is not to be dialled; None where it may be."""
        if self.own_machine and is_loopback(address):
            return None
        if not self.port_allowed and not _within(address, self.networks_of_port):
            return self._wrong_port()
        if self.vouched or _within(address, self.networks):
            return None
        kind = refusal(address)
        if kind is None:
            return None
        what = "is" if literal(self.host) is not None else "leads to"
        return Refused(
            "address",
            f"aitap: {self.host} {what} a {kind} address, and clients may reach public ones only; "
            "whoever runs the proxy can except it with AITAP_ALLOW_PRIVATE",
        )

    def _wrong_port(self) -> Refused:
        return Refused(
            "port",
            f"aitap: connections to port {self.port} are not allowed; "
            "whoever runs the proxy can allow the port with AITAP_ALLOW_PORTS",
        )


def names_loopback(host: str) -> bool:
    """Whether a host is this machine by its name alone (RFC 6761, 6.3: ``localhost`` and all below it)."""
    host = canonical(host)
    if host == "localhost" or host.endswith(".localhost"):
        return True
    address = literal(host)
    return address is not None and is_loopback(address)


def _within(address: IPAddress, networks: Iterable[_Network]) -> bool:
    inner = getattr(address, "ipv4_mapped", None) or address
    return any(inner in network for network in networks)


def _with_port(word: str) -> tuple[str, int]:
    """``name:port``, ``[address]:port`` or either without a port (0); a bare IPv6 address has many colons."""
    name, colon, digits = word.rpartition(":")
    if colon and digits.isdecimal() and (":" not in name or name.endswith("]")):
        return name, int(digits)
    return word, 0
